"""Who has signed in, by what means, and for how long."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.approvals import ActorRole
from domain.errors import InvalidInput

IDLE: Final = timedelta(hours=2)
"""A browser that asks for nothing for so long has to sign in again."""

LONGEST: Final = timedelta(hours=12)
"""A working day: whatever it does, a browser has to sign in again after so long."""

INVITATION: Final = timedelta(hours=48)
"""So long the link to choose a password is good."""

LONGEST_TOKEN: Final = timedelta(days=366)
"""An API token that nobody renews ends some day."""

KNOWN_BROWSER: Final = timedelta(days=90)
"""So long a browser is known that somebody has signed in with."""

TRIES_WINDOW: Final = timedelta(minutes=15)
MOST_TRIES: Final = 10
"""Wrong passwords or codes for one account from one address within the window."""
MOST_TRIES_OF_ACCOUNT: Final = 50
"""The same from wherever: guessing from many addresses is slow, and locking somebody out is work."""
MOST_TRIES_OF_ADDRESS: Final = 100
"""The same for whichever account: a whole office may sit behind one address."""

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 200


class SessionKind(StrEnum):
    """How the secret travels: in a cookie, or in a header."""

    BROWSER = "browser"
    TOKEN = "token"  # noqa: S105 - a word of the database
    SLACK = "slack"
    """No secret of ours: a press that Slack has signed, good for itself only. Never in the database."""


@dataclass(frozen=True)
class Opened:
    """A session that has just begun."""

    token: str
    """What its bearer shows; nobody can read it again."""
    expires_at: datetime


@dataclass(frozen=True)
class Person:
    """A user who has signed in, as they are now."""

    tenant: str
    name: str
    roles: frozenset[ActorRole]
    tier: int | None
    time_zone: str
    session_id: str
    kind: SessionKind
    amr: tuple[str, ...]
    """How they were authenticated (`domain.approvals.Method`)."""
    has_totp: bool
    """They have set up an authenticator app."""

    @property
    def is_approver(self) -> bool:
        """May decide on requests."""
        return "approver" in self.roles

    @property
    def is_admin(self) -> bool:
        """May change dictionaries, policies, accounts."""
        return "admin" in self.roles

    @property
    def sees_all(self) -> bool:
        """Sees every request of the tenant; a mere requester only their own."""
        return bool(self.roles & {"approver", "admin", "auditor"})

    @property
    def audits(self) -> bool:
        """May read the audit chain."""
        return bool(self.roles & {"auditor", "admin"})


def token_hash(token: str) -> str:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def check_password(password: str, name: str) -> str:
    """Accept a password of 12 to 200 characters that is not made of the name; raises InvalidInput.

    Length is what counts (NIST SP 800-63B, 3.1.1.2: no rules about kinds of characters).
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidInput(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters: a few words are good",
            "password",
        )
    if len(set(password)) < 5 or not password.casefold().replace(name.casefold(), ""):
        raise InvalidInput("this password is too easy to guess: take a few words", "password")
    return password
