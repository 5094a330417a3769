"""From a stored envelope to its end: look, send the same again, bump, confirm, prove, conclude."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio import activity

from activities.pulse import Pulse
from activities.stellar import proof, verdict
from activities.stellar.answers import Answer, Meaning
from activities.stellar.channel_gate import ChannelGate
from activities.stellar.handover import Handover, Sent
from activities.stellar.history import History
from activities.stellar.horizon import Horizon, Ledger
from activities.stellar.ledger_watch import LedgerWatch
from activities.stellar.sender import Sender
from activities.stellar.suspicion import Suspicions
from db import reads
from db.session import Database
from db.writes import submissions
from domain.errors import NotFound, Refused, TransitionRefused, Unavailable
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.submission import Landed, Outcome, Submission, SubmissionResult

LEDGERS_BEFORE_RESEND = {
    Meaning.TAKEN: 3,
    Meaning.AGAIN: 1,
    Meaning.DEARER: 1,
    Meaning.UNFUNDED: 1,
    Meaning.UNKNOWN: 1,
}
"""How many ledgers may close without the envelope before it is sent again; REFUSED is never sent again."""

LOOK_LEDGERS = 4
"""After so many ledgers without a word from the watcher this submission is looked up by itself."""

FIRST_LOOK_SECONDS = 1.0
"""So old the newest ledger may be at the first look."""

LONGEST_BLIND = 5.0
"""Seconds after which to look again although no ledger has closed: Horizon may take in late."""


_NOT_KNOWN = Answer(Meaning.UNKNOWN, "not_known")


class WorkerStopping(Unavailable):
    """This worker is shutting down: another one goes on."""

    code = "worker_stopping"


@dataclass(slots=True)
class _Course:
    """What this attempt knows; nothing is lost with it, the next attempt starts with a look."""

    record: RequestRecord
    submission: Submission
    answer: Answer
    pulse: Pulse
    step: str = "looking"
    looks: int = 0
    newest: int = -1
    """The newest ledger that this course knows of."""
    looked_at_ledger: int = -1
    looked_at: float = 0.0
    sent_at_ledger: int | None = None
    watched: bool = False
    """The watcher has followed since before the envelope was sent: it knows if it landed."""
    hurried: bool = False
    """What is missing needs no ledger to close, so the next look comes soon."""
    quiet_until: float = 0.0
    """Local monotonic seconds until which the server asked to be left alone."""

    def watched_since(self, ledger: int) -> None:
        """The envelope was sent after this ledger, with the watcher following: no look is due for a while."""
        self.watched = True
        self.newest = self.sent_at_ledger = self.looked_at_ledger = ledger
        self.looked_at = time.monotonic()


class Settler:
    """Follows one submission until the ledger, or the proof, has decided."""

    def __init__(
        self,
        database: Database,
        horizon: Horizon,
        watch: LedgerWatch,
        sender: Sender,
        handover: Handover,
        gate: ChannelGate,
    ) -> None:
        self._database = database
        self._horizon = horizon
        self._watch = watch
        self._sender = sender
        self._handover = handover
        self._gate = gate
        self._suspicions = Suspicions()

    async def settle(self, request_id: str, pulse: Pulse) -> SubmissionResult:
        """Return how the submission ended, stored in the database with its proof.

        Waits as long as the ledger needs: only ledger time ends it. Raises Unavailable when Horizon or
        the database is out of reach or the worker stops: again later, elsewhere.
        """
        async with self._watch.following():
            begun = await self._begin(request_id, pulse, self._handover.take(request_id))
            if isinstance(begun, SubmissionResult):
                return begun
            while (result := await self._step(begun)) is None:
                await self._pause(begun, LONGEST_BLIND)
            return await self._conclude(begun, result)

    async def look_first(self, request_id: str, pulse: Pulse, seconds: float) -> SubmissionResult | None:
        """The same for so many local seconds only; None says nothing about the ledger, `settle` goes on.

        To be called in the block in which it was sent, with the watcher following from its beginning.
        """
        until = time.monotonic() + seconds
        sent = self._handover.take(request_id)
        begun = await self._begin(request_id, pulse, sent)
        if isinstance(begun, SubmissionResult):
            return begun
        if sent is not None and sent.just_signed:
            begun.watched_since(begun.submission.signed_at_ledger)
        while (left := until - time.monotonic()) > 0:
            await self._pause(begun, left)
            result = await self._step(begun)
            if result is not None:
                return await self._conclude(begun, result)
        return None

    async def _begin(self, request_id: str, pulse: Pulse, sent: Sent | None) -> _Course | SubmissionResult:
        """What is known of the submission, or how it has ended already; raises Refused if there is none."""
        sent = sent or Sent(await self._load(request_id), _NOT_KNOWN)
        if sent.record.result is not None:
            return sent.record.result
        if sent.record.submission is None:
            raise Refused(f"mint request {request_id} has no stored submission to settle")
        return _Course(sent.record, sent.record.submission, sent.answer, pulse)

    async def _step(self, course: _Course) -> SubmissionResult | None:
        # the first look needs no fresh ledger: an older one only makes the second look come sooner
        newest = await self._watch.newest(self._watch.pause() if course.looks else FIRST_LOOK_SECONDS)
        course.newest = newest.sequence
        if course.sent_at_ledger is None:
            course.sent_at_ledger = newest.sequence
        course.pulse({"step": course.step, "newest": newest.sequence, "looks": course.looks})
        landed = self._watch.found(course.submission)
        if landed is None and proof.bound_is_past(course.submission, newest):
            return await self._prove(course, newest) if self._due_to_prove(course, newest) else None
        if landed is None and self._due_to_look(course, newest):
            landed = await self._look(course, newest)
        if landed is not None:
            return verdict.judge_landed(course.record.request, course.submission, landed)
        if _due_to_send(course, newest):
            await self._send(course, newest)
        course.step = "waiting for ledger"
        return None

    def _due_to_look(self, course: _Course, newest: Ledger) -> bool:
        """Look for oneself at first, before sending again, now and then, and while the watcher is blind."""
        if not self._watch.live or not (course.looks or course.watched):
            return self._due_to_prove(course, newest)
        waited = newest.sequence - course.looked_at_ledger
        return waited >= LOOK_LEDGERS or (waited > 0 and _due_to_send(course, newest))

    @staticmethod
    def _due_to_prove(course: _Course, newest: Ledger) -> bool:
        blind = time.monotonic() - course.looked_at
        return course.hurried or newest.sequence > course.looked_at_ledger or blind >= LONGEST_BLIND

    async def _look(self, course: _Course, newest: Ledger) -> Landed | None:
        # marked before looking: a ledger that closes meanwhile is one more reason to look
        course.looked_at_ledger, course.looked_at = newest.sequence, time.monotonic()
        course.looks += 1
        return await proof.find(self._horizon, course.submission)

    async def _send(self, course: _Course, newest: Ledger) -> None:
        course.submission, course.answer = await self._sender.offer_again(course.submission)
        course.sent_at_ledger = newest.sequence
        course.quiet_until = time.monotonic() + (course.answer.retry_after or 0.0)
        if course.answer.meaning is Meaning.UNFUNDED:
            activity.logger.error("channel account %s cannot pay the fee: fund it", course.submission.channel)

    async def _prove(self, course: _Course, late: Ledger) -> SubmissionResult | None:
        """After a ledger past the bound has been seen; None while Horizon lags behind it."""
        course.step = "proving"
        course.looked_at_ledger, course.looked_at = late.sequence, time.monotonic()
        course.looks += 1
        # another worker may have stored a fee bump: read them all, now that none can be of use any more
        course.record = await self._load(course.submission.request_id)
        if course.record.result is not None:
            return course.record.result
        course.submission = course.record.submission or course.submission
        network = course.record.request.network_passphrase
        finding = await proof.prove(self._horizon, course.submission, late, network)
        if isinstance(finding, Landed):
            return verdict.judge_landed(course.record.request, course.submission, finding)
        # if nothing but the account's height is missing, no ledger has to close for that
        course.hurried = finding is None
        if finding is None:
            return None
        if finding.kind != "never_landed":
            history = History(self._horizon.url, course.record.request, course.submission)
            finding = await self._suspicions.weigh(history, course.submission, finding, late.sequence)
        return None if finding is None else verdict.judge_proof(course.submission, finding)

    async def _conclude(self, course: _Course, result: SubmissionResult) -> SubmissionResult:
        try:
            async with self._database.transaction() as tx:
                record = await submissions.conclude(
                    tx, record=course.record, result=result, at=datetime.now(UTC)
                )
        except TransitionRefused:
            # a comment, a fee bump or another worker came between: read the request as it stands
            record = await self._conclude_anew(course, result)
        self._gate.freed()
        if record.result == result and result.outcome is Outcome.ANOMALY:
            activity.logger.error("mint request %s: %s", record.request.id, result.reason)
        return record.result or result

    async def _conclude_anew(self, course: _Course, result: SubmissionResult) -> RequestRecord:
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, course.submission.request_id)
            if record.status is MintStatus.SUBMITTING:
                return await submissions.conclude(tx, record=record, result=result, at=datetime.now(UTC))
        return await self._load(course.submission.request_id)

    async def _pause(self, course: _Course, most: float) -> None:
        """Wait until something can be done, at most so many seconds; raises WorkerStopping meanwhile."""
        seconds = LONGEST_BLIND if self._watch.live and not course.hurried else self._watch.pause()
        seconds = min(max(seconds, course.quiet_until - time.monotonic()), LONGEST_BLIND, most)
        waiting = asyncio.ensure_future(
            self._watch.wait(
                course.submission, seen=course.newest, until=_next_ledger(course), seconds=seconds
            )
        )
        stopping = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                raise WorkerStopping("this worker is shutting down: another one goes on")
        finally:
            waiting.cancel()
            stopping.cancel()

    async def _load(self, request_id: str) -> RequestRecord:
        async with self._database.transaction() as tx:
            record = await reads.request(tx, request_id)
        if record is None:
            raise NotFound(f"there is no mint request {request_id}")
        return record


def _due_to_send(course: _Course, newest: Ledger) -> bool:
    wait = LEDGERS_BEFORE_RESEND.get(course.answer.meaning)
    if wait is None or course.sent_at_ledger is None or time.monotonic() < course.quiet_until:
        return False
    return newest.sequence >= course.sent_at_ledger + wait


def _next_ledger(course: _Course) -> int:
    """The ledger at which there is something to do, should the watcher say nothing before."""
    resend = LEDGERS_BEFORE_RESEND.get(course.answer.meaning)
    look = course.looked_at_ledger + LOOK_LEDGERS
    if resend is None or course.sent_at_ledger is None:
        return look
    return min(look, course.sent_at_ledger + resend)
