"""What was seen on the ledger about one request: the document that an operator signs.

Everything in it was read after `newest`, the newest closed ledger, in the order of the proof
(`domain.submission.Proof`). What it supports is judged in `domain.weighing`.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from domain.errors import InvalidInput
from domain.mint_request import MintStatus
from domain.submission import Landed, Outcome, Proof

INNER_FAILED = "tx_fee_bump_inner_failed"
"""The result code of a fee bump that only passes on what became of the transaction inside."""

MAX_OPERATIONS = 5
"""So many operations of a transaction are kept, those that move an asset first; no mint has more."""

MAX_OTHERS = 2
"""So many other payments of the request are kept; one is too many already."""

BigInt = Annotated[int, PlainSerializer(str, return_type=str, when_used="json")]
"""A 64-bit number, as text in JSON: canonical JSON carries 53 bits only."""

Short = Annotated[str, Field(max_length=200)]

_strict = ConfigDict(frozen=True, extra="forbid")


class SeenOperation(BaseModel):
    """One operation; `asset`, `amount` and `destinations` only where it issues or pays something."""

    model_config = _strict

    kind: Short
    source: Short
    asset: Short = ""
    """`CODE:ISSUER` or `native`."""
    amount: Short = ""
    destinations: Annotated[tuple[Short, ...], Field(max_length=10)] = ()
    """The payee, or who may claim a claimable balance at any time."""
    conditional: Annotated[tuple[Short, ...], Field(max_length=10)] = ()
    """Who may claim it under conditions."""
    detail: Short = ""


class DecodedEnvelope(BaseModel):
    """The stored envelope as its XDR says."""

    model_config = _strict

    hash: Short
    source: Short
    sequence: BigInt
    memo: Short
    """`hash:` and 64 hex digits where it carries a digest; empty without a memo."""
    max_time: int
    """Unix seconds of ledger time."""
    fee: int
    """At most so many stroops of the native asset."""
    operations: Annotated[tuple[SeenOperation, ...], Field(max_length=MAX_OPERATIONS)]
    operation_count: int


class SeenTransaction(BaseModel):
    """A transaction in a closed ledger that is not the request's own."""

    model_config = _strict

    hash: Short
    ledger: int
    closed_at: AwareDatetime
    successful: bool
    source: Short
    sequence: BigInt
    memo: Short
    operations: Annotated[tuple[SeenOperation, ...], Field(max_length=MAX_OPERATIONS)]
    operation_count: int


class SeenLedger(BaseModel):
    """The newest closed ledger at the first look."""

    model_config = _strict

    sequence: int
    closed_at: AwareDatetime
    hash: Short


class SeenHash(BaseModel):
    """One hash under which the mint may be found; `fee` of a fee bump, in native stroops."""

    model_config = _strict

    hash: Short
    fee: int | None = None
    landed: Landed | None = None


class SeenChannel(BaseModel):
    """The channel account as it stood at `ledger`; no sequence: it does not exist."""

    model_config = _strict

    account: Short
    ledger: int
    sequence: BigInt | None


class SequenceUse(BaseModel):
    """The transaction of the channel account after which the envelope's sequence can't be used."""

    model_config = _strict

    how: Literal["same_sequence", "bumped", "merged"]
    by: SeenTransaction


class Searched(BaseModel):
    """How much of an account's history was read, from the ledger of the signature on."""

    model_config = _strict

    transactions: int
    from_ledger: int
    whole: bool
    """Whether it reached the newest one."""


class LedgerEvidence(BaseModel):
    """One look at the ledger for one request."""

    model_config = _strict

    version: Literal[1] = 1
    request_id: Short
    request_digest: Short
    network: Short
    status: MintStatus
    """Of the request in the database, when it was looked."""
    stored_outcome: Outcome | None
    channel_state: Short
    """In the database: FREE, RESERVED, FROZEN; empty where it knows no such account."""
    envelope: DecodedEnvelope
    newest: SeenLedger
    hashes: Annotated[tuple[SeenHash, ...], Field(min_length=1, max_length=32)]
    channel: SeenChannel
    consumed: SequenceUse | None
    channel_search: Searched | None
    """None where the mint itself was found: then it used the sequence."""
    others: Annotated[tuple[SeenTransaction, ...], Field(max_length=MAX_OTHERS)]
    """Other successful transactions with this request's digest as memo that issue its asset."""
    issuer_search: Searched

    @property
    def bound_is_past(self) -> bool:
        """No later ledger can take the envelope. A close time equal to the bound still could."""
        return self.newest.closed_at.timestamp() > self.envelope.max_time

    @property
    def sequence_is_unused(self) -> bool:
        """The channel account was still below the envelope's sequence."""
        return self.channel.sequence is not None and self.channel.sequence < self.envelope.sequence

    def decided_at(self) -> int:
        """The ledger in which the mint landed; where it did not, the one that the evidence is of."""
        landed = self.landed()
        if self.others and not (landed and landed.successful):
            return self.others[0].ledger
        return landed.ledger if landed else self.newest.sequence

    def landed(self) -> Landed | None:
        """Where the mint itself was decided, by whichever hash it was found; a success before a failure."""
        found = [
            seen.landed for seen in self.hashes if seen.landed and decides(seen.landed, self.envelope.hash)
        ]
        return next((landed for landed in found if landed.successful), found[0] if found else None)

    def canonical(self) -> bytes:
        """The document as canonical JSON (RFC 8785)."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    def sha256(self) -> str:
        """SHA-256 (hex) of the canonical document."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @classmethod
    def parse(cls, data: bytes) -> LedgerEvidence:
        """Read a saved document; raises InvalidInput unless every byte is as it was saved."""
        try:
            evidence = cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "document"
            raise InvalidInput(f"this is no ledger evidence: {where}: {first['msg']}", where) from error
        if evidence.canonical() != data:
            raise InvalidInput("the evidence was changed after it was saved: inspect the ledger again")
        return evidence


def decides(landed: Landed, inner_hash: str) -> bool:
    """Tell whether what landed decides about the mint: a fee bump that failed by itself does not."""
    inner_failed = landed.result_codes.get("transaction") == INNER_FAILED
    return landed.successful or landed.found_hash == inner_hash or inner_failed


class RecordedInspection(BaseModel):
    """What the audit chain keeps of an inspection."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    ledger: int
    supports: tuple[Outcome, ...]
    at: AwareDatetime


def operator_proof(evidence: LedgerEvidence, approver: str) -> Proof:
    """The proof of a resolution: what was seen, who signed for it, and the evidence itself."""
    document: dict[str, Any] = evidence.model_dump(mode="json")
    return Proof(
        kind="operator",
        landed=evidence.landed(),
        ledger=evidence.newest.sequence,
        ledger_closed_at=evidence.newest.closed_at,
        ledger_hash=evidence.newest.hash,
        max_time=evidence.envelope.max_time,
        absent_hashes=tuple(seen.hash for seen in evidence.hashes if seen.landed is None),
        account=evidence.channel.account,
        account_sequence=evidence.channel.sequence,
        account_ledger=evidence.channel.ledger,
        transaction_sequence=evidence.envelope.sequence,
        note=approver,
        evidence=document,
        evidence_sha256=evidence.sha256(),
    )
