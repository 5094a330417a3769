"""A submission: one signed Stellar envelope, what became of it, and the proof."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.ledger_options import MintPlan
from domain.mint_request import MintStatus


class Outcome(StrEnum):
    """What the ledger, or the lack of it, decided."""

    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    TIMEOUT_FAILED = "TIMEOUT_FAILED"
    ANOMALY = "ANOMALY"

    @property
    def status(self) -> MintStatus:
        """The state of the request after this outcome."""
        return MintStatus(self.value)


class Reservation(BaseModel):
    """A (channel account, sequence) that belongs to one request until it is terminal."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    channel: str
    sequence: int


class StoredEnvelope(BaseModel):
    """A signed transaction, stored before it is first sent; only what is stored is ever sent."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    hash: str
    """Hex hash of the inner transaction; fee bumps never change it."""
    channel: str
    sequence: int
    max_time: int
    """Unix seconds of ledger time after which the envelope can't land; equal is still valid."""
    envelope_xdr: str
    signed_at_ledger: int

    def hashes(self) -> list[str]:
        """Every hash under which the transaction may be found on the ledger."""
        return [self.hash]


class Submission(StoredEnvelope):
    """The one canonical envelope of a request."""

    plan: MintPlan = MintPlan()
    fee_bumps: tuple[FeeBump, ...] = ()

    def hashes(self) -> list[str]:
        """Every hash under which the mint may be found on the ledger."""
        return [self.hash, *(bump.hash for bump in self.fee_bumps)]

    def newest_envelope(self) -> str:
        """What to send now: the newest fee bump, else the envelope itself."""
        return self.fee_bumps[-1].envelope_xdr if self.fee_bumps else self.envelope_xdr


class FeeBump(BaseModel):
    """A dearer wrapping of the same inner transaction."""

    model_config = ConfigDict(frozen=True)

    hash: str
    fee: int
    """Maximum fee in stroops of the native asset for the whole bump."""
    envelope_xdr: str


class Landed(BaseModel):
    """Where a transaction was found in a closed ledger."""

    model_config = ConfigDict(frozen=True)

    found_hash: str
    ledger: int
    closed_at: AwareDatetime
    successful: bool
    result_codes: dict[str, object] = Field(default_factory=dict)
    fee_charged: int | None = None


class Proof(BaseModel):
    """Stored evidence for a terminal ledger outcome.

    For CONFIRMED and FAILED after inclusion: `landed`. For TIMEOUT_FAILED the three steps in their
    order: a closed ledger past the bound, then every hash absent, then the source account's sequence
    at a ledger not older still below the transaction's.
    """

    model_config = ConfigDict(frozen=True)

    kind: Annotated[str, Field(pattern="^(landed|never_landed|sequence_consumed|precheck|operator)$")]
    landed: Landed | None = None
    ledger: int | None = None
    ledger_closed_at: AwareDatetime | None = None
    ledger_hash: str | None = None
    max_time: int | None = None
    absent_hashes: tuple[str, ...] = ()
    account: str | None = None
    account_sequence: int | None = None
    account_ledger: int | None = None
    transaction_sequence: int | None = None
    note: str = ""
    evidence: dict[str, object] | None = None
    """For a resolution by an operator: the `domain.evidence.LedgerEvidence` that was signed with it."""
    evidence_sha256: str | None = None


class SubmissionResult(BaseModel):
    """How a submission ended, as the workflow learns it."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    reason: str
    proof: Proof
    ledger: int | None = None


Submission.model_rebuild()
