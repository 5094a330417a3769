"""Decoding of transaction envelopes, once, into what the rules ask for."""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from stellar_sdk import xdr

from sandbox.ledger.codec import account_of_muxed, muxed_of, signer_of
from sandbox.ledger.rules import fee_rate

EnvelopeType = xdr.EnvelopeType
Signature = tuple[bytes, bytes]  # hint, signature


class MalformedEnvelopeError(ValueError):
    """The text is not the base64 of exactly one transaction envelope."""


@dataclass(frozen=True)
class Preconditions:
    """What a transaction asks of the ledger around it; 0 or None where it asks nothing."""

    min_time: int = 0
    max_time: int = 0
    has_time_bounds: bool = False
    ledger_bounds: tuple[int, int] | None = None
    min_sequence: int | None = None
    min_sequence_age: int = 0
    min_sequence_ledger_gap: int = 0
    extra_signers: tuple[str, ...] = ()


class Submission(ABC):
    """What a plain transaction and a fee bump have in common for the queue.

    ``source``, ``sequence`` and ``preconditions`` are those of the transaction whose operations run;
    ``operation_count`` is what the fee is counted for: a fee bump counts as one operation more.
    """

    hash: bytes
    body: bytes
    raw: bytes
    signatures: tuple[Signature, ...]
    fee: int
    fee_source: str
    source: str
    sequence: int
    preconditions: Preconditions
    operation_count: int

    @property
    @abstractmethod
    def transaction(self) -> Transaction:
        """The transaction whose operations run: itself, or the inner one of a fee bump."""

    @cached_property
    def full_hash(self) -> bytes:
        """Hash over the whole envelope, signatures included: what the queue tells envelopes apart by."""
        return sha256(self.raw).digest()

    @cached_property
    def rate(self) -> int:
        """The fee bid per operation, as `fee_rate` makes it comparable."""
        return fee_rate(self.fee, self.operation_count)


class Transaction(Submission):
    """A plain transaction."""

    def __init__(self, tx: xdr.Transaction, signatures: tuple[Signature, ...], network_id: bytes) -> None:
        self.body = tx.to_xdr_bytes()
        kind = EnvelopeType.ENVELOPE_TYPE_TX.to_bytes(4, "big")
        self.hash = sha256(network_id + kind + self.body).digest()
        self.raw = b""
        self.signatures = signatures
        self.fee = tx.fee.uint32
        self.source = self.fee_source = account_of_muxed(tx.source_account)
        self.source_muxed = muxed_of(tx.source_account)
        self.sequence = tx.seq_num.sequence_number.int64
        self.memo = tx.memo
        self.operations = tuple(tx.operations)
        self.operation_count = len(self.operations)
        self.preconditions = _preconditions(tx.cond)

    @property
    def transaction(self) -> Transaction:
        """The transaction itself."""
        return self

    def operation_source(self, operation: xdr.Operation) -> str:
        """The account an operation acts for."""
        if operation.source_account is None:
            return self.source
        return account_of_muxed(operation.source_account)

    def operation_muxed(self, operation: xdr.Operation) -> tuple[str, str] | None:
        """The (M... address, id) of the account an operation acts for, None if that is a plain one."""
        return self.source_muxed if operation.source_account is None else muxed_of(operation.source_account)


class FeeBump(Submission):
    """A fee bump around an inner transaction."""

    def __init__(
        self, tx: xdr.FeeBumpTransaction, signatures: tuple[Signature, ...], network_id: bytes
    ) -> None:
        kind = EnvelopeType.ENVELOPE_TYPE_TX_FEE_BUMP.to_bytes(4, "big")
        self.body = tx.to_xdr_bytes()
        self.hash = sha256(network_id + kind + self.body).digest()
        self.raw = b""
        self.signatures = signatures
        self.fee = tx.fee.int64
        self.fee_source = account_of_muxed(tx.fee_source)
        self.fee_source_muxed = muxed_of(tx.fee_source)
        inner = tx.inner_tx.v1
        if inner is None:
            raise MalformedEnvelopeError("a fee bump needs an inner transaction of the current form")
        self.inner = Transaction(inner.tx, _signatures(inner.signatures), network_id)
        self.source, self.sequence = self.inner.source, self.inner.sequence
        self.preconditions = self.inner.preconditions
        self.operation_count = self.inner.operation_count + 1
        self.inner.raw = EnvelopeType.ENVELOPE_TYPE_TX.to_bytes(4, "big") + inner.to_xdr_bytes()

    @property
    def transaction(self) -> Transaction:
        """The inner transaction."""
        return self.inner


def network_id(passphrase: str) -> bytes:
    """The id of a network, which every signature covers."""
    return sha256(passphrase.encode()).digest()


def decode(text: str, network: bytes) -> Transaction | FeeBump:
    """Decode a base64 envelope for the network of that id.

    Raises:
        MalformedEnvelopeError: not base64, not exactly one envelope, more than 100 operations, a bad value.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        envelope = xdr.TransactionEnvelope.from_xdr_bytes(raw)
    except (binascii.Error, ValueError, TypeError, EOFError, UnicodeError) as error:
        raise MalformedEnvelopeError(str(error)) from error
    if envelope.fee_bump is not None:
        bump = FeeBump(envelope.fee_bump.tx, _signatures(envelope.fee_bump.signatures), network)
        bump.raw = _checked(raw, bump.body)
        return bump
    if envelope.v0 is not None:
        envelope = _from_v0(envelope.v0)
        raw = envelope.to_xdr_bytes()
    if envelope.v1 is None:
        raise MalformedEnvelopeError("not a transaction envelope")
    transaction = Transaction(envelope.v1.tx, _signatures(envelope.v1.signatures), network)
    transaction.raw = _checked(raw, transaction.body)
    return transaction


def _checked(raw: bytes, body: bytes) -> bytes:
    """The envelope if its content is written in the one way there is, padded with zeros."""
    if raw[4 : 4 + len(body)] != body:
        raise MalformedEnvelopeError("padding must be zero")
    return raw


def _signatures(decorated: list[xdr.DecoratedSignature]) -> tuple[Signature, ...]:
    return tuple((item.hint.signature_hint, item.signature.signature) for item in decorated)


def _from_v0(old: xdr.TransactionV0Envelope) -> xdr.TransactionEnvelope:
    """The current form of an envelope of the first form, as a node makes it on arrival; same hash."""
    tx = old.tx
    cond = xdr.Preconditions(xdr.PreconditionType.PRECOND_NONE)
    if tx.time_bounds is not None:
        cond = xdr.Preconditions(xdr.PreconditionType.PRECOND_TIME, time_bounds=tx.time_bounds)
    source = xdr.MuxedAccount(xdr.CryptoKeyType.KEY_TYPE_ED25519, ed25519=tx.source_account_ed25519)
    new = xdr.Transaction(source, tx.fee, tx.seq_num, cond, tx.memo, tx.operations, xdr.TransactionExt(0))
    return xdr.TransactionEnvelope(
        EnvelopeType.ENVELOPE_TYPE_TX, v1=xdr.TransactionV1Envelope(new, old.signatures)
    )


def _preconditions(cond: xdr.Preconditions) -> Preconditions:
    if cond.v2 is None:
        bounds = cond.time_bounds
        if bounds is None:
            return Preconditions()
        return Preconditions(
            min_time=bounds.min_time.time_point.uint64,
            max_time=bounds.max_time.time_point.uint64,
            has_time_bounds=True,
        )
    v2 = cond.v2
    times, ledgers = v2.time_bounds, v2.ledger_bounds
    return Preconditions(
        min_time=times.min_time.time_point.uint64 if times else 0,
        max_time=times.max_time.time_point.uint64 if times else 0,
        has_time_bounds=times is not None,
        ledger_bounds=(ledgers.min_ledger.uint32, ledgers.max_ledger.uint32) if ledgers else None,
        min_sequence=v2.min_seq_num.sequence_number.int64 if v2.min_seq_num else None,
        min_sequence_age=v2.min_seq_age.duration.uint64,
        min_sequence_ledger_gap=v2.min_seq_ledger_gap.uint32,
        extra_signers=tuple(signer_of(key) for key in v2.extra_signers),
    )
