"""The body of a request that changes something: a signed command, of bounded size."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Depends, Request
from pydantic import ValidationError

from domain.dsse import Envelope
from domain.errors import InvalidInput
from web.bodies import TooLarge, limited_body

_LONGEST = 65_536
"""Bytes; an envelope with the longest payload has some 33,000."""


async def _signed_body(request: Request) -> bytes:
    try:
        return await limited_body(request, _LONGEST)
    except TooLarge:
        raise InvalidInput(f"the body has more than {_LONGEST} bytes", "body") from None


def as_envelope(body: bytes) -> Envelope | None:
    """The signed envelope that a body is; None: something else. Raises InvalidInput for a broken one."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    if not isinstance(document, dict) or "payloadType" not in document:
        return None
    try:
        return Envelope.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput("the body is no signed envelope", "body") from error


SignedBody = Annotated[bytes, Depends(_signed_body)]
"""Parameter type by which a handler receives a signed command, for `db.writes.commands.accept_command`."""
