"""The assignment sweep in tests: approvers to choose from, requests that nobody took, one pass over them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.assignment import PASS, AssignmentActivities
from db import reads
from db.reads.assignment import candidates
from db.session import Database
from db.writes import requests
from domain.assignment_steps import PassAnswer, SweepStep
from domain.records import RequestRecord

DAY = timedelta(hours=24)
"""After which the demo topics' requests are assigned."""

LONG_EXPIRY = timedelta(days=30)

_HIRE = text("""
INSERT INTO users (tenant, name, roles, tier, active, email, time_zone, primary_topic, working_hours,
    max_load)
VALUES ('acme', :name, CAST(:roles AS varchar[]), :tier, :active, :email, :time_zone, :topic,
    CAST(:hours AS jsonb), :max_load)
""")


async def run(database: Database, statement: str, **params: Any) -> None:
    """One statement, committed."""
    async with database.transaction() as tx:
        await tx.execute(text(statement), params)


async def only(database: Database, *names: str) -> None:
    """Nobody else is active any more."""
    await run(database, "UPDATE users SET active = name = ANY (:names)", names=list(names))


async def hire(
    database: Database, name: str, *, hours: Any = None, topic="treasury-eu", **changes: Any
) -> None:
    """An approver of tier 1 on the demo topic, always at work."""
    values = {
        "name": name,
        "roles": ["approver"],
        "tier": 1,
        "active": True,
        "email": f"{name}@acme.example",
        "time_zone": "UTC",
        "max_load": None,
        "topic": topic,
        "hours": json.dumps(hours or {}),
    }
    async with database.transaction() as tx:
        await tx.execute(_HIRE, values | changes)


async def away(database: Database, name: str, starts_at: datetime, ends_at: datetime) -> None:
    """Somebody is out of office for a period."""
    await run(
        database,
        "INSERT INTO absences (id, tenant, user_name, starts_at, ends_at, reason, set_by, set_at) "
        "VALUES ('abs_' || upper(substr(md5(random()::text), 1, 26)), 'acme', :name, :starts_at, :ends_at, "
        "'leave', 'adam', :starts_at)",
        name=name,
        starts_at=starts_at,
        ends_at=ends_at,
    )


async def one_pass(database: Database, at: datetime, behind=None, most: int = PASS) -> PassAnswer:
    """One pass of the sweep at a moment; its workflows are told by another activity."""
    activities = AssignmentActivities(database, None, most)
    return await ActivityEnvironment().run(activities.auto_assign, SweepStep(at=at, behind=behind))


async def act(
    database: Database, request_id: str, verb: str, actor: str, to: str | None, at: datetime, key=""
):
    """A claim, release or assignment, as the workflow's activity writes it."""
    async with database.transaction() as tx:
        return await requests.set_assignee(
            tx,
            record=await reads.lock_request(tx, request_id),
            assignee=to,
            actor=actor,
            at=at,
            step=f"{verb}:{actor}{at.timestamp()}{key}",
            kind=f"request.{verb}",
            only_if_unassigned=verb == "claim",
        )


async def claim(database: Database, request_id: str, who: str, at: datetime) -> RequestRecord:
    """Somebody takes it."""
    return await act(database, request_id, "claim", who, who, at)


async def record_of(database: Database, request_id: str) -> RequestRecord:
    """How it stands."""
    async with database.transaction() as tx:
        found = await reads.request(tx, request_id)
    assert found is not None
    return found


async def kinds_of(database: Database, request_id: str) -> list[str]:
    """The kinds of its audit events, oldest first."""
    return [event["kind"] for event in await events_of(database, request_id)]


async def events_of(database: Database, request_id: str) -> list[dict[str, Any]]:
    """What its audit events say, oldest first."""
    async with database.transaction() as tx:
        rows = await tx.execute(
            text("SELECT body FROM audit_events WHERE request_id = :id ORDER BY seq"), {"id": request_id}
        )
        return [json.loads(row.body) for row in rows]


async def messages(database: Database, *kinds: str) -> list[tuple[str, str, str]]:
    """Kind, channel and recipient of every message of these kinds."""
    async with database.transaction() as tx:
        rows = await tx.execute(
            text(
                "SELECT kind, channel_kind, recipient FROM deliveries WHERE kind = ANY (:kinds) "
                "ORDER BY kind, channel_kind, recipient"
            ),
            {"kinds": list(kinds)},
        )
        return [tuple(row) for row in rows]


async def loads(database: Database) -> dict[str, int]:
    """Who has how many open requests; nobody with none."""
    async with database.transaction() as tx:
        people = await candidates(tx, "acme", datetime.now(UTC))
    return {person.name: person.load for person in people if person.load}
