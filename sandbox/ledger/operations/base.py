"""What every operation is made of, and the balance rules they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from stellar_sdk import xdr

from sandbox.ledger.codec import NATIVE, issuer_of, present
from sandbox.ledger.entries import (
    Account,
    Overlay,
    fits,
    load_account,
    load_trustline,
)
from sandbox.ledger.rules import LINE_AUTHORIZED, LINE_CLAWBACK


class Threshold(Enum):
    """Which threshold of the source account an operation needs."""

    LOW = "low"
    MEDIUM = "med"
    HIGH = "high"

    def of(self, account: Account) -> int:
        """The weight this threshold asks for on ``account``."""
        return int(getattr(account, self.value))


@dataclass(frozen=True, slots=True)
class OpContext:
    """Where an operation is applied: the entries, whose it is, and in which transaction and ledger."""

    entries: Overlay
    source: str
    transaction_source: str
    transaction_sequence: int
    index: int
    ledger: int
    close_time: int
    highest_sequences: Mapping[str, int]
    # Of this transaction so far: whose new reserves are carried by whom.
    sponsorships: dict[str, str]

    def account(self, account_id: str) -> Account | None:
        """The account, or None."""
        return load_account(self.entries, account_id)

    def source_account(self) -> Account:
        """The source account, which is known to exist when an operation is applied."""
        return present(self.account(self.source))

    def put_account(self, account: Account) -> None:
        """Store a changed account."""
        self.entries.put(replace(account, modified=self.ledger))


class Failure(Exception):
    """Ends an operation with a code."""

    def __init__(self, code: IntEnum) -> None:
        super().__init__(code.name)
        self.code = code


@dataclass(frozen=True, slots=True)
class Operation:
    """The rules of one type of operation.

    ``check`` finds what is wrong with the operation whatever the ledger holds, ``apply`` changes entries and
    returns what a success carries; both raise `Failure`. ``success`` is the code of a success.
    """

    success: IntEnum
    threshold: Callable[[xdr.OperationBody], Threshold]
    check: Callable[[xdr.OperationBody, str], None]
    apply: Callable[[OpContext, xdr.OperationBody], bytes]


def always(threshold: Threshold) -> Callable[[xdr.OperationBody], Threshold]:
    """The same threshold for every operation of a type."""
    return lambda _body: threshold


def no_check(_body: xdr.OperationBody, _source: str) -> None:
    """For operations that cannot be malformed."""


@dataclass(frozen=True, slots=True)
class LineCodes:
    """What an operation calls the ways in which a holding can refuse an amount."""

    no_trust: IntEnum
    not_authorized: IntEnum
    no_room: IntEnum


def add_to_holding(context: OpContext, holder: str, asset: str, amount: int, codes: LineCodes) -> bool:
    """Change what ``holder`` has of an issued asset; the issuer's own amount is without limit.

    Returns whether the holding may be clawed back.

    Raises:
        Failure: there is no trustline, it is not authorised, or the amount does not fit.
    """
    if issuer_of(asset) == holder:
        return False
    line = load_trustline(context.entries, holder, asset)
    if line is None:
        raise Failure(codes.no_trust)
    if not line.flags & LINE_AUTHORIZED:
        raise Failure(codes.not_authorized)
    if not fits(line.balance, amount, line.limit):
        raise Failure(codes.no_room)
    context.entries.put(replace(line, balance=line.balance + amount, modified=context.ledger))
    return bool(line.flags & LINE_CLAWBACK)


def take(context: OpContext, holder: str, asset: str, amount: int, codes: LineCodes) -> bool:
    """Take an amount from a holding; of the native asset only what is above the minimum balance.

    Raises:
        Failure: as `add_to_holding`.
    """
    if asset != NATIVE:
        return add_to_holding(context, holder, asset, -amount, codes)
    account = context.account(holder)
    if account is None or account.available < amount:
        raise Failure(codes.no_room)
    context.put_account(replace(account, balance=account.balance - amount))
    return False


def give(context: OpContext, holder: str, asset: str, amount: int, codes: LineCodes) -> None:
    """Add an amount to a holding.

    Raises:
        Failure: as `add_to_holding`.
    """
    if asset != NATIVE:
        add_to_holding(context, holder, asset, amount, codes)
        return
    account = context.account(holder)
    if account is None or not fits(account.balance, amount):
        raise Failure(codes.no_room)
    context.put_account(replace(account, balance=account.balance + amount))
