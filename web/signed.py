"""The body of a request that changes something: a signed command, of bounded size."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from domain.errors import InvalidInput
from web.bodies import TooLarge, limited_body

_LONGEST = 65_536
"""Bytes; an envelope with the longest payload has some 33,000."""


async def _signed_body(request: Request) -> bytes:
    try:
        return await limited_body(request, _LONGEST)
    except TooLarge:
        raise InvalidInput(f"the body has more than {_LONGEST} bytes", "body") from None


SignedBody = Annotated[bytes, Depends(_signed_body)]
"""Parameter type by which a handler receives a signed command, for `db.writes.commands.accept_command`."""
