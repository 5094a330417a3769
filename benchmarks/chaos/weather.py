"""Carries out the faults of a plan: on workers, on servers, on the ledger."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress

import psutil  # type: ignore[import-untyped]  # its wheel carries no types

from benchmarks.chaos.clients import Case
from benchmarks.chaos.crew import Crew
from benchmarks.chaos.meddler import Meddler
from benchmarks.chaos.plan import HOUR, Blow, Fault
from benchmarks.chaos.sandbox_client import SandboxClient
from sandbox.ledger.faults import LASTING
from starter.local.supervisor import Supervisor

_KILLED = {
    Blow.SANDBOX_KILLED: ("sandbox", signal.SIGKILL),
    Blow.TEMPORAL_KILLED: ("temporal", signal.SIGKILL),
    Blow.POSTGRES_KILLED: ("postgres", signal.SIGKILL),
    # ends all sessions and writes all to disk; the supervisor starts it again
    Blow.POSTGRES_RESTARTED: ("postgres", signal.SIGINT),
}
_FROZEN = {
    Blow.SANDBOX_FROZEN: "sandbox",
    Blow.TEMPORAL_FROZEN: "temporal",
    Blow.POSTGRES_FROZEN: "postgres",
}
_CLOCKS = {Blow.WORKER_KILLED: 0, Blow.CLOCK_AHEAD: HOUR, Blow.CLOCK_BEHIND: -HOUR}


class Weather:
    """What goes wrong."""

    def __init__(
        self,
        crew: Crew,
        supervisor: Supervisor,
        ledger: SandboxClient,
        meddler: Meddler,
        cases: Sequence[Case],
    ) -> None:
        self.done: Counter[str] = Counter()
        """Faults by kind that were carried out."""
        self._crew = crew
        self._supervisor = supervisor
        self._ledger = ledger
        self._meddler = meddler
        self._cases = cases

    async def strike(self, fault: Fault) -> None:
        """Carry one fault out, to its end if it lasts; a workflow that has ended can't be ended again."""
        if fault.kind in (Blow.WORKFLOW_ENDED, Blow.WORKFLOW_RESET):
            self.done[fault.kind] += await self._meddle(fault)
            return
        await self._blow(fault)
        self.done[fault.kind] += 1

    async def _meddle(self, fault: Fault) -> bool:
        case = self._cases[fault.number]
        if fault.kind == Blow.WORKFLOW_RESET:
            return await self._meddler.reset(case)
        return await self._meddler.terminate(case)

    async def _blow(self, fault: Fault) -> None:
        if fault.kind in _KILLED:
            await self._kill(*_KILLED[Blow(fault.kind)])
        elif fault.kind in _FROZEN:
            await self._freeze(_FROZEN[Blow(fault.kind)], fault.seconds)
        elif fault.kind == Blow.WORKER_STOPPED:
            await self._crew.hand_over()
        elif fault.kind in _CLOCKS:
            await self._crew.replace(_CLOCKS[Blow(fault.kind)])
        elif fault.kind == Blow.WORKER_FROZEN:
            await self._crew.freeze(fault.seconds)
        elif fault.kind == Blow.TWO_WORKERS:
            await self._crew.beside(fault.seconds)
        else:
            await self._of_the_ledger(fault)

    async def _kill(self, part: str, number: signal.Signals) -> None:
        faults = await self._ledger.take_stock() if part == "sandbox" else []
        with suppress(ProcessLookupError):
            os.kill(self._supervisor.pids()[part], number)
        await self._ledger.put_back(faults)

    async def _freeze(self, part: str, seconds: float) -> None:
        """Nothing answers, no connection breaks; what was sent meanwhile is read later."""
        frozen = _with_children(self._supervisor.pids()[part])
        try:
            _send(frozen, signal.SIGSTOP)
            await asyncio.sleep(seconds)
        finally:
            _send(frozen, signal.SIGCONT)

    async def _of_the_ledger(self, fault: Fault) -> None:
        await self._ledger.switch_on(fault)
        if fault.kind in LASTING:
            await asyncio.sleep(fault.seconds)
            await self._ledger.switch_off(fault.kind)

    async def clear(self) -> dict[str, int]:
        """All faults of the ledger are over; what was carried out, without what met nobody."""
        return dict(self.done - Counter(await self._ledger.clear()))


def _with_children(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """A signal to those of them that still live."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
