"""What a tenant allows on the ledger beside the plain payment, and what was chosen for one mint."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

RECLAIM_DAYS = 30
"""After so many days the issuer may take back what nobody has claimed, unless the tenant says otherwise."""


class LedgerOptions(BaseModel):
    """A tenant's options; everything is off until an admin switches it on.

    They are read when the envelope is built, and what follows from them is stored with it (`MintPlan`):
    a later change touches no request that has an envelope.
    """

    model_config = ConfigDict(frozen=True)

    auth_sandwich: bool = False
    """Authorise an unauthorised trustline for the payment alone, in the same transaction."""
    claimable_balance: bool = False
    """Mint into a claimable balance where the destination has no trustline yet."""
    reclaim_after_days: Annotated[int, Field(ge=1, le=3650)] = RECLAIM_DAYS
    one_shot_ticket: bool = False
    """Let the ledger itself refuse a second mint of the same request (`domain.tickets`)."""


class MintForm(StrEnum):
    """How a mint reaches its destination."""

    PAYMENT = "payment"
    AUTH_SANDWICH = "auth_sandwich"
    CLAIMABLE_BALANCE = "claimable_balance"


class MintPlan(BaseModel):
    """What was chosen for one envelope; the envelope is checked against it before CONFIRMED is said."""

    model_config = ConfigDict(frozen=True)

    form: MintForm = MintForm.PAYMENT
    line_flags: Literal[0, 2] = 0
    """Sandwich: what the trustline's authorisation was, and is again afterwards. 0: none, 2: it may keep
    its liabilities (the bits of the ledger's own trustline flags)."""
    reclaim_from: int | None = None
    """Claimable balance: Unix seconds of ledger time from which the issuer may take it back."""
    claimable_balance_id: str | None = None
    """Claimable balance: the hex id under which Horizon shows it; follows from channel and sequence."""
    ticket: bool = False
    """Whether the envelope's last operation uses up the request's ticket."""
