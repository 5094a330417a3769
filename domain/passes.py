"""Passes: short-lived bearer tokens for people without a key of their own, and the secret behind them.

A pass is good for one purpose and one subject until it expires. It is `BODY.MAC`, both base64url: the
body says what it is good for, the MAC that it came from here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from enum import StrEnum
from typing import Final

import rfc8785

from domain.errors import AccessRefused, ConfigurationError

SHORTEST_SECRET: Final = 32
"""Characters; what is shorter could be guessed."""

LONGEST_PASS: Final = 1000
"""Characters; ours have about 150."""


class AccessRefusal(StrEnum):
    """Why somebody is not let in; stable words for API clients."""

    NO_PASS = "no_pass"  # noqa: S105 - a word of the API
    FORGED = "forged"
    EXPIRED = "expired"
    OTHER_SUBJECT = "other_subject"
    WRONG_CODE = "wrong_code"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - likewise
    TOO_MANY_TRIES = "too_many_tries"
    NOT_SIGNED_IN = "not_signed_in"
    NOT_ENTITLED = "not_entitled"
    CROSS_SITE = "cross_site"


class PassPurpose(StrEnum):
    """What a pass lets its bearer do."""

    TRACK = "track"
    """Follow one request as its client; the subject is the request's id."""
    UPLOAD = "upload"
    """Send the bytes of one announced upload; the subject is the attachment's id."""
    SECOND_FACTOR = "second-factor"
    """The password was right: bring the code of the authenticator; the subject is `tenant/name`."""
    KNOWN_BROWSER = "known-browser"
    """Somebody has signed in with it: strangers' tries do not count for it; `tenant/name` likewise."""


class SessionSecret:
    """The secret of `MINTKEEPER_SESSION_SECRET`: each purpose has a key of its own, derived from it."""

    def __init__(self, secret: str) -> None:
        if len(secret) < SHORTEST_SECRET:
            raise ConfigurationError(
                f"MINTKEEPER_SESSION_SECRET has fewer than {SHORTEST_SECRET} characters: set a long random "
                "one, the same for workers and web servers"
            )
        # the environment hands on bytes that are no UTF-8 as surrogates
        self._secret = secret.encode(errors="surrogateescape")

    def mac(self, purpose: str, *parts: str) -> bytes:
        """HMAC-SHA-256 of the parts under the key of a purpose; no two lists of parts have the same bytes."""
        key = hmac.digest(self._secret, f"mintkeeper/{purpose}".encode(), hashlib.sha256)
        return hmac.digest(key, rfc8785.dumps(list(parts)), hashlib.sha256)


def issue_pass(secret: SessionSecret, purpose: PassPurpose, subject: str, expires_at: datetime) -> str:
    """A pass for the subject, good until `expires_at`, in whole seconds."""
    body = _encode(rfc8785.dumps({"exp": int(expires_at.timestamp()), "sub": subject, "use": purpose}))
    return f"{body}.{_encode(secret.mac('pass', body))}"


def check_pass(
    secret: SessionSecret, token: str, *, purpose: PassPurpose, subject: str, now: datetime
) -> None:
    """Raise AccessRefused unless the token is a pass of ours for this purpose and subject, not expired."""
    if not token:
        raise AccessRefused("this needs a pass: send it as 'Authorization: Bearer …'", AccessRefusal.NO_PASS)
    body, _, mac = token[:LONGEST_PASS].partition(".")
    if not hmac.compare_digest(_encode(secret.mac("pass", _printable(body))).encode(), mac.encode()):
        raise AccessRefused("the pass is not one of ours: ask for a new one", AccessRefusal.FORGED)
    said = json.loads(_decode(body))
    if said["use"] != purpose or said["sub"] != subject:
        raise AccessRefused("the pass is for something else", AccessRefusal.OTHER_SUBJECT)
    if now.timestamp() >= said["exp"]:
        raise AccessRefused("the pass has expired: ask for a new one", AccessRefusal.EXPIRED)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _printable(text: str) -> str:
    """The text, or nothing when it holds what canonical JSON can't: then no MAC is right."""
    try:
        text.encode("ascii")
    except UnicodeEncodeError:
        return ""
    return text


def open_secret(setting: str) -> SessionSecret:
    """The secret of the setting; raises ConfigurationError when it is missing or too short."""
    if not setting:
        raise ConfigurationError(
            "MINTKEEPER_SESSION_SECRET is not set: without it there are no one-time codes and no passes"
        )
    return SessionSecret(setting)
