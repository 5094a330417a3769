"""Approving several requests at once: a page that lists every amount, and one that says what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db import reads
from db.reads.records import requests_of
from db.session import Transaction
from domain import moves
from domain.approvals import Verdict
from domain.errors import AccessRefused, DecisionRefused, InvalidInput, MintkeeperError
from domain.judgement import wants_step_up
from domain.records import RequestRecord, Signer
from domain.sessions import Person
from starter.ids import new_message_id
from web.acting import FORM_ID, check_seen, decide, own_decision_id, step_up
from web.people import Approver, address_of, field, form_of
from web.rendering import page
from web.state import State, Wired

MOST: Final = 100
AT_ONCE: Final = 8
"""Decisions that are on their way at the same time."""

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@dataclass(frozen=True)
class Row:
    """One request of the confirmation; `why_not` says why it can't be approved here."""

    id: str
    decision_id: str
    record: RequestRecord | None
    why_not: str = ""
    step_up: bool = False
    """Its amount needs a second factor."""

    @property
    def done(self) -> bool:
        """This very decision is recorded already."""
        given = self.record.approvals if self.record is not None else ()
        return any(approval.decision_id == self.decision_id for approval in given)


@dataclass(frozen=True)
class Result:
    """What became of one: approved, refused for a reason, or not answered yet."""

    row: Row
    state: str
    text: str


@router.get("/inbox/approve")
async def confirm(request: Request, state: Wired, person: Approver) -> HTMLResponse:
    """Everything that was selected, to be confirmed once; what can't be approved any more is flagged."""
    ids = _checked(request.query_params.getlist("id"))
    form_id = new_message_id()
    return _confirmation(request, state, person, form_id, await _rows(state, person, form_id, ids))


@router.post("/inbox/approve")
async def approve(request: Request, state: Wired, person: Approver) -> HTMLResponse:
    """Approve what was confirmed; the same form sent again gets the same answers."""
    form = await form_of(request)
    form_id = field(form, "form")
    if not FORM_ID.fullmatch(form_id):
        raise InvalidInput("this form is not ours: select the requests in the inbox again", "form")
    ids, shown = ([str(value) for value in form.getlist(name)] for name in ("id", "digest"))
    rows = _as_shown(await _rows(state, person, form_id, _checked(ids)), dict(zip(ids, shown, strict=False)))
    open_rows = [row for row in rows if not row.why_not and not row.done]
    records = [row.record for row in open_rows if row.record is not None]
    try:
        stepped_up = await step_up(state, person, records, field(form, "code"), address=address_of(request))
    except (AccessRefused, DecisionRefused) as error:
        return _confirmation(request, state, person, form_id, rows, wrong=error.message)
    gate = asyncio.Semaphore(AT_ONCE)
    results = await asyncio.gather(*(_approve(state, person, row, stepped_up, gate) for row in rows))
    return page(request, state, person, "bulk_done.html", results=results)


def _checked(said: Sequence[str]) -> list[str]:
    """The ids that were sent, each once; raises InvalidInput for none, and for too many."""
    ids = list(dict.fromkeys(said))
    if not ids:
        raise InvalidInput("nothing is selected: select requests in the inbox first", "id")
    if len(ids) > MOST:
        raise InvalidInput(f"{len(ids)} requests are selected: approve at most {MOST} at once", "id")
    return ids


async def _rows(state: State, person: Person, form_id: str, ids: Sequence[str]) -> list[Row]:
    """The least time left first; what the person may not see is as good as absent."""
    now = datetime.now(UTC)
    async with state.database.transaction() as tx:
        signer = await reads.signer(tx, person.tenant, person.name, now)
        found = await _visible(tx, person, ids)
    rows = [
        _row(person, signer, found.get(one), one, own_decision_id(person, one, form_id), now) for one in ids
    ]
    return sorted(rows, key=lambda row: (row.record is None, row.record.expires_at if row.record else now))


def _as_shown(rows: Sequence[Row], shown: Mapping[str, str]) -> list[Row]:
    """Rows that are not what the confirmation showed any more are left out."""
    return [replace(row, why_not=row.why_not or _changed(row, shown.get(row.id, ""))) for row in rows]


def _changed(row: Row, digest: str) -> str:
    try:
        if row.record is not None:
            check_seen(row.record, digest)
    except DecisionRefused as error:
        return error.message
    return ""


async def _visible(tx: Transaction, person: Person, ids: Sequence[str]) -> dict[str, RequestRecord]:
    found = await requests_of(tx, ids)
    return {one.request.id: one for one in found if one.request.tenant == person.tenant}


def _row(
    person: Person,
    signer: Signer | None,
    record: RequestRecord | None,
    one: str,
    decision: str,
    now: datetime,
) -> Row:
    if record is None or signer is None:
        return Row(one, decision, None, "there is no such mint request")
    needs_code = wants_step_up(record)
    row = Row(one, decision, record, step_up=needs_code)
    why_not = "" if row.done else moves.decision(Verdict.APPROVE, record, signer, now).why_not
    if not why_not and needs_code and not person.has_totp and not row.done:
        why_not = (
            "this amount needs a second factor: approve it on its own page, or set up an authenticator first"
        )
    return Row(one, decision, record, why_not, needs_code)


async def _approve(
    state: State, person: Person, row: Row, stepped_up: Sequence[str], gate: asyncio.Semaphore
) -> Result:
    """Approve one; whatever goes wrong is its own matter, and the others go on."""
    if row.record is None or row.why_not:
        return Result(row, "refused", row.why_not)
    if row.done:
        return Result(row, "approved", "this decision was recorded before")
    marks = stepped_up if row.step_up else ()
    try:
        async with gate:
            outcome = await decide(
                state,
                person,
                row.record,
                Verdict.APPROVE,
                "",
                decision_id=row.decision_id,
                stepped_up=marks,
            )
    except MintkeeperError as error:
        unknown = error.code in ("outcome_unknown", "unavailable")
        return Result(row, "unknown" if unknown else "refused", error.message)
    if outcome is None:
        return Result(row, "unknown", "sent, and durable; it takes effect as soon as a worker runs")
    # that it was accepted stands before it
    return Result(row, "approved", outcome.message.removeprefix("accepted; "))


def _confirmation(
    request: Request, state: State, person: Person, form_id: str, rows: Sequence[Row], wrong: str = ""
) -> HTMLResponse:
    able = [row for row in rows if not row.why_not]
    totals: dict[str, int] = {}
    for row in able:
        if row.record is not None:
            asset = str(row.record.request.asset)
            totals[asset] = totals.get(asset, 0) + row.record.request.amount
    return page(
        request,
        state,
        person,
        "bulk.html",
        status_code=400 if wrong else 200,
        form_id=form_id,
        able=able,
        unable=[row for row in rows if row.why_not],
        totals=totals,
        needs_code=any(row.step_up and not row.done for row in able),
        wrong=wrong,
    )
