"""What `assign explain`, `assign load` and `assign run` show: who could get a request, who has how many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from commands.documents import Document, plain
from commands.render import plain_fields, plain_table
from db.reads.assignment import auto_assign_after, candidates
from db.session import Transaction
from domain.assignment import Candidate, Matter, Place, due_after, explain, is_primary
from domain.assignment_steps import SweepReport
from domain.mint_request import MintStatus
from domain.records import RequestRecord

_WIDTH = 20
"""Characters of the longest bar."""


async def explanation(tx: Transaction, record: RequestRecord, at: datetime) -> Document:
    """Everybody's place for a request at `at`, as `assign explain --json` gives it."""
    request, since = record.request, record.unassigned_since
    people = await candidates(tx, request.tenant, at)
    places = explain(people, Matter.of(record), at)
    hours = await auto_assign_after(tx, request.tenant, request.topic)
    waits = record.status is MintStatus.PENDING and since is not None
    document = {
        "id": request.id,
        "status": record.status.value,
        "topic": request.topic,
        "assignee": record.assignee,
        "assigned_automatically": record.assigned_automatically,
        "unassigned_since": since,
        "due_at": since + due_after(hours, record.sla_scale) if waits and since else None,
        "would_get": next((place.candidate.name for place in places if place.rank == 1), None),
        "approvers": [_place(place, request.topic) for place in places],
    }
    return {str(key): value for key, value in plain(document).items()}


def _place(place: Place, topic: str) -> Document:
    on = "additional" if topic in place.candidate.topics else None
    return {
        "rank": place.rank,
        "name": place.candidate.name,
        "tier": place.candidate.tier,
        "topic": "primary" if is_primary(place.candidate, topic) else on,
        "load": place.candidate.load,
        "max_load": place.candidate.max_load,
        "last_assigned_at": place.candidate.last_assigned_at,
        "reasons": [{"code": each.reason.value, "message": each.words} for each in place.obstacles],
    }


def explanation_table(document: Document) -> None:
    """Print who would get it, then everybody's place."""
    columns = ("rank", "approver", "tier", "topic", "load", "last assigned", "why not")
    rows = [
        (
            one["rank"],
            one["name"],
            one["tier"],
            one["topic"],
            _share(one["load"], one["max_load"]),
            one["last_assigned_at"] or "never",
            "; ".join(each["message"] for each in one["reasons"]),
        )
        for one in document["approvers"]
    ]
    plain_fields({"request": document["id"], "now": _now(document), "next": _next(document)})
    plain_table(columns, rows, "the tenant has no approvers: see 'mintkeeper user set'")


def _now(document: Document) -> str:
    if document["assignee"]:
        how = (
            "by the sweep; whoever claims it gets it" if document["assigned_automatically"] else "by a person"
        )
        return f"{document['status']}, with {document['assignee']}, {how}"
    return f"{document['status']}, with nobody since {document['unassigned_since']}"


def _next(document: Document) -> str:
    if document["due_at"] is None:
        return "the sweep leaves it alone"
    chosen = document["would_get"]
    who = f"would give it to {chosen} as things are now" if chosen else "would find nobody as things are now"
    return f"from {document['due_at']} on the sweep {who}"


def load_rows(people: Sequence[Candidate]) -> list[Document]:
    """Every active approver's load, the fullest first, as `assign load --json` gives them."""
    active = sorted((one for one in people if one.active), key=lambda one: (-one.load, one.name))
    return [
        {
            "name": one.name,
            "open_requests": one.load,
            "max_load": one.max_load,
            "absent_until": plain(one.absent_until),
            "last_assigned_at": plain(one.last_assigned_at),
        }
        for one in active
    ]


def load_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the loads as bars; a full one is red."""
    longest = max((max(row["open_requests"], row["max_load"] or 0) for row in rows), default=0)
    lines = [
        (
            row["name"],
            _share(row["open_requests"], row["max_load"]),
            _bar(row["open_requests"], row["max_load"], longest),
            row["absent_until"],
            row["last_assigned_at"] or "never",
        )
        for row in rows
    ]
    plain_table(("approver", "open", "", "out of office until", "last assigned"), lines, "no approvers")


def _bar(load: int, most: int | None, longest: int) -> Text:
    """Filled up to the load and dotted up to the limit."""
    filled = _length(load, longest)
    full = most is not None and load >= most
    bar = Text("█" * filled, style="red" if full else "green")
    return bar.append("·" * max(_length(most or 0, longest) - filled, 0), style="dim")


def _length(count: int, longest: int) -> int:
    # whoever has something has a bar
    return min(_WIDTH, max(round(_WIDTH * count / longest), 1)) if count else 0


def _share(load: int, most: int | None) -> str:
    return f"{load}" if most is None else f"{load} of {most}"


def sweep_table(report: SweepReport) -> None:
    """Print what came of a sweep: the counts, then the assignments it names."""
    plain_fields(report.model_dump(exclude={"given"}))
    rows = [(given.request_id, given.assignee) for given in report.given]
    plain_table(("request", "assigned to"), rows, "nothing was assigned")
