"""Who is told of a message or a document: always the other side."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from db.reads.conversation import CLIENT, DESK
from db.session import Transaction
from db.writes.letters import Letter, Notice, to_requester
from db.writes.routing import Person, Routing, routing
from domain.errors import InvalidInput, NotFound
from domain.records import RequestRecord

EVERY_TIER = (1, 2, 3)

LONGEST_EXCERPT = 500
"""Characters of a message that its notification repeats."""

_PERSON = text("""
SELECT name, email, time_zone, quiet_hours, active FROM users WHERE tenant = :tenant AND name = :name
""")


def side_of(record: RequestRecord, user: str) -> str:
    """Whether somebody speaks as the client of the request, whoever writes the name how, or for the desk."""
    return CLIENT if user.casefold() == record.request.requester.casefold() else DESK


async def talk_notices(
    tx: Transaction, record: RequestRecord, kind: str, occasion: str, author_kind: str, at: datetime
) -> list[Notice]:
    """The messages that tell the other side of what `author_kind` has said or handed in.

    The client hears of it in the app and by email. The desk: whoever has the request, in the app and by
    email, else the approvers on its topic in the app; and the tenant's Telegram group.
    """
    people = await routing(tx, record.request, EVERY_TIER)
    letter = Letter(record, people, at, kind, occasion)
    if author_kind == DESK:
        return to_requester(letter, people, by_email=True)
    return await _to_desk(tx, letter, people)


async def _to_desk(tx: Transaction, letter: Letter, people: Routing) -> list[Notice]:
    in_app, email, group = people.first("in-app"), people.first("email"), people.first("telegram")
    assignee = await _assignee(tx, letter.record)
    told = [assignee] if assignee else _around(people)
    found = [letter.in_app(in_app, person) for person in told] if in_app else []
    if assignee and email:
        found += letter.by_email(email, [assignee])
    return found + ([letter.to_group(group, group.target)] if group and group.target else [])


def _around(people: Routing) -> list[Person]:
    """The approvers on the topic or, where there are none, all of the tenant's."""
    return [person for person in people.approvers if person.on_topic] or list(people.approvers)


async def _assignee(tx: Transaction, record: RequestRecord) -> Person | None:
    if record.assignee is None or side_of(record, record.assignee) == CLIENT:
        return None
    try:
        return await active_person(tx, record.request.tenant, record.assignee)
    except InvalidInput:
        return None


async def active_person(tx: Transaction, tenant: str, name: str) -> Person:
    """An active user of the tenant; raises NotFound, InvalidInput."""
    row = await tx.row(_PERSON, {"tenant": tenant, "name": name})
    if row is None:
        raise NotFound(f"unknown user {name!r} of tenant {tenant}")
    if not row.active:
        raise InvalidInput(f"user {name!r} is not active", "user")
    return Person(name=row.name, email=row.email, time_zone=row.time_zone, quiet_hours=tuple(row.quiet_hours))
