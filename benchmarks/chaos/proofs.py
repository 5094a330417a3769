"""Verifies the proof that an envelope never landed again, against the ledger as it stands now."""

from __future__ import annotations

from datetime import datetime

from stellar_sdk import TransactionEnvelope

from benchmarks.chaos.book import Book
from benchmarks.chaos.sandbox_client import SandboxClient
from domain.submission import Proof, StoredEnvelope


async def refute(
    stored: StoredEnvelope, proof: Proof | None, bound: int | None, book: Book, ledger: SandboxClient
) -> str | None:
    """What speaks against the proof that an envelope never landed, in one line; None: it stands.

    `bound` is the time bound in the bytes of the stored envelope.
    """
    if proof is None:
        return "there is no proof"
    objection = _as_written(proof, stored, bound)
    if objection is None:
        objection = await _late_ledger(proof, ledger)
    if objection is None:
        objection = await _absent(stored, ledger)
    return objection or _sequence(proof, stored, book)


def bound_of(stored: StoredEnvelope, passphrase: str) -> int | None:
    """The time bound in the bytes of a stored envelope; None without one, or if its hash differs."""
    envelope = TransactionEnvelope.from_xdr(stored.envelope_xdr, passphrase)
    bounds = envelope.transaction.preconditions and envelope.transaction.preconditions.time_bounds
    if not bounds or envelope.hash_hex() != stored.hash or bounds.max_time != stored.max_time:
        return None
    return int(bounds.max_time)


def _as_written(proof: Proof, stored: StoredEnvelope, bound: int | None) -> str | None:
    """The three steps are there and fit together."""
    if proof.kind != "never_landed":
        return f"its proof is of kind {proof.kind}"
    if bound is None or (proof.max_time, stored.max_time) != (bound, bound):
        return f"the bound is {bound} in the envelope, {proof.max_time} in the proof"
    if (proof.account, proof.transaction_sequence) != (stored.channel, stored.sequence):
        return "it is about another account or sequence"
    if proof.ledger is None or proof.account_ledger is None or proof.account_ledger < proof.ledger:
        return "the account was read at an older ledger"
    if proof.account_sequence is None or proof.account_sequence >= stored.sequence:
        return "the sequence was used"
    if stored.hash not in proof.absent_hashes:
        return "it does not name the envelope's hash"
    return None


async def _late_ledger(proof: Proof, ledger: SandboxClient) -> str | None:
    """The ledger it names exists, with that hash, and closed after the bound."""
    path = f"/ledgers/{proof.ledger}"
    if not await ledger.exists(path):
        return f"there is no ledger {proof.ledger}"
    found = await ledger.get(path)
    closed_at = datetime.fromisoformat(found["closed_at"])
    if found["hash"] != proof.ledger_hash or closed_at != proof.ledger_closed_at:
        return f"ledger {proof.ledger} is another one"
    if proof.max_time is None or closed_at.timestamp() <= proof.max_time:
        return f"ledger {proof.ledger} closed before the bound"
    return None


async def _absent(stored: StoredEnvelope, ledger: SandboxClient) -> str | None:
    """None of its hashes is in the ledger now, however often it was handed in since."""
    for hash_ in stored.hashes():
        if await ledger.exists(f"/transactions/{hash_}"):
            return f"transaction {hash_} is in the ledger"
    return None


def _sequence(proof: Proof, stored: StoredEnvelope, book: Book) -> str | None:
    """Whoever used the sequence did so after the account was read, and is another transaction."""
    user = book.of_sequence().get((stored.channel, stored.sequence))
    if user is None:
        return None
    if stored.hash in user.hashes:
        return "the envelope itself used the sequence"
    if proof.account_ledger is None or user.ledger <= proof.account_ledger:
        return f"the sequence was used in ledger {user.ledger}, the account read at {proof.account_ledger}"
    return None
