"""One-shot tickets: a data entry on the issuer that a mint uses up, so that no second mint can land.

The ticket of a request is placed by a transaction of its own on the request's reserved channel account,
with the sequence before the mint's. It is found in a closed ledger before the mint is signed, so it can
never be placed again once the mint has used it up.
"""

from __future__ import annotations

from enum import StrEnum

from domain.submission import Proof, StoredEnvelope

TICKET_PREFIX = "mint:"
"""Of every ticket's name; data entries of other names are none of ours."""

MOST_REMOVED = 10
"""So many left-behind tickets may one transaction take away."""


def ticket_name(request_id: str) -> str:
    """The name of the request's data entry on the issuer account; at most 64 bytes on the ledger."""
    return f"{TICKET_PREFIX}{request_id}"


def request_of(name: str) -> str | None:
    """The request whose ticket has this name; None for any other data entry."""
    return name.removeprefix(TICKET_PREFIX) if name.startswith(TICKET_PREFIX) else None


class TicketOutcome(StrEnum):
    """What became of the transaction that places a ticket."""

    PLACED = "PLACED"
    """It landed: the mint may be signed."""
    FAILED = "FAILED"
    """It was included and refused."""
    NEVER_LANDED = "NEVER_LANDED"
    """Proved: it is in no ledger and never can be."""
    LOST = "LOST"
    """Somebody else used its sequence number: the channel account is frozen."""


class Ticket(StoredEnvelope):
    """The one transaction that places a request's ticket, stored before it is first sent."""

    removes: tuple[str, ...] = ()
    """Requests that ended without using up theirs: this transaction takes those tickets away."""
    outcome: TicketOutcome | None = None
    reason: str = ""
    proof: Proof | None = None
