"""A stranger with a copy of our database: hands in every stored envelope, early, again and far too late."""

from __future__ import annotations

from collections import Counter

from stellar_sdk import FeeBumpTransactionEnvelope, Keypair, TransactionBuilder, TransactionEnvelope

from benchmarks.chaos.clients import Ticket, persist
from benchmarks.chaos.sandbox_client import SandboxClient
from db import reads
from db.session import Database
from domain.submission import Submission

_FEE = 20_000
"""Native stroops an operation: more than most of our own bids, so that it replaces them in the queue."""


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

    async def visit(self, ticket: Ticket, *, wrapped: bool) -> None:
        """Hand in all that is stored for the request at this moment; wrapped, in a fee bump of one's own."""
        submission = await persist(lambda: self._stored(ticket.request.id))
        if submission is None:
            return
        envelopes = [submission.envelope_xdr, *(bump.envelope_xdr for bump in submission.fee_bumps)]
        if wrapped:
            envelopes = [self._wrap(submission, ticket.request.network_passphrase).to_xdr()]
        for envelope in envelopes:
            self.answers[await self._ledger.hand_in(envelope)] += 1

    async def _stored(self, request_id: str) -> Submission | None:
        async with self._database.transaction() as tx:
            record = await reads.request(tx, request_id)
        return record.submission if record else None

    def _wrap(self, submission: Submission, passphrase: str) -> FeeBumpTransactionEnvelope:
        inner = TransactionEnvelope.from_xdr(submission.envelope_xdr, passphrase)
        bump = TransactionBuilder.build_fee_bump_transaction(self._keypair, _FEE, inner, passphrase)
        bump.sign(self._keypair)
        return bump
