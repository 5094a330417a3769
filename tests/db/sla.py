"""Dictionaries of the SLA, requests that stay, and what a check makes of them."""

import json
from datetime import datetime, timedelta

from sqlalchemy import text

from db.reads.sla import Stay, findings, unraised
from db.writes.sla import raise_overdue
from domain.mint_request import MintStatus
from domain.sla_report import SlaReport, build_report
from tests.db.factories import START

OFFICE = {day: [["09:00", "12:00"], ["13:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


async def no_terms(database):
    """Take the demo tenant's SLA away: a test says by itself what it needs."""
    async with database.transaction() as tx:
        for table in ("topic_status_transitions", "statuses"):
            await tx.run(text(f"DELETE FROM {table}"))


async def transition(tx, hours, *, topic="treasury-eu", before="PENDING", after="APPROVED", tenant="acme"):
    """A row of topic_status_transitions."""
    await tx.run(
        text("INSERT INTO topic_status_transitions VALUES (:tenant, :topic, :before, :after, :hours)"),
        {"tenant": tenant, "topic": topic, "before": before, "after": after, "hours": hours},
    )


async def status(tx, code, hours=None, *, kind="workflow", tenant="acme"):
    """A row of statuses."""
    await tx.run(
        text("INSERT INTO statuses VALUES (:tenant, :code, :code, :kind, :hours)"),
        {"tenant": tenant, "code": code, "kind": kind, "hours": hours},
    )


async def calendar(
    tx, code="office", hours=OFFICE, zone="Europe/Berlin", *, topic=None, holidays=(), country=None
):
    """A calendar of the demo tenant, and the topic that follows it."""
    await tx.run(
        text(
            "INSERT INTO calendars (tenant, code, name, time_zone, hours, country, holidays) "
            "VALUES ('acme', :code, :code, :zone, CAST(:hours AS jsonb), :country, CAST(:days AS varchar[]))"
        ),
        {"code": code, "zone": zone, "hours": json.dumps(hours), "country": country, "days": list(holidays)},
    )
    if topic:
        await tx.run(
            text("UPDATE topics SET calendar = :code WHERE tenant = 'acme' AND code = :topic"),
            {"code": code, "topic": topic},
        )


async def report_at(seeded, at) -> SlaReport:
    """The report of a check at that moment, without keeping it."""
    async with seeded.database.transaction() as tx:
        return build_report(await findings(tx, at))


async def overdue_at(seeded, at, most=100) -> list[Stay]:
    """The stays that a check at that moment would alert about."""
    async with seeded.database.transaction() as tx:
        return await unraised(tx, at, most)


async def alert(seeded, at) -> list[str]:
    """Alert as a check does; the ids of the runs."""
    runs = []
    for stay in await overdue_at(seeded, at):
        async with seeded.database.transaction() as tx:
            done = await raise_overdue(tx, stay, at)
        if done is not None:
            runs.append(done[1].id)
    return runs


async def messages(seeded, kind="event_overdue"):
    """Channel kind and recipient of every delivery of a kind."""
    async with seeded.database.transaction() as tx:
        rows = await tx.rows(
            text("SELECT channel_kind, recipient FROM deliveries WHERE kind = :kind ORDER BY 1, 2"),
            {"kind": kind},
        )
        return [(row.channel_kind, row.recipient) for row in rows]


def hours(number) -> datetime:
    """So many hours after the opening."""
    return START + timedelta(hours=number)


PENDING = MintStatus.PENDING
