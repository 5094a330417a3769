"""One run on a stack of its own: the plan is carried out, everything calms down, the ledger is audited."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import text

from benchmarks.chaos.audit import Findings, audit
from benchmarks.chaos.clients import Case, Clients, open_office, persist
from benchmarks.chaos.crew import Crew, crew_of
from benchmarks.chaos.meddler import Meddler
from benchmarks.chaos.plan import LEDGER_SECONDS, Plan
from benchmarks.chaos.sandbox_client import SandboxClient
from benchmarks.chaos.stranger import Stranger
from benchmarks.chaos.weather import Weather
from benchmarks.desk import Desk, open_desk
from db.session import Database
from domain.mint_request import TERMINAL, MintStatus
from starter.keys import load_key
from starter.local.layout import DataDir
from starter.local.stack import RunningStack, StackOptions, running_stack

CALM_SECONDS = 240.0
"""So long after the last fault every request must have ended: many times what it takes."""

Act = Callable[[], Awaitable[None]]

_LOOK_SECONDS = 0.5
_DECIDERS = ("alice", "bob", "carol")
_STATUSES = text("SELECT id, status FROM mint_requests")


@dataclass(frozen=True)
class Outcome:
    """What a run has shown."""

    plan: Plan
    findings: Findings
    faults: dict[str, int]
    """Carried out, and met by somebody, by kind."""
    workers: int
    conflicts: int
    accepted_conflicts: tuple[str, ...]
    certainty_seconds: tuple[float, ...]
    """From the last approval to the end, ascending; for requests that reached the ledger."""
    horizon_requests: int
    stranger: dict[str, int]
    """Answers to the envelopes that a stranger handed in."""
    seconds: float


async def run(plan: Plan, say: Console, keep: Path | None = None) -> Outcome:
    """Carry a plan out in a directory that is removed afterwards, unless `keep` names one."""
    with tempfile.TemporaryDirectory(prefix="mintkeeper-chaos-") as directory:
        options = StackOptions(
            keep or Path(directory),
            sla_scale=1,
            ledger_interval=LEDGER_SECONDS,
            channels=plan.size.channels,
            submission_window_seconds=plan.size.window_seconds,
        )
        async with (
            running_stack(options, say.print) as stack,
            open_desk(stack, options.data_dir) as desk,
            crew_of(stack, options) as crew,
        ):
            storm = await _Storm.prepare(plan, stack, desk, crew, DataDir(options.data_dir), say)
            return await storm.run()


class _Storm:
    def __init__(
        self, plan: Plan, desk: Desk, clients: Clients, crew: Crew, ledger: SandboxClient, say: Console
    ) -> None:
        self._plan = plan
        self._desk = desk
        self._clients = clients
        self._crew = crew
        self._ledger = ledger
        self._meddler = Meddler(desk.client, clients)
        self._weather = Weather(crew, desk.stack.supervisor, ledger, self._meddler, clients.cases)
        self._stranger = Stranger(ledger, desk.database)
        self._say = say
        self._started = time.monotonic()

    @classmethod
    async def prepare(
        cls, plan: Plan, stack: RunningStack, desk: Desk, crew: Crew, data: DataDir, say: Console
    ) -> _Storm:
        keys = {name: load_key(data.key(name)) for name in _DECIDERS}
        clients = await open_office(desk, keys)
        return cls(plan, desk, clients, crew, SandboxClient(stack.addresses.horizon_url), say)

    async def run(self) -> Outcome:
        await self._stranger.prepare()
        self._started = time.monotonic()
        begun = datetime.now(UTC)
        cases = [self._clients.case(self._plan.seed, ask, begun) for ask in self._plan.asks]
        watching = asyncio.create_task(self._watch(cases))
        sweeping = asyncio.create_task(self._meddler.sweep_up())
        try:
            async with asyncio.TaskGroup() as group:
                for at, act in self._script(cases):
                    group.create_task(self._later(at, act))
            # one-shot faults that nobody has met yet still wait for somebody
            self._say.print(f"nothing more goes wrong after {time.monotonic() - self._started:.0f} s")
            await asyncio.wait({watching}, timeout=CALM_SECONDS)
            faults = await self._weather.clear()
        finally:
            watching.cancel()
            sweeping.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            with suppress(asyncio.CancelledError):
                # what broke the sweeps would let requests wait for ever: that is the run's own fault
                await sweeping
        asked = self._ledger.asked
        await self._come_too_late(cases)
        findings = await audit(self._desk.stack.demo, self._desk.database, self._ledger, cases)
        await self._ledger.close()
        return Outcome(
            plan=self._plan,
            findings=findings,
            faults=faults,
            workers=self._crew.raised,
            conflicts=self._clients.conflicts,
            accepted_conflicts=tuple(self._clients.accepted_conflicts),
            certainty_seconds=_certainty(cases, findings),
            horizon_requests=asked,
            stranger=dict(self._stranger.answers),
            seconds=time.monotonic() - self._started,
        )

    def _script(self, cases: list[Case]) -> Iterator[tuple[float, Act]]:
        """Everything that is to happen, and when."""
        yield self._plan.tickets_from, self._clients.use_tickets
        for case in cases:
            yield case.ask.at, partial(self._clients.see_through, case)
        for fault in self._plan.faults:
            yield fault.at, partial(self._weather.strike, fault)
        for visit in self._plan.visits:
            case = cases[visit.number]
            yield visit.at, partial(self._stranger.visit, case, wrapped=visit.wrapped)

    async def _later(self, at: float, act: Act) -> None:
        await asyncio.sleep(max(0.0, self._started + at - time.monotonic()))
        await act()

    async def _watch(self, cases: list[Case]) -> None:
        """Note when each request has ended, until all have."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._say, transient=True) as progress:
            bar = progress.add_task("requests that have ended", total=len(cases))
            while (ended := await self._ended(cases)) < len(cases):
                progress.update(bar, completed=ended)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _ended(self, cases: list[Case]) -> int:
        statuses = await persist(lambda: _statuses(self._desk.database))
        for case in cases:
            if case.ended_at is None and statuses.get(case.request.id) in TERMINAL:
                case.ended_at = time.monotonic()
        return sum(case.ended_at is not None for case in cases)

    async def _come_too_late(self, cases: list[Case]) -> None:
        """Every envelope is handed in once more; two ledgers later nothing may have come of it."""
        self._say.print("a stranger hands in every stored envelope once more")
        for case in cases:
            for wrapped in (False, True):
                await self._stranger.visit(case, wrapped=wrapped)
        await self._ledger.until(await self._ledger.newest() + 2)


async def _statuses(database: Database) -> dict[str, MintStatus]:
    async with database.transaction() as tx:
        return {row.id: MintStatus(row.status) for row in await tx.execute(_STATUSES)}


def _certainty(cases: list[Case], findings: Findings) -> tuple[float, ...]:
    decided = (MintStatus.CONFIRMED, MintStatus.TIMEOUT_FAILED, MintStatus.ANOMALY)
    return tuple(
        sorted(
            case.ended_at - case.approved_at
            for case in cases
            if case.ended_at is not None
            and case.approved_at is not None
            and findings.statuses.get(case.request.id) in decided
        )
    )
