"""Handing the stored envelope in, dearer when the network wants more; what is answered is noted."""

from __future__ import annotations

from datetime import UTC, datetime

from activities.stellar import envelope
from activities.stellar.answers import PENDING, Answer, Meaning
from activities.stellar.horizon import Horizon
from activities.stellar.prices import FeePrices
from activities.stellar.rules import SubmissionRules
from activities.stellar.signers import Wallet
from db.session import Database
from db.writes import submissions
from domain.submission import Submission


class Sender:
    """Sends what is stored, never anything else: a fee bump is stored before it is sent."""

    def __init__(
        self,
        database: Database,
        horizon: Horizon,
        wallet: Wallet,
        rules: SubmissionRules,
        prices: FeePrices,
    ) -> None:
        self._database = database
        self._horizon = horizon
        self._wallet = wallet
        self._rules = rules
        self._prices = prices

    async def offer(self, submission: Submission) -> tuple[Submission, Answer]:
        """Send the envelope for the first time, dearer at once if the network says so.

        Returns the submission with its new fee bumps, and the last answer. A plain PENDING is not noted:
        most requests see no other answer, and their end is on record anyway. Raises Unavailable when
        the database is out of reach.
        """
        return await self._send(submission, plain_is_news=False)

    async def offer_again(self, submission: Submission) -> tuple[Submission, Answer]:
        """Send the newest envelope once more; in a fee bump where others bid more than it does by now.

        It has waited for ledgers that took others. Raises Unavailable when the database is out of reach.
        """
        going = await self._prices.going()
        bid, _ = envelope.standing_bid(submission)
        fee = envelope.next_bump_fee(submission, going, self._rules.max_fee_stroops) if going > bid else None
        if fee is not None:
            submission = await self._store_bump(submission, fee)
        return await self._send(submission, plain_is_news=True)

    async def _send(self, submission: Submission, *, plain_is_news: bool) -> tuple[Submission, Answer]:
        """Ends because each bump is dearer than the last and the cap is fixed."""
        while True:
            answer = await self._horizon.send(submission.newest_envelope())
            if plain_is_news or answer.word != PENDING:
                await self._note(submission, answer)
            if answer.meaning is not Meaning.DEARER:
                return submission, answer
            fee = envelope.next_bump_fee(submission, _wanted(submission, answer), self._rules.max_fee_stroops)
            if fee is None:
                return submission, answer
            submission = await self._store_bump(submission, fee)

    async def _note(self, submission: Submission, answer: Answer) -> None:
        async with self._database.transaction() as tx:
            await submissions.note_attempt(
                tx,
                request_id=submission.request_id,
                hash=submission.hashes()[-1],
                answer=answer.word,
                detail=answer.detail,
                at=datetime.now(UTC),
            )

    async def _store_bump(self, submission: Submission, fee: int) -> Submission:
        bump = envelope.bump(
            submission, self._wallet, fee=fee, network_passphrase=self._rules.network_passphrase
        )
        async with self._database.transaction() as tx:
            await submissions.add_fee_bump(
                tx, request_id=submission.request_id, bump=bump, at=datetime.now(UTC)
            )
        return submission.model_copy(update={"fee_bumps": (*submission.fee_bumps, bump)})


def _wanted(submission: Submission, answer: Answer) -> int | None:
    """The least that would do for an operation, rounded up; the node named it for the whole envelope."""
    if answer.wanted_fee is None:
        return None
    _, operations = envelope.standing_bid(submission)
    return -(-answer.wanted_fee // operations)
