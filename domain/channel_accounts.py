"""Channel accounts: how many, how they are funded, and what travels between workflow and activities."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from domain.amounts import STROOPS_PER_UNIT, Stroops
from domain.errors import InvalidInput

PLAN_CHANNELS: Final = "plan_channels"
FUND_CHANNELS: Final = "fund_channels"
TOP_UP_CHANNELS: Final = "top_up_channels"
DELIVER_FUNDING: Final = "deliver_funding"
LOOK_AT_CHANNELS: Final = "look_at_channels"

CREATE_WORKFLOW: Final = "ChannelAccounts"
TOP_UP_WORKFLOW: Final = "ChannelTopUp"
LOOK_WORKFLOW: Final = "ChannelBalances"

FUNDING_ID: Final = "channel-accounts"
"""Workflow id of everything that spends from the funding account: Temporal runs one at a time."""

MOST_CHANNELS: Final = 1000
"""A ledger of the public network holds 1000 operations, so more accounts could not be used at once."""

ACCOUNTS_PER_TRANSACTION: Final = 19
"""A transaction carries 20 signatures: one of each new account, and the funding account's."""

PAYMENTS_PER_TRANSACTION: Final = 100
"""A transaction carries 100 operations."""

STARTING_BALANCE: Final = 5 * STROOPS_PER_UNIT
"""Native stroops that a new channel account gets, for half a million fees of a calm network."""

LOW_WATER: Final = 2 * STROOPS_PER_UNIT
"""A channel account that holds fewer native stroops wants topping up."""

_frozen = ConfigDict(frozen=True)


class ChannelState(StrEnum):
    """Where a channel account stands."""

    PLANNED = "PLANNED"
    """Its key index is taken, the account may not exist yet."""
    FREE = "FREE"
    RESERVED = "RESERVED"
    """A request holds it until its end."""
    FROZEN = "FROZEN"
    """Its request is an ANOMALY: nothing may use it until that is resolved."""


class ChannelKey(BaseModel):
    """An account of the key family."""

    model_config = _frozen

    index: int
    """SEP-5 index of the key."""
    account: str


class ChannelRecord(BaseModel):
    """A channel account as the database knows it."""

    model_config = _frozen

    account: str
    key_index: int | None
    """None: its signer is configured by itself."""
    state: ChannelState
    request_id: str | None = None


class SuspectChannel(BaseModel):
    """A channel account whose request has ended without proof that the account may be used again."""

    model_config = _frozen

    account: str
    request_id: str
    why: str


class CreateOrder(BaseModel):
    """Make `count` more channel accounts usable; `balance` in native stroops each."""

    model_config = _frozen

    count: Annotated[int, Field(ge=1, le=MOST_CHANNELS)]
    balance: Stroops = STARTING_BALANCE


class TopUpOrder(BaseModel):
    """Bring every channel account that holds less than `below` up to `to` native stroops."""

    model_config = _frozen

    below: Stroops = LOW_WATER
    to: Stroops = STARTING_BALANCE


class TopUpStep(BaseModel):
    """The next payments of a top-up, by what Horizon shows at `at_ledger` or later."""

    model_config = _frozen

    order: TopUpOrder
    at_ledger: int = 0


class BatchStep(BaseModel):
    """Accounts that one transaction can create, with `balance` native stroops each.

    What Horizon shows counts at `at_ledger` or later only: the last transaction's end is known there.
    """

    model_config = _frozen

    channels: tuple[ChannelKey, ...]
    balance: Stroops
    at_ledger: int = 0


class Payment(BaseModel):
    """Native stroops for a channel account."""

    model_config = _frozen

    account: str
    amount: Stroops


class Funding(BaseModel):
    """A signed transaction of the funding account; it is in the workflow's history before it is sent."""

    model_config = _frozen

    account: str
    hash: str
    sequence: int
    max_time: int
    """Unix seconds of ledger time after which it can't land."""
    envelope_xdr: str
    signed_at_ledger: int
    payments: tuple[Payment, ...] = ()
    """What it pays, if it tops up."""


class Delivered(BaseModel):
    """What became of a funding transaction, for certain."""

    model_config = _frozen

    landed: bool
    """It stands in a ledger and did what it should."""
    word: str = ""
    """If not: the ledger's result codes, or the last answer before its time bound passed."""
    ledger: int = 0
    """The ledger by which that is known."""


class CreateReport(BaseModel):
    """Channel accounts that can be used now."""

    model_config = _frozen

    channels: tuple[ChannelKey, ...]


class TopUpReport(BaseModel):
    """What was paid; `missing` are accounts that the ledger does not know."""

    model_config = _frozen

    payments: tuple[Payment, ...] = ()
    missing: tuple[str, ...] = ()


class TopUpAnswer(BaseModel):
    """The next transaction of a top-up, or None when nothing is left to pay."""

    model_config = _frozen

    funding: Funding | None = None
    missing: tuple[str, ...] = ()


class Progress(BaseModel):
    """How far the work on the channel accounts has come."""

    model_config = _frozen

    done: int = 0
    total: int = 0


class LiveAccount(BaseModel):
    """An account on the ledger; balance in native stroops, both None if it does not exist."""

    model_config = _frozen

    account: str
    balance: int | None = None
    sequence: int | None = None


class LiveAccounts(BaseModel):
    """Every channel account on the ledger, and the funding account if one is configured."""

    model_config = _frozen

    channels: tuple[LiveAccount, ...]
    funding: LiveAccount | None = None


def check_count(count: int) -> int:
    """The number of accounts asked for; raises InvalidInput outside 1 to MOST_CHANNELS."""
    if not 1 <= count <= MOST_CHANNELS:
        raise InvalidInput(f"between 1 and {MOST_CHANNELS} channel accounts can be created, not {count}", "n")
    return count


def check_marks(below: int, to: int) -> None:
    """Raise InvalidInput unless an account that was topped up is above the mark for a while."""
    if to <= below:
        raise InvalidInput("--to must be more than --below, or an account would be low again at once", "to")
