"""How late messages are when many requests fall due in the same second, and whether each arrives."""

from __future__ import annotations

import asyncio
import functools
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text

from benchmarks.desk import Desk, at_once
from db.writes import publication
from domain.escalation import LONGEST_LEAD, EscalationPolicy, Grants, Notify, Stage
from domain.steps import MintOrder

IN_FLIGHT = 50
REMINDER = timedelta(hours=4)
GATHERING = timedelta(seconds=75)
"""Time to submit all requests before their reminders are due; they were created 4 h before that."""


PATIENCE_SECONDS = 120
"""After so long from the due time a message that no provider has taken counts as not accepted."""

_UNDER_WAY = frozenset({"pending", "sending", "failed", "ambiguous"})
_TAKEN = frozenset({"accepted", "delivered"})
_DELIVERIES = text(
    "SELECT kind, state, CAST(extract(epoch FROM accepted_at - due_at) AS double precision) AS late "
    "FROM deliveries WHERE stage = 1 AND channel_kind <> 'in-app' AND request_id = ANY(:ids)"
)


@dataclass(frozen=True)
class Lateness:
    """Seconds between a reminder's due time and the provider's acceptance.

    `deliveries` counts all messages of the stage, those to the leads too; `accepted` those of them that a
    provider took.
    """

    reminders: int
    deliveries: int
    accepted: int
    median_seconds: float
    p99_seconds: float
    worst_seconds: float
    p99_seconds_of_all: float


async def measure(desk: Desk, count: int) -> dict[str, object]:
    """Let `count` runs fall due at the same instant; raises RuntimeError unless each delivery is accepted."""
    policy = await _publish(desk)
    due = datetime.now(UTC) + GATHERING
    orders = await desk.orders(count, policy, created_at=due - REMINDER)
    await at_once([functools.partial(_submit, desk, order) for order in orders], IN_FLIGHT)
    if datetime.now(UTC) > due - LONGEST_LEAD:
        raise RuntimeError("submitting took longer than the gathering time: raise GATHERING")
    rows = await _settled(desk, [order.request.id for order in orders], due)
    states = Counter(row.state for row in rows)
    reminders = sorted(row.late for row in rows if row.kind == "reminder" and row.state in _TAKEN)
    if set(states) - _TAKEN or len(reminders) != count:
        raise RuntimeError(
            f"{len(reminders)} of {count} reminders were accepted; all deliveries: {dict(states)}"
        )
    return asdict(
        Lateness(
            reminders=len(reminders),
            deliveries=len(rows),
            accepted=sum(states[state] for state in _TAKEN),
            median_seconds=round(statistics.median(reminders), 2),
            p99_seconds=_p99(reminders),
            worst_seconds=round(reminders[-1], 2),
            p99_seconds_of_all=_p99(sorted(row.late for row in rows)),
        )
    )


def _p99(late: Sequence[float]) -> float:
    return round(late[math.ceil(len(late) * 0.99) - 1], 2)


async def _publish(desk: Desk) -> EscalationPolicy:
    policy = EscalationPolicy(
        id=f"bench-{datetime.now(UTC).timestamp():.0f}",
        tenant=desk.stack.demo.tenant,
        name="bench",
        stages=[
            Stage(delay_seconds=0, channels=["in-app"]),
            Stage(
                delay_seconds=int(REMINDER.total_seconds()),
                channels=["slack-mint"],
                notify=Notify(tier=1, also_tier=2),
                grants=Grants(tier=2),
                template="reminder",
            ),
        ],
        auto_close_minutes=24 * 60,
    )
    async with desk.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor="bench", at=datetime.now(UTC))
    return policy


async def _submit(desk: Desk, order: MintOrder) -> None:
    await desk.submit(order)


async def _settled(desk: Desk, ids: Sequence[str], due: datetime) -> Sequence[Row[Any]]:
    """Every message of the stage, once none is under way any more or patience has run out."""
    until = due + timedelta(seconds=PATIENCE_SECONDS)
    while True:
        async with desk.database.transaction() as tx:
            rows = (await tx.execute(_DELIVERIES, {"ids": ids})).all()
        told = sum(row.kind == "reminder" for row in rows)
        if (told >= len(ids) and not {row.state for row in rows} & _UNDER_WAY) or datetime.now(UTC) > until:
            return rows
        await asyncio.sleep(1)
