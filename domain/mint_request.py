"""A mint request: what is asked, its states, and the one table of transitions."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import rfc8785
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.amounts import Asset, Stroops, format_amount
from domain.errors import TransitionRefused
from domain.text import PlainText, UserName


class MintStatus(StrEnum):
    """Where a mint request stands; the words are shown to people as they are."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    SUBMITTING = "SUBMITTING"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    TIMEOUT_FAILED = "TIMEOUT_FAILED"
    ANOMALY = "ANOMALY"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


_S = MintStatus

TRANSITIONS: dict[MintStatus, frozenset[MintStatus]] = {
    _S.PENDING: frozenset({_S.APPROVED, _S.REJECTED, _S.CANCELLED, _S.EXPIRED}),
    _S.APPROVED: frozenset({_S.SUBMITTING, _S.FAILED}),
    _S.SUBMITTING: frozenset({_S.CONFIRMED, _S.FAILED, _S.TIMEOUT_FAILED, _S.ANOMALY}),
    _S.ANOMALY: frozenset({_S.CONFIRMED, _S.FAILED, _S.TIMEOUT_FAILED}),
    _S.CONFIRMED: frozenset(),
    _S.FAILED: frozenset(),
    _S.TIMEOUT_FAILED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset(),
}
"""The only allowed state changes; workflow, database trigger and documentation are tested against it."""

TERMINAL = frozenset(status for status, onward in TRANSITIONS.items() if not onward)
"""States that never change again."""

RESUBMITTABLE = TERMINAL - {MintStatus.CONFIRMED}
"""States after which the same mint may be asked for again, as a new request with fresh approvals."""


def check_transition(current: MintStatus, target: MintStatus) -> None:
    """Raise TransitionRefused unless the table allows `current` → `target`."""
    if target not in TRANSITIONS[current]:
        raise TransitionRefused(f"a request can't go from {current} to {target}")


class MintRequest(BaseModel):
    """What is asked: issue `amount` stroops of `asset` to `destination`. Never changes once asked."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(pattern=r"^mr_[0-9A-Z]{26}$")]
    tenant: str
    network_passphrase: str
    asset: Asset
    amount: Stroops
    destination: str
    topic: str
    requester: UserName
    memo: PlainText = ""
    resubmission_of: str | None = None
    ledger_deadline: AwareDatetime | None = None
    """If set, no transaction of this request may land after it (its time bound never goes beyond)."""

    def content(self) -> dict[str, Any]:
        """Everything that must be equal for two submissions under one idempotency key to be the same."""
        return {
            "tenant": self.tenant,
            "network": self.network_passphrase,
            "asset": str(self.asset),
            "amount": format_amount(self.amount),
            "destination": self.destination,
            "topic": self.topic,
            "requester": self.requester,
            "memo": self.memo,
            "resubmissionOf": self.resubmission_of,
            "ledgerDeadline": self.ledger_deadline.isoformat() if self.ledger_deadline else None,
        }

    def content_hash(self) -> str:
        """SHA-256 (hex) of the canonical content, without the id."""
        return hashlib.sha256(rfc8785.dumps(self.content())).hexdigest()

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical request; approvers sign it and the transaction's memo carries it."""
        return hashlib.sha256(rfc8785.dumps({"id": self.id, **self.content()})).hexdigest()

    @property
    def track_number(self) -> str:
        """The short number under which clients follow the request, derived from its id."""
        hashed = hashlib.sha256(f"track:{self.id}".encode()).digest()
        return "MK-" + base64.b32encode(hashed).decode()[:10]

    @property
    def summary(self) -> str:
        """One line for people: `mint 2500.0000000 EURT -> GDQ…7X for acme`."""
        short = f"{self.destination[:4]}…{self.destination[-4:]}"
        return f"mint {format_amount(self.amount)} {self.asset.code} -> {short} for {self.tenant}"


def request_id_for_key(tenant: str, key: str) -> str:
    """The id that a caller's idempotency key always leads to: `mr_` and a hash of tenant and key."""
    hashed = hashlib.sha256(rfc8785.dumps([tenant, key])).digest()
    return "mr_" + base64.b32encode(hashed).decode()[:26]


def workflow_id(request_id: str) -> str:
    """One workflow per mint request: a second start finds the first."""
    return f"mint-{request_id}"


def utc_text(moment: datetime) -> str:
    """A moment as people and machines read it: ISO 8601, seconds, UTC as `Z`."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
