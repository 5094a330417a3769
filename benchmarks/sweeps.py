"""The periodic sweeps over many requests: how long they take, and that they read indexes.

Everything runs on a fresh embedded database without a Temporal server: what is measured is the work of
one sweep. `loaded` gives the database to whoever measures another, `scans` the plans of its statements.
By itself: `python -m benchmarks.sweeps`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import io
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, redirect_stderr
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import TextClause, text
from temporalio.testing import ActivityEnvironment

from activities.sla import SlaActivities
from benchmarks import assignment
from benchmarks.population import lives, load
from db import migrate
from db.reads.sla import findings, unraised
from db.seed import POLICY, TENANT, TOPICS, seed_demo_tenant
from db.session import Database, Transaction
from domain.runs import EventRun
from domain.sla import MOST_ALERTS, AlertPass, SlaStep, occurrence_of
from domain.sla_report import SlaOutcome
from starter.local.layout import DataDir
from starter.local.postgres import NAME, prepare_postgres
from starter.local.supervisor import Supervisor

ROUNDS = 3
DAYS = 90
APPROVERS = ("alice", "bob", "carol", "dave")
GUARDED = ("mint_requests", "mint_request_stays")
"""Tables that grow for ever: no sweep may read one of them as a whole."""

_OFFICE = """
WITH office AS (
    INSERT INTO calendars (tenant, code, name, time_zone, hours, country)
    SELECT 'acme', 'office', 'Office', 'Europe/Berlin',
        jsonb_object_agg(day, CAST('[["09:00", "17:00"]]' AS jsonb)), 'DE'
    FROM unnest(ARRAY['mon', 'tue', 'wed', 'thu', 'fri']) AS day RETURNING code)
UPDATE topics SET calendar = office.code FROM office WHERE topics.code = 'treasury-us'
"""
_RAISED = """
INSERT INTO escalation_runs (id, tenant, event_kind, request_id, occurrence, rule_id, action_hash, sla_scale,
    state, version, next_stage, started_at, ended_at, ended_by, reason)
SELECT 'esc_' || md5(u.id), 'acme', 'sla.overdue', u.id, u.occurrence, 'event:sla.overdue',
    md5(u.id) || md5(u.id), 1, 'suppressed', 1, 0, now(), now(), 'clock', ''
FROM unnest(%s::varchar[], %s::varchar[]) AS u (id, occurrence)
"""


@dataclass(frozen=True)
class Population:
    """A database with many requests, as they stand at `at`."""

    database: Database
    url: str
    count: int
    at: datetime


@dataclass(frozen=True)
class SlaFigure:
    """How long a check takes; `seconds` is the median of the rounds, with everything alerted already."""

    requests: int
    overdue: int
    seconds: float
    rounds: list[float]
    alerts: int
    alert_seconds: float
    """One full pass of alerts, each in a transaction of its own."""
    scans: list[str]


class Noting(Transaction):
    """An open transaction that notes which statements it runs, to be explained later."""

    def __init__(self, inner: Transaction) -> None:
        super().__init__(inner._connection, inner._driver)
        self.noted: list[tuple[TextClause, Mapping[str, Any]]] = []

    async def _run(self, statement: TextClause, params: Mapping[str, Any]) -> psycopg.AsyncCursor[Any]:
        self.noted.append((statement, params))
        return await super()._run(statement, params)


class NoRuns:
    """The demo tenant has no rule that starts a run."""

    async def start_run(self, run: EventRun, summary: str) -> None:
        """Never asked for."""
        raise AssertionError(f"{run.id} of {summary} was not meant to start")


@asynccontextmanager
async def loaded(count: int) -> AsyncIterator[Population]:
    """The demo tenant and so many requests, one topic with office hours; the database is thrown away."""
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    with tempfile.TemporaryDirectory(prefix="mintkeeper-sweeps-") as directory:
        async with _server(Path(directory)) as url:
            await asyncio.to_thread(migrate.upgrade, url)
            database, keys = Database(url), {name: secrets.token_bytes(32) for name in APPROVERS}
            async with database.transaction() as tx:
                await seed_demo_tenant(tx, keys, None, at - timedelta(days=365))
                await tx.run(text(_OFFICE))
            topics = [(TENANT, topic) for topic in TOPICS]
            found = lives(count, topics, at, days=DAYS, seed=7, approvers=APPROVERS)
            await asyncio.to_thread(load, url, found, POLICY.id)
            yield Population(database, url, count, at)
            await database.close()


@asynccontextmanager
async def _server(directory: Path) -> AsyncIterator[str]:
    data = DataDir(directory)
    data.create()
    part, url = await prepare_postgres(data)
    supervisor = Supervisor(lambda: None)
    try:
        await supervisor.start(part)
        yield url
    finally:
        await supervisor.stop([NAME])


async def measure(count: int) -> dict[str, dict[str, object]]:
    """Every sweep over so many requests."""
    async with loaded(count) as population:
        assigning = await assignment.measure(population.database, TENANT, population.at, scans)
        return {
            "auto_assign_unclaimed": asdict(assigning),
            "sla_check": asdict(await measure_sla(population)),
        }


async def measure_sla(population: Population) -> SlaFigure:
    """A full pass of alerts, then checks as they come every five minutes: everything is alerted already."""
    database, step = population.database, SlaStep(at=population.at)
    activities = SlaActivities(database, NoRuns())
    alerts, alert_seconds = await timed(functools.partial(_alert, activities, step))
    await _alert_about_the_rest(population)
    taken: list[float] = []
    for number in range(ROUNDS):
        later = SlaStep(at=population.at + timedelta(seconds=number))
        (outcome, done), seconds = await timed(functools.partial(_check, activities, later))
        taken.append(round(seconds, 2))
        if done.raised or done.failed:
            raise RuntimeError(f"the check alerted again: {done}")
    return SlaFigure(
        requests=population.count,
        overdue=outcome.overdue_total,
        seconds=statistics.median(taken),
        rounds=taken,
        alerts=alerts.raised,
        alert_seconds=round(alert_seconds, 2),
        scans=await scans(database, lambda tx: findings(tx, population.at))
        + await scans(database, lambda tx: unraised(tx, population.at, MOST_ALERTS)),
    )


async def _check(activities: SlaActivities, step: SlaStep) -> tuple[SlaOutcome, AlertPass]:
    outcome: SlaOutcome = await ActivityEnvironment().run(activities.sla_check, step)
    return outcome, await _alert(activities, step)


async def _alert(activities: SlaActivities, step: SlaStep) -> AlertPass:
    # the journal tells of every alert
    with redirect_stderr(io.StringIO()):
        done: AlertPass = await ActivityEnvironment().run(activities.sla_alert, step)
    return done


async def _alert_about_the_rest(population: Population) -> None:
    async with population.database.transaction() as tx:
        late = await unraised(tx, population.at + timedelta(minutes=1), population.count)
    ids = [stay.request_id for stay in late]
    occurrences = [occurrence_of(stay.status, stay.since) for stay in late]
    async with await psycopg.AsyncConnection.connect(population.url, autocommit=True) as connection:
        await connection.execute(_RAISED, (ids, occurrences))
        await connection.execute("VACUUM (ANALYZE) escalation_runs")


async def timed(work: Callable[[], Awaitable[Any]]) -> tuple[Any, float]:
    """What the work answers, and the seconds it took."""
    started = time.perf_counter()
    return await work(), time.perf_counter() - started


async def scans(database: Database, work: Callable[[Transaction], Awaitable[Any]]) -> list[str]:
    """How the statements of `work` read the tables that grow; raises RuntimeError for one read as a whole."""
    async with database.transaction() as tx:
        noting = Noting(tx)
        await work(noting)
    found: list[str] = []
    for statement, params in noting.noted:
        if str(statement).lstrip().startswith("SET "):
            continue
        async with database.transaction() as tx:
            [plan] = await tx.value(text(f"EXPLAIN (FORMAT JSON) {statement}"), params) or [{}]
        found += [_said(node) for node in _nodes(plan["Plan"]) if node.get("Relation Name") in GUARDED]
    whole = [scan for scan in found if scan.startswith("Seq Scan")]
    if whole:
        raise RuntimeError(f"a sweep reads a whole table: {', '.join(whole)}")
    return sorted(set(found))


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _said(node: Mapping[str, Any]) -> str:
    index = f" by {node['Index Name']}" if "Index Name" in node else ""
    return f"{node['Node Type']} of {node['Relation Name']}{index}"


def main() -> None:
    """Measure the sweeps alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.requests)), indent=2))


if __name__ == "__main__":
    main()
