"""The whole local stack as one block: everything runs inside it, nothing outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.migrate import upgrade
from settings import Settings
from starter import schedules
from starter.local import programs
from starter.local.channels import prepare_channels
from starter.local.environment import SANDBOX_PASSPHRASE, Addresses, local_settings, part_environment
from starter.local.layout import DataDir
from starter.local.leftovers import end_leftovers, only_stack
from starter.local.ports import HOST, keep_ports
from starter.local.postgres import prepare_postgres
from starter.local.readiness import set_retention
from starter.local.stack_file import DemoWorld, stack_document, write_stack_file
from starter.local.supervisor import Supervisor
from starter.local.world import prepare_world
from starter.temporal import connect

_STOP_ORDER = (("worker",), ("web", "providers"), ("sandbox",), ("temporal",), ("postgres",))
"""The worker first, while everything that its running activities need still answers."""


@dataclass(frozen=True)
class StackOptions:
    """What the caller of `up` or `demo` chose."""

    data_dir: Path
    sla_scale: int
    horizon_url: str | None = None
    """A Horizon to use instead of the sandbox ledger; needs `network_passphrase`."""
    network_passphrase: str | None = None
    submission_window_seconds: int | None = None
    ledger_interval: float = 1.0
    """Seconds between the sandbox's ledgers; 0: one closes as soon as something waits."""
    channels: int = 3
    """At least so many channel accounts: so many requests submit in parallel."""


@dataclass(frozen=True)
class RunningStack:
    """A stack that is ready."""

    addresses: Addresses
    demo: DemoWorld
    sla_scale: int
    supervisor: Supervisor

    def document(self) -> dict[str, object]:
        """What `stack.json` says now."""
        pids = {name: pid for name, pid in self.supervisor.pids().items() if name != "postgres"}
        return stack_document(self.addresses, self.demo, self.sla_scale, pids)


@asynccontextmanager
async def running_stack(
    options: StackOptions, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[RunningStack]:
    """Run the stack while the block runs; `tell` hears what is being done.

    Raises Refused when a stack runs on this data directory already, Unavailable when a part does not
    come up.
    """
    data = DataDir(options.data_dir)
    data.create()
    with only_stack(data):
        for name in await asyncio.to_thread(end_leftovers, data):
            tell(f"ended {name}, left over from a stack that was killed")
        launch = _Launch(options, data, tell)
        try:
            yield await launch.start()
        finally:
            await launch.stop()


class _Launch:
    """Brings the parts up in the order of their needs, and down again."""

    def __init__(self, options: StackOptions, data: DataDir, tell: Callable[[str], None]) -> None:
        self._options = options
        self._data = data
        self._tell = tell
        self._supervisor = Supervisor(self._record)
        self._running: RunningStack | None = None

    async def start(self) -> RunningStack:
        self._tell("starting PostgreSQL, Temporal, the ledger and the provider console")
        postgres, database_url = await prepare_postgres(self._data)
        addresses = self._addresses(database_url)
        settings = self._settings(addresses)
        env = part_environment(settings, addresses)
        first = [postgres, programs.temporal_part(self._data, env, addresses)]
        first.append(programs.providers_part(self._data, env, addresses))
        if self._options.horizon_url is None:
            first.append(programs.sandbox_part(self._data, env, addresses, self._options.ledger_interval))
        await _together(*(self._supervisor.start(part) for part in first))
        self._tell("preparing the database, the accounts and the demo tenant")
        _, demo = await _together(self._prepare_temporal(addresses, settings), self._prepare_data(addresses))
        self._tell("starting the worker and the web server")
        await _together(
            self._start_working(env, addresses),
            self._supervisor.start(programs.web_part(self._data, env, addresses)),
        )
        self._running = RunningStack(addresses, demo, settings.sla_scale, self._supervisor)
        self._record()
        return self._running

    async def stop(self) -> None:
        self._tell("stopping")
        for names in _STOP_ORDER:
            await self._supervisor.stop(names)
        self._data.stack_file.unlink(missing_ok=True)

    def _addresses(self, database_url: str) -> Addresses:
        names = ["temporal", "temporal_ui", "sandbox", "providers", "web"]
        ports = keep_ports(self._data.ports_file, names)
        return Addresses.of(
            ports,
            self._options.horizon_url or f"http://{HOST}:{ports['sandbox']}",
            self._options.network_passphrase or SANDBOX_PASSPHRASE,
            database_url,
        )

    def _settings(self, addresses: Addresses) -> Settings:
        settings = local_settings(self._data, addresses, self._options.sla_scale)
        if self._options.submission_window_seconds is None:
            return settings
        return settings.model_copy(
            update={"submission_window_seconds": self._options.submission_window_seconds}
        )

    async def _prepare_temporal(self, addresses: Addresses, settings: Settings) -> None:
        await set_retention(addresses.temporal_address, settings.retention_days)
        await schedules.apply(await connect(address=addresses.temporal_address))

    async def _prepare_data(self, addresses: Addresses) -> DemoWorld:
        await asyncio.to_thread(upgrade, addresses.database_url)
        return await prepare_world(self._data, addresses)

    async def _start_working(self, env: dict[str, str], addresses: Addresses) -> None:
        await self._supervisor.start(programs.worker_part(self._data, env, addresses))
        await prepare_channels(addresses, self._options.channels)

    def _record(self) -> None:
        """Write `stack.json`, now and whenever a part was started again."""
        if self._running is not None:
            write_stack_file(self._data, self._running.document())


async def _together(*steps: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run steps at the same time; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in steps]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
