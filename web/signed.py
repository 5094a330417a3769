"""The body of a request that changes something: a signed command, of bounded size."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from domain.errors import InvalidInput

_LONGEST = 65_536
"""Bytes; an envelope with the longest payload has some 33,000."""


async def _signed_body(request: Request) -> bytes:
    """Read no more than is allowed, whatever length the client claims; raises InvalidInput."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST:
            raise InvalidInput(f"the body has more than {_LONGEST} bytes", "body")
    return bytes(body)


SignedBody = Annotated[bytes, Depends(_signed_body)]
"""Parameter type by which a handler receives a signed command, for `db.writes.commands.accept_command`."""
