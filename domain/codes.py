"""One-time codes: six digits, ten minutes, five tries.

No code is ever stored. It follows from the id of its row under the session secret, so that the relay can
say it when the message goes out, and what is stored to compare with follows from both.
"""

from __future__ import annotations

import hmac
import re
from datetime import timedelta
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict
from ulid import ULID

from domain.passes import SessionSecret

LIFETIME: Final = timedelta(minutes=10)
"""A code is good for so long, and a step-up for so long after its code was used (service.md)."""

MOST_TRIES: Final = 5
"""Wrong or right; after them the code is dead."""

MOST_PER_HOUR: Final = 5
"""Codes for one recipient, request and purpose."""

KEPT: Final = timedelta(hours=1)
"""A code's row is kept for so long after its end: longer than anything can depend on it."""

_CODE = re.compile(r"[0-9]{6}")


class CodePurpose(StrEnum):
    """What a code is good for."""

    TRACK = "track"
    """The client of a request opens a session under its track number."""
    STEP_UP = "step-up"
    """An approver confirms a decision above the rule's amount."""


class CodesCleaned(BaseModel):
    """Result of `cleanup_expired_otps`."""

    model_config = ConfigDict(frozen=True)

    deleted: int
    sessions: int = 0
    """Sessions and tokens that ended a day ago."""
    invitations: int = 0
    """Used, or too old, since a day."""
    tries: int = 0
    """Tries to sign in that no limit counts any more."""


def new_code_id() -> str:
    """`otc_` and a ULID."""
    return f"otc_{ULID()}"


def code_of(secret: SessionSecret, code_id: str) -> str:
    """The six digits of a code."""
    return f"{int.from_bytes(secret.mac('codes', code_id)) % 1_000_000:06}"


def hash_of(secret: SessionSecret, code_id: str, code: str) -> str:
    """What is stored of a code, in hexadecimal: without the secret it tells nothing."""
    return secret.mac("code-hashes", code_id, code).hex()


def is_right(secret: SessionSecret, code_id: str, stored: str, typed: str) -> bool:
    """Compare what somebody typed with a stored hash, in constant time."""
    return hmac.compare_digest(hash_of(secret, code_id, typed), stored)


def readable(typed: str) -> str | None:
    """The six digits in what somebody typed, spaces and dashes aside; None: these are none."""
    digits = re.sub(r"[ \t-]", "", typed[:20])
    return digits if _CODE.fullmatch(digits) else None
