"""Passwords: Argon2id with the library's parameters of today (RFC 9106, low memory)."""

from __future__ import annotations

import asyncio
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()
_hashing = asyncio.Semaphore(2)
"""Each hash takes 64 MiB and some 50 ms of a core: a flood of them must not take the machine."""


async def hash_password(password: str) -> str:
    """What the database keeps of a password."""
    async with _hashing:
        return await asyncio.to_thread(_hasher.hash, password)


async def is_password(stored: str | None, password: str) -> bool:
    """Also without a stored hash it takes the time of a check: who exists is nobody's business."""
    async with _hashing:
        return await asyncio.to_thread(_verify, stored or _nobodys_hash(), password) and stored is not None


def is_outdated(stored: str) -> bool:
    """Tell whether the hash was made with older parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))
