"""Giving a request to somebody: who may have it, the sweep's one conditional update, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.session import Transaction
from db.writes.letters import Letter, Notice, to_leads
from db.writes.routing import Person, Routing, person, routing
from db.writes.steps import advance, announce, step_statement
from domain.assignment import Candidate, is_primary, stint
from domain.errors import InvalidInput, NotFound, Refused, TransitionRefused
from domain.records import RequestRecord

SWEEP = "sweep"
"""Who acts in the audit when nobody did."""

GIVEN = step_statement(
    """given AS (
    UPDATE users SET last_assigned_at = greatest(last_assigned_at, CAST(:at AS timestamptz))
    FROM found WHERE tenant = :tenant AND name = :assignee RETURNING found.request_id)""",
    source="given",
)
"""A step that gives the request to its new assignee and notes when they got one last."""

# the version would do; that a claim wins must be plain, and so must what is no longer true of the assignee
_SWEPT = step_statement(
    """given AS (
    UPDATE users SET last_assigned_at = greatest(last_assigned_at, CAST(:at AS timestamptz))
    FROM found WHERE tenant = :tenant AND name = :assignee AND active AND 'approver' = ANY (roles)
        AND EXISTS (SELECT 1 FROM mint_requests r
            WHERE r.id = found.request_id AND r.assignee IS NULL AND r.status = 'PENDING')
        AND (max_load IS NULL OR max_load > (SELECT count(*) FROM mint_requests r
            WHERE r.tenant = :tenant AND r.assignee = :assignee AND r.ended_at IS NULL))
        AND NOT EXISTS (SELECT 1 FROM absences a WHERE a.tenant = :tenant AND a.user_name = :assignee
            AND a.starts_at <= :at AND a.ends_at > :at)
    RETURNING found.request_id)""",
    source="given",
)
# in a statement of its own, so that the next one sees what another sweep has given them meanwhile
_HOLD_USER = text("SELECT 1 FROM users WHERE tenant = :tenant AND name = :name FOR NO KEY UPDATE")
_USER = text("""
SELECT active, 'approver' = ANY (roles) AS is_approver FROM users WHERE tenant = :tenant AND name = :name
""")


async def check_assignable(tx: Transaction, record: RequestRecord, name: str) -> None:
    """Raise NotFound, InvalidInput or Refused unless they are an active approver who didn't ask for it."""
    request = record.request
    found = await tx.row(_USER, {"tenant": request.tenant, "name": name})
    if found is None:
        raise NotFound(f"unknown user {name!r} of tenant {request.tenant}")
    if not found.active:
        raise InvalidInput(f"user {name!r} is not active", "user")
    if not found.is_approver:
        raise InvalidInput(f"{name} is no approver: only an approver can work on {request.id}", "user")
    if name.casefold() == request.requester.casefold():
        raise Refused(f"{name} asked for {request.id}: somebody else has to work on it")


async def taken_over(tx: Transaction, record: RequestRecord, at: datetime, step: str) -> list[Notice]:
    """Tells whom the sweep had given it to, in the app, that somebody else works on it now."""
    people = await routing(tx, record.request)
    in_app = people.first("in-app")
    if in_app is None or record.assignee is None:
        return []
    before = Person(name=record.assignee, email=None, time_zone="UTC")
    return [Letter(record, people, at, "taken_over", step).in_app(in_app, before)]


async def handed_over(tx: Transaction, record: RequestRecord, at: datetime, step: str) -> list[Notice]:
    """Tells whom somebody else gave it to; `record` as it is after that."""
    people = await routing(tx, record.request)
    given_to = await person(tx, record.request.tenant, record.assignee)
    return _to_assignee(Letter(record, people, at, "assigned", step), people, given_to)


async def assign_automatically(
    tx: Transaction, *, record: RequestRecord, to: Candidate, at: datetime
) -> RequestRecord:
    """Step `auto-assign:STINT`: the sweep gives an unassigned PENDING request to `to`, and tells them.

    `record` must be locked. Raises TransitionRefused when it has an assignee or has moved on, or `to` has
    left, is out of office or has enough by now. It counts as no activity: nobody has done anything.
    """
    request, since = record.request, record.unassigned_since
    if since is None:
        raise TransitionRefused(f"{record.assignee} works on {request.id} already")
    people, given_to = await routing(tx, request), await person(tx, request.tenant, to.name)
    await tx.run(_HOLD_USER, {"tenant": request.tenant, "name": to.name})
    step = f"auto-assign:{stint(since)}"
    after = record.model_copy(update={"assignee": to.name, "assigned_automatically": True})
    return await advance(
        tx,
        before=record,
        after=after,
        step=step,
        kind="assignment.automatic",
        actor=SWEEP,
        at=at,
        details=_reasons(record, to, since),
        notices=_to_assignee(Letter(after, people, at, "assigned", step), people, given_to),
        statement=_SWEPT,
    )


def _reasons(record: RequestRecord, to: Candidate, since: datetime) -> dict[str, Any]:
    """Why them: the values that the order compares, as they were."""
    last = to.last_assigned_at
    topic = "primary" if is_primary(to, record.request.topic) else "additional"
    return {
        "message": f"to {to.name}: {topic} topic, {to.load} open requests",
        "from": None,
        "to": to.name,
        "unassignedSince": since.isoformat(),
        "topic": topic,
        "tier": to.tier,
        "load": to.load,
        "lastAssignedAt": last.isoformat() if last else None,
    }


def _to_assignee(letter: Letter, people: Routing, given_to: Person | None) -> list[Notice]:
    in_app, email = people.first("in-app"), people.first("email")
    if given_to is None:
        return []
    found = [letter.in_app(in_app, given_to)] if in_app else []
    return found + (letter.by_email(email, [given_to]) if email else [])


async def note_nobody(tx: Transaction, *, record: RequestRecord, why: str, at: datetime) -> bool:
    """Record that nobody can take an unassigned request and tell the leads, once a stint.

    `record` must be locked. Answers whether it did.
    """
    if record.unassigned_since is None:
        return False
    people = await routing(tx, record.request)
    step = f"assignment.nobody:{stint(record.unassigned_since)}"
    return await announce(
        tx,
        record=record,
        step=step,
        kind="assignment.nobody",
        actor=SWEEP,
        at=at,
        details={"message": why, "unassignedSince": record.unassigned_since.isoformat()},
        notices=_to_leads(Letter(record, people, at, "unassigned", step), people),
        facts={"reason": why},
    )


def _to_leads(letter: Letter, people: Routing) -> Sequence[Notice]:
    in_app = people.first("in-app")
    told = to_leads(letter, people) + (
        [letter.in_app(in_app, lead) for lead in people.leads] if in_app else []
    )
    return list({notice.id: notice for notice in told}.values())
