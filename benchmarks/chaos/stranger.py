"""A stranger with a copy of our database: hands in every stored envelope, early, again and far too late."""

from __future__ import annotations

from collections import Counter

from stellar_sdk import FeeBumpTransactionEnvelope, Keypair, TransactionBuilder, TransactionEnvelope

from benchmarks.chaos.clients import Case, persist
from benchmarks.chaos.sandbox_client import SandboxClient
from db import reads
from db.session import Database
from domain.records import RequestRecord

_DEARER = 10
"""Times the fee of the envelope inside: so much replaces it in a node's queue."""


class Stranger:
    """Has money of its own for fees, and no key of ours."""

    def __init__(self, ledger: SandboxClient, database: Database) -> None:
        self.answers: Counter[str] = Counter()
        self._ledger = ledger
        self._database = database
        self._keypair = Keypair.random()

    async def prepare(self) -> None:
        """Get an account."""
        await self._ledger.fund(self._keypair.public_key)

    async def visit(self, case: Case, *, wrapped: bool) -> None:
        """Hand in all that is stored for the request at this moment; wrapped, in a fee bump of one's own."""
        record = await persist(lambda: self._record(case.request.id))
        if record is None:
            return
        signed = [stored.envelope_xdr for stored in (record.ticket, record.submission) if stored]
        if wrapped:
            envelopes = [self._wrap(one, case.request.network_passphrase).to_xdr() for one in signed]
        else:
            bumps = record.submission.fee_bumps if record.submission else ()
            envelopes = [*signed, *(bump.envelope_xdr for bump in bumps)]
        for envelope in envelopes:
            self.answers[await self._ledger.hand_in(envelope)] += 1

    async def _record(self, request_id: str) -> RequestRecord | None:
        async with self._database.transaction() as tx:
            return await reads.request(tx, request_id)

    def _wrap(self, envelope_xdr: str, passphrase: str) -> FeeBumpTransactionEnvelope:
        inner = TransactionEnvelope.from_xdr(envelope_xdr, passphrase)
        fee = _DEARER * -(-inner.transaction.fee // len(inner.transaction.operations))
        bump = TransactionBuilder.build_fee_bump_transaction(self._keypair, fee, inner, passphrase)
        bump.sign(self._keypair)
        return bump
