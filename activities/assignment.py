"""The assignment sweep: gives what nobody took to somebody who may, one short transaction a request."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from temporalio import activity

from activities.pulse import Pulse, beating
from db import reads
from db.reads.assignment import Due, assigned_lately, candidates, due_requests
from db.session import Database
from db.writes.assignment import assign_automatically, note_nobody
from domain import steps
from domain.assignment import Candidate, Choice, Matter, choose, obstacles, why_nobody
from domain.assignment_steps import (
    MOST_NAMED,
    Behind,
    Given,
    PassAnswer,
    SweepReport,
    SweepStep,
    TellAnswer,
    TellStep,
)
from domain.errors import NotFound, Refused, Unavailable
from domain.mint_request import MintStatus
from domain.records import RequestRecord

PASS: Final = 500
"""Requests that one pass looks at."""

REPEATED: Final = timedelta(hours=3)
"""Workflows are told again of what earlier sweeps have assigned so lately: one may have died untold."""

_AT_ONCE: Final = 20
"""Workflows that are told side by side."""

_STRIKES: Final = 3
"""So often in a row the database may be out of reach before the pass is given up."""

_FROM_THE_FIRST = (datetime(1970, 1, 1, tzinfo=UTC), "")


class Workflows(Protocol):
    """What the sweep needs of Temporal; given by `starter`."""

    async def tell_assigned(self, request_id: str) -> bool:
        """Let a request's workflow look who has it; False: none is running. Raises what Temporal raises."""


class AssignmentActivities:
    """Assigns in the database, and tells the workflows afterwards."""

    def __init__(self, database: Database, workflows: Workflows, most: int = PASS) -> None:
        """`most` is how many requests one pass looks at."""
        self._database = database
        self._workflows = workflows
        self._most = most

    @activity.defn(name=steps.AUTO_ASSIGN)
    async def auto_assign(self, step: SweepStep) -> PassAnswer:
        """One pass over what is due, the longest unassigned first.

        What fails or is overtaken is counted and left to the next sweep. Raises Unavailable when the
        database stays out of reach.
        """
        behind = (step.behind.since, step.behind.request_id) if step.behind else _FROM_THE_FIRST
        async with beating() as pulse:
            async with self._database.transaction() as tx:
                due = await due_requests(tx, step.at, behind=behind, limit=self._most)
            report = await _Pass(self._database, step.at, pulse).over(due)
        last = Behind(since=due[-1].since, request_id=due[-1].request_id) if len(due) == self._most else None
        return PassAnswer(report=report, behind=last)

    @activity.defn(name=steps.TELL_ASSIGNED)
    async def tell_assigned(self, step: TellStep) -> TellAnswer:
        """Let the workflows of what was assigned lately look who has it; twice is as good as once.

        One that can't be told keeps no other from it; then raises what Temporal said last.
        """
        async with self._database.transaction() as tx:
            ids = await assigned_lately(tx, step.since - REPEATED)
        answers: list[bool | BaseException] = []
        async with beating() as pulse:
            for start in range(0, len(ids), _AT_ONCE):
                pulse(ids[start])
                some = map(self._workflows.tell_assigned, ids[start : start + _AT_ONCE])
                answers += await asyncio.gather(*some, return_exceptions=True)
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        if failures:
            activity.logger.error("%d workflows could not be told who has their request", len(failures))
            raise failures[-1]
        return TellAnswer(told=answers.count(True), missing=answers.count(False))


class _Pass:
    """One pass, with everybody's load as it grows."""

    def __init__(self, database: Database, at: datetime, pulse: Pulse) -> None:
        self._database = database
        self._at = at
        self._pulse = pulse
        self._people: dict[str, dict[str, Candidate]] = {}
        self._given: list[Given] = []

    async def over(self, due: list[Due]) -> SweepReport:
        """Go through them and count what came of each."""
        counts, strikes = Counter[str](), 0
        for one in due:
            self._pulse(one.request_id)
            try:
                outcome = await self._handle(one)
            except (Refused, NotFound) as error:
                # whoever was chosen may have become the wrong one
                self._people.pop(one.tenant, None)
                activity.logger.info("%s is left to the next sweep: %s", one.request_id, error.message)
                outcome = "overtaken"
            except Unavailable:
                strikes += 1
                if strikes == _STRIKES:
                    raise
                outcome = "failed"
            except Exception:  # noqa: BLE001 - one that nobody foresaw must not end the sweep
                activity.logger.exception("%s could not be assigned", one.request_id)
                outcome = "failed"
            else:
                strikes = 0
            counts[outcome] += 1
        return SweepReport(looked_at=len(due), given=tuple(self._given[:MOST_NAMED]), **counts)

    async def _handle(self, due: Due) -> str:
        people = await self._of(due.tenant)
        choice = choose(people.values(), due.matter, self._at)
        if choice.candidate is not None:
            return await self._assign(due, choice.candidate)
        return await self._leave(due, choice, people)

    async def _of(self, tenant: str) -> dict[str, Candidate]:
        if tenant not in self._people:
            async with self._database.transaction() as tx:
                found = await candidates(tx, tenant, self._at)
            self._people[tenant] = {one.name: one for one in found}
        return self._people[tenant]

    async def _assign(self, due: Due, to: Candidate) -> str:
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, due.request_id)
            fits = next(obstacles(to, Matter.of(record), self._at), None) is None
            if not (_is_still(record, due) and fits):
                return "overtaken"
            await assign_automatically(tx, record=record, to=to, at=self._at)
        self._given.append(Given(request_id=due.request_id, assignee=to.name))
        self._people[due.tenant][to.name] = replace(to, load=to.load + 1, last_assigned_at=self._at)
        return "assigned"

    async def _leave(self, due: Due, choice: Choice, people: dict[str, Candidate]) -> str:
        if choice.only_closed:
            return "waiting"
        if due.nobody_noted:
            return "nobody"
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, due.request_id)
            if not _is_still(record, due):
                return "overtaken"
            why = why_nobody(list(people.values()), due.matter, self._at)
            await note_nobody(tx, record=record, why=why, at=self._at)
        return "nobody"


def _is_still(record: RequestRecord, due: Due) -> bool:
    """Tell whether nobody has touched it since it was read: the same time of being unassigned lasts."""
    return record.status is MintStatus.PENDING and record.unassigned_since == due.since
