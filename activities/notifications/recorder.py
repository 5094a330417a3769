"""Writes what came of deliveries, many in one transaction, and through any loss of the database."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from activities.notifications.fallback import give_up
from activities.notifications.outcome import Outcome
from db.reads.wanted import unwanted
from db.session import Database, Transaction
from db.writes import acks, deliveries, leases
from domain.errors import Unavailable
from domain.records import DeliveryState

Key = TypeVar("Key")

log = logging.getLogger("mintkeeper.relay")

GATHERING_SECONDS = 0.1
"""Results that arrive within so long share a transaction."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts while the database is out of reach."""


class Recorder:
    """Collects outcomes and writes them in the order in which they came."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[Outcome] = []
        self._writing = asyncio.Lock()
        self._added = asyncio.Event()

    def add(self, outcome: Outcome) -> None:
        """Log an outcome, and have it written soon."""
        _tell(outcome)
        self._waiting.append(outcome)
        self._added.set()

    async def run(self) -> None:
        """Write until cancelled; what can't be written now stays and is tried again."""
        pause = FIRST_PAUSE
        while True:
            await self._added.wait()
            await asyncio.sleep(GATHERING_SECONDS)
            try:
                await self.flush()
            except Unavailable as error:
                log.warning("results of deliveries wait for the database: %s", error.message)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE

    async def flush(self) -> None:
        """Write all that waits; raises Unavailable and then keeps it."""
        async with self._writing:
            batch = tuple(self._waiting)
            await self._write_and_forget([one for one in batch if one.state is not DeliveryState.DEAD])
            # each on its own: it holds its request, and what takes its place may need the audit chain
            for one in batch:
                if one.state is DeliveryState.DEAD:
                    await self._write_and_forget([one])
            if not self._waiting:
                self._added.clear()

    async def _write_and_forget(self, batch: Sequence[Outcome]) -> None:
        await self._write(batch)
        written = {id(one) for one in batch}
        self._waiting = [one for one in self._waiting if id(one) not in written]

    async def _write(self, batch: Sequence[Outcome]) -> None:
        try:
            async with self._database.transaction() as tx:
                await _write_all(tx, batch)
        except Unavailable:
            raise
        except Exception:
            # one row that the database refuses must not take the others with it
            if len(batch) == 1:
                log.exception("the result of a delivery can't be written", extra=_named(batch[0]))
                return
            for outcome in batch:
                await self._write([outcome])


async def _write_all(tx: Transaction, batch: Sequence[Outcome]) -> None:
    by_state: dict[DeliveryState, list[Outcome]] = defaultdict(list)
    for outcome in batch:
        by_state[outcome.state].append(outcome)
    if taken := by_state[DeliveryState.ACCEPTED]:
        results = [(outcome.job.id, outcome.provider_id, outcome.text) for outcome in taken]
        await deliveries.accepted(tx, results=results, at=max(outcome.at for outcome in taken))
    for why, ids in _ids_by(by_state[DeliveryState.SKIPPED], lambda skipped: skipped.text):
        # an ack may have been taken back since
        now = await unwanted(tx, ids)
        await deliveries.skipped(tx, ids=[id for id in ids if now[id]], why=why)
        await leases.give_back(tx, ids=[id for id in ids if not now[id]], at=datetime.now(UTC))
    for retry_at, ids in _ids_by(
        by_state[DeliveryState.PENDING], lambda unsent: unsent.retry_at or unsent.at
    ):
        await leases.give_back(tx, ids=ids, at=retry_at)
    for outcome in by_state[DeliveryState.DEAD]:
        await give_up(tx, outcome)
    await _write_retries(tx, by_state[DeliveryState.FAILED] + by_state[DeliveryState.AMBIGUOUS])
    if carried := [(one.job.id, one.job.attempt, one.ack_sha256) for one in batch if one.ack_sha256]:
        await acks.note_tokens(tx, carried)


async def _write_retries(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        retry_at = outcome.retry_at or outcome.at
        await deliveries.failed(
            tx, id=outcome.job.id, error=outcome.text, retry_at=retry_at, state=outcome.state
        )
    if uncounted := [outcome.job.id for outcome in outcomes if not outcome.counted]:
        await leases.grant_attempt(tx, ids=uncounted)


def _ids_by(outcomes: Sequence[Outcome], key: Callable[[Outcome], Key]) -> Iterable[tuple[Key, list[str]]]:
    found: dict[Key, list[str]] = defaultdict(list)
    for outcome in outcomes:
        found[key(outcome)].append(outcome.job.id)
    return found.items()


def _tell(outcome: Outcome) -> None:
    level = logging.ERROR if outcome.state is DeliveryState.DEAD else logging.INFO
    if outcome.state in (DeliveryState.FAILED, DeliveryState.AMBIGUOUS):
        level = logging.WARNING
    log.log(level, "delivery %s", outcome.state.value, extra=_named(outcome))


def _named(outcome: Outcome) -> dict[str, object]:
    """What a log line says about a delivery: never its content."""
    job = outcome.job
    facts: dict[str, object] = {
        "delivery_id": job.id,
        "request_id": job.request_id,
        "channel": job.channel,
        "attempt": job.attempt,
        "state": outcome.state.value,
    }
    return facts | ({"reason": outcome.text} if outcome.text else {})
