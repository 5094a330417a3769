"""How late reminders are when many requests fall due in the same second."""

from __future__ import annotations

import asyncio
import functools
import statistics
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from benchmarks.desk import Desk, at_once
from db.writes import publication
from domain.escalation import LONGEST_LEAD, EscalationPolicy, Grants, Notify, Stage
from domain.steps import MintOrder

IN_FLIGHT = 50
REMINDER = timedelta(hours=4)
GATHERING = timedelta(seconds=75)
"""Time to submit all requests before their reminders are due; they were created 4 h before that."""


@dataclass(frozen=True)
class Lateness:
    """Seconds between a reminder's due time and the provider's acceptance."""

    reminders: int
    median_seconds: float
    p99_seconds: float
    worst_seconds: float


async def measure(desk: Desk, count: int) -> dict[str, object]:
    """Let `count` reminders fall due at the same instant; each is one Slack message."""
    policy = await _publish(desk)
    due = datetime.now(UTC) + GATHERING
    orders = await desk.orders(count, policy, created_at=due - REMINDER)
    await at_once([functools.partial(_submit, desk, order) for order in orders], IN_FLIGHT)
    if datetime.now(UTC) > due - LONGEST_LEAD:
        raise RuntimeError("submitting took longer than the gathering time: raise GATHERING")
    late = await _accepted(desk, [order.request.id for order in orders])
    late.sort()
    return asdict(
        Lateness(
            reminders=len(late),
            median_seconds=round(statistics.median(late), 2),
            p99_seconds=round(late[int(len(late) * 0.99) - 1], 2),
            worst_seconds=round(late[-1], 2),
        )
    )


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


async def _accepted(desk: Desk, ids: list[str]) -> list[float]:
    """Wait until every reminder is accepted; their lateness in seconds."""
    query = text(
        "SELECT extract(epoch FROM accepted_at - due_at) AS late FROM deliveries WHERE kind = 'reminder' "
        "AND channel_kind = 'slack' AND state = 'accepted' AND request_id = ANY(:ids)"
    )
    while True:
        async with desk.database.transaction() as tx:
            late = [float(row.late) for row in await tx.execute(query, {"ids": ids})]
        if len(late) == len(ids):
            return late
        await asyncio.sleep(1)
