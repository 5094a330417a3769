"""The internal UI's pages over many pending requests, from a real web server's process over HTTP.

What is measured: the inbox of an approver of tier 1 and of one of tier 2, the page of a request, and how long
after its commit a change reaches an open page. `/healthz` in the same run says what the server's answer alone
costs. By itself: `python -m benchmarks.pages`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

import httpx
import psycopg
from rich.table import Table

from benchmarks.population import RULE, Life, load
from benchmarks.sweeps import APPROVERS, Population, loaded
from db.seed import POLICY, TENANT, TOPICS
from db.writes import requests
from domain.amounts import Asset
from domain.mint_request import MintRequest
from domain.passes import SessionSecret
from starter.accounts import Accounts
from starter.ids import new_request_id

PENDING = 10_000
DECIDED = 20_000
ROUNDS = 100
CLIENTS = 4
NEWS = 20
SECRET = "a secret of this benchmark only, long enough"
COOKIE = "mintkeeper_session"
_ISSUER = "GBZXN7PIRZGNMHGA7MUUUF4GWPY5AYPV6LY4UV2GL6VJGIQRXFDNMADI"
_HOLDER = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"

# as the policy has it: a third of them has been escalated to tier 2
_SPREAD = """
UPDATE mint_requests SET amount = 10000000 * (1 + abs(hashtext(id) % 8000))::bigint,
    expires_at = created_at + interval '24 hours'
WHERE status = 'PENDING' AND id LIKE 'mr_9%';
UPDATE mint_requests SET granted_tiers = '{2}', escalation_level = 1, next_stage = 2
WHERE status = 'PENDING' AND id LIKE 'mr_9%' AND created_at < now() - interval '13 hours';
INSERT INTO stage_runs (request_id, stage, due_at, ran_at, granted_tier, routed)
SELECT id, 1, created_at + interval '4 hours', created_at + interval '4 hours', 2, true
FROM mint_requests WHERE granted_tiers = '{2}'
"""

Figures = dict[str, dict[str, object]]


def pending(count: int, now: datetime) -> Iterator[Life]:
    """Requests of the last 20 hours on which nobody has decided."""
    for number, topic in zip(range(count), cycle(TOPICS), strict=False):
        opened = now - timedelta(seconds=number * 72_000 / count)
        life = Life(f"mr_9{number:025d}", TENANT, topic, 1, opened)
        if number % 4 == 0:
            life.claims.append((APPROVERS[number % 3], opened))
        yield life


async def measure(count: int = PENDING, decided: int = DECIDED) -> Figures:
    """Fill a database, serve it, and look at it as people do."""
    async with loaded(decided) as population:
        await asyncio.to_thread(load, population.url, pending(count, population.at), POLICY.id)
        await asyncio.to_thread(_spread, population.url)
        ids = [await _opened(population) for _ in range(20)]
        accounts = Accounts(population.database, SessionSecret(SECRET))
        cookies = {name: (await accounts.open_session(TENANT, name, ("pwd",))).token for name in APPROVERS}
        async with _server(population.url) as url:
            pages = await _pages(url, cookies, ids)
            return {
                "pages": {"pending": count, **pages},
                "live": await _news(url, cookies["alice"], population),
            }


def _spread(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(_SPREAD)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) mint_requests, stage_runs")


async def _opened(population: Population) -> str:
    """A request that was opened as the workflow does it, with its messages and audit events."""
    now = datetime.now(UTC)
    request = MintRequest(
        id=new_request_id(),
        tenant=TENANT,
        network_passphrase="Test Network",
        asset=Asset(code="EURT", issuer=_ISSUER),
        amount=25_000_000_000,
        destination=_HOLDER,
        topic=TOPICS[0],
        requester="rita",
    )
    async with population.database.transaction() as tx:
        await requests.open_request(
            tx,
            request=request,
            policy=POLICY,
            rule=RULE.model_copy(update={"max_stroops": 10_000 * 10**7}),
            sla_scale=1,
            created_at=now,
            expires_at=now + timedelta(hours=24),
            run_id="run",
        )
    return request.id


@asynccontextmanager
async def _server(database_url: str) -> AsyncIterator[str]:
    environment = os.environ | {
        "MINTKEEPER_DATABASE_URL": database_url,
        "MINTKEEPER_SESSION_SECRET": SECRET,
        "MINTKEEPER_HORIZON_URL": "http://127.0.0.1:9",
        "PYTHONUNBUFFERED": "1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "web", "--port", "0",
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        yield said.removeprefix("ready ").strip()
    finally:
        process.terminate()
        await process.wait()


async def _pages(url: str, cookies: dict[str, str], ids: Sequence[str]) -> dict[str, object]:
    paths = {
        "healthz": ("alice", ["/healthz"]),
        "inbox": ("alice", ["/inbox"]),
        "inbox_tier_2": ("carol", ["/inbox"]),
        "inbox_filtered": ("alice", [f"/inbox?topic={TOPICS[0]}&q=mr_9&least=100"]),
        "requests": ("alice", ["/requests"]),
        "request": ("alice", [f"/requests/{one}" for one in ids]),
    }
    found: dict[str, object] = {}
    for name, (who, them) in paths.items():
        one = await _timed(url, cookies[who], them, ROUNDS)
        together = await asyncio.gather(
            *(_timed(url, cookies[who], them, ROUNDS // CLIENTS) for _ in range(CLIENTS))
        )
        found[name] = {**_said(one), f"with_{CLIENTS}_clients": _said([t for each in together for t in each])}
    return found


async def _timed(url: str, cookie: str, paths: Sequence[str], rounds: int) -> list[float]:
    """Milliseconds of requests one after another over one connection, after a few that don't count."""
    taken: list[float] = []
    headers = {"Accept": "text/html"}
    async with httpx.AsyncClient(
        base_url=url, cookies={COOKIE: cookie}, headers=headers, timeout=60
    ) as client:
        for number, path in enumerate(islice(cycle(paths), rounds + 5)):
            started = time.perf_counter()
            answer = await client.get(path)
            if answer.status_code != 200:
                raise RuntimeError(f"{path} was answered with {answer.status_code}")
            if number >= 5:
                taken.append((time.perf_counter() - started) * 1000)
    return taken


async def _news(url: str, cookie: str, population: Population) -> dict[str, object]:
    """Milliseconds from a commit to the event at the client, with the poller's interval in them."""
    taken: list[float] = []
    async with (
        httpx.AsyncClient(base_url=url, cookies={COOKIE: cookie}, timeout=30) as client,
        client.stream("GET", "/api/events") as answer,
    ):
        told = answer.aiter_lines()
        await _line(told, "hello")
        for number in range(NEWS):
            # not in step with the poller
            await asyncio.sleep(0.05 + number / 77 % 0.25)
            request_id = await _opened(population)
            started = time.perf_counter()
            await _line(told, request_id)
            taken.append((time.perf_counter() - started) * 1000)
    return dict(_said(taken))


async def _line(lines: AsyncIterator[str], part: str) -> None:
    async for line in lines:
        if part in line:
            return
    raise RuntimeError("the stream of events has ended")


def _said(taken: Sequence[float]) -> dict[str, float]:
    ordered = sorted(taken)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(p95, 1),
        "max_ms": round(ordered[-1], 1),
    }


def add_rows(shown: Table, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """The figures beside their goals; those of the server's bare answer come first."""
    found = figures["pages"]
    shown.add_row("/healthz, 95th percentile", f"{found['healthz']['p95_ms']} ms", "")
    titles = {
        "inbox": ("inbox", True),
        "inbox_tier_2": ("inbox of tier 2", True),
        "inbox_filtered": ("inbox, filtered", True),
        "request": ("request page", True),
        "requests": ("list of all requests", False),
    }
    for name, (title, has_goal) in titles.items():
        one = found[name]
        several = one[f"with_{CLIENTS}_clients"]["p95_ms"]
        said = f"{one['p95_ms']} ms  (median {one['p50_ms']}; {CLIENTS} clients at once: {several})"
        title = f"{title}, {found['pending']} pending, 95th percentile"
        shown.add_row(title, said, "at most 100 ms" if has_goal else "")
    shown.add_row(
        "from commit to an open page, 95th percentile", f"{figures['live']['p95_ms']} ms", "below 1 s"
    )


def main() -> None:
    """Measure the pages alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--pending", type=int, default=PENDING)
    parser.add_argument("--decided", type=int, default=DECIDED)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.pending, options.decided)), indent=2))


if __name__ == "__main__":
    main()
