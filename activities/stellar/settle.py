"""From a stored envelope to its end: look, send the same again, bump, confirm, prove, conclude."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio import activity

from activities.stellar import proof, verdict
from activities.stellar.answers import Answer, Meaning
from activities.stellar.handover import Handover, Sent
from activities.stellar.horizon import Horizon, Ledger
from activities.stellar.ledger_watch import LedgerWatch
from activities.stellar.pulse import Pulse
from activities.stellar.sender import Sender
from db import reads
from db.session import Database
from db.writes import submissions
from domain.errors import NotFound, Refused, TransitionRefused, Unavailable
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.submission import Landed, Outcome, Proof, Submission, SubmissionResult

LEDGERS_BEFORE_RESEND = {
    Meaning.TAKEN: 3,
    Meaning.AGAIN: 1,
    Meaning.DEARER: 1,
    Meaning.UNFUNDED: 1,
    Meaning.UNKNOWN: 1,
}
"""How many ledgers may close without the envelope before it is sent again; REFUSED is never sent again."""

ANOMALY_LEDGERS = 3
"""So many more ledgers must close before a used sequence without the hash counts: one of Horizon's
sources may only lag behind."""

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
    looked_at_ledger: int = -1
    looked_at: float = 0.0
    sent_at_ledger: int | None = None
    quiet_until: float = 0.0
    """Local monotonic seconds until which the server asked to be left alone."""
    used_up_since: int | None = None
    """Ledger at which the sequence was first seen used while the hash was absent."""


class Settler:
    """Follows one submission until the ledger, or the proof, has decided."""

    def __init__(
        self, database: Database, horizon: Horizon, watch: LedgerWatch, sender: Sender, handover: Handover
    ) -> None:
        self._database = database
        self._horizon = horizon
        self._watch = watch
        self._sender = sender
        self._handover = handover

    async def settle(self, request_id: str, pulse: Pulse) -> SubmissionResult:
        """Return how the submission ended, stored in the database with its proof.

        Waits as long as the ledger needs: only ledger time ends it. Raises Unavailable when Horizon or
        the database is out of reach or the worker stops: again later, elsewhere.
        """
        begun = await self._begin(request_id, pulse)
        if isinstance(begun, SubmissionResult):
            return begun
        while (result := await self._step(begun)) is None:
            await self._pause(begun)
        return await self._conclude(begun, result)

    async def look_first(self, request_id: str, pulse: Pulse, seconds: float) -> SubmissionResult | None:
        """The same for so many local seconds only; None says nothing about the ledger, `settle` goes on."""
        until = time.monotonic() + seconds
        begun = await self._begin(request_id, pulse)
        if isinstance(begun, SubmissionResult):
            return begun
        while time.monotonic() < until:
            result = await self._step(begun)
            if result is not None:
                return await self._conclude(begun, result)
            await self._pause(begun)
        return None

    async def _begin(self, request_id: str, pulse: Pulse) -> _Course | SubmissionResult:
        """What is known of the submission, or how it has ended already; raises Refused if there is none."""
        just_sent = self._handover.take(request_id)
        sent = just_sent or Sent(await self._load(request_id), _NOT_KNOWN)
        if sent.record.result is not None:
            return sent.record.result
        if sent.record.submission is None:
            raise Refused(f"mint request {request_id} has no stored submission to settle")
        course = _Course(sent.record, sent.record.submission, sent.answer, pulse)
        if just_sent is not None:
            # nothing can have closed since: looking at once would only cost a question
            await self._pause(course)
        return course

    async def _step(self, course: _Course) -> SubmissionResult | None:
        # the first look needs no fresh ledger: an older one only makes the second look come sooner
        newest = await self._watch.newest(self._watch.pause() if course.looks else FIRST_LOOK_SECONDS)
        if course.sent_at_ledger is None:
            course.sent_at_ledger = newest.sequence
        course.pulse({"step": course.step, "newest": newest.sequence, "looks": course.looks})
        if not self._due_to_look(course, newest):
            return None
        if proof.bound_is_past(course.submission, newest):
            return await self._prove(course, newest)
        landed = await self._look(course, newest)
        if landed is not None:
            return verdict.judge_landed(course.record.request, course.submission, landed)
        if _due_to_send(course, newest):
            await self._send(course, newest)
        course.step = "waiting for ledger"
        return None

    @staticmethod
    def _due_to_look(course: _Course, newest: Ledger) -> bool:
        blind = time.monotonic() - course.looked_at
        return newest.sequence > course.looked_at_ledger or blind >= LONGEST_BLIND

    async def _look(self, course: _Course, newest: Ledger) -> Landed | None:
        # marked before looking: a ledger that closes meanwhile is one more reason to look
        course.looked_at_ledger, course.looked_at = newest.sequence, time.monotonic()
        course.looks += 1
        return await proof.find(self._horizon, course.submission)

    async def _send(self, course: _Course, newest: Ledger) -> None:
        course.submission, course.answer = await self._sender.offer(course.submission)
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
        finding = await proof.prove(self._horizon, course.submission, late)
        if isinstance(finding, Landed):
            return verdict.judge_landed(course.record.request, course.submission, finding)
        if finding is None:
            # nothing but the account's height is missing, and no ledger has to close for that
            course.looked_at_ledger = -1
            return None
        if self._may_only_lag(course, finding, late):
            return None
        return verdict.judge_proof(course.submission, finding)

    @staticmethod
    def _may_only_lag(course: _Course, finding: Proof, late: Ledger) -> bool:
        if finding.kind == "never_landed":
            return False
        if course.used_up_since is None:
            course.used_up_since = late.sequence
        return late.sequence < course.used_up_since + ANOMALY_LEDGERS

    async def _conclude(self, course: _Course, result: SubmissionResult) -> SubmissionResult:
        try:
            async with self._database.transaction() as tx:
                record = await submissions.conclude(
                    tx, record=course.record, result=result, at=datetime.now(UTC)
                )
        except TransitionRefused:
            # a comment, a fee bump or another worker came between: read the request as it stands
            record = await self._conclude_anew(course, result)
        if record.result == result and result.outcome is Outcome.ANOMALY:
            activity.logger.error("mint request %s: %s", record.request.id, result.reason)
        return record.result or result

    async def _conclude_anew(self, course: _Course, result: SubmissionResult) -> RequestRecord:
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, course.submission.request_id)
            if record.status is MintStatus.SUBMITTING:
                return await submissions.conclude(tx, record=record, result=result, at=datetime.now(UTC))
        return await self._load(course.submission.request_id)

    async def _pause(self, course: _Course) -> None:
        """Wait until the next look; raises WorkerStopping when the worker shuts down meanwhile."""
        pause = max(self._watch.pause(), course.quiet_until - time.monotonic())
        try:
            await asyncio.wait_for(activity.wait_for_worker_shutdown(), timeout=min(pause, LONGEST_BLIND))
        except TimeoutError:
            return
        raise WorkerStopping("this worker is shutting down: another one goes on")

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
