"""Absences over HTTP: to read and, with a signed command, to set and to end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from commands.away import absence_document, warnings
from db.reads.absences import absences
from db.writes.absences import end_absence, set_absence
from web.people import OwnTenant, SignedIn
from web.signed import SignedBody
from web.state import Wired

router = APIRouter(prefix="/api/absences", tags=["absences"])

_REFUSALS: dict[int | str, dict[str, Any]] = {400: {}, 403: {}, 404: {}, 409: {}}


@router.get("")
async def list_absences(
    state: Wired, person: SignedIn, tenant: OwnTenant, user: str | None = None, past: bool = False
) -> dict[str, Any]:
    """The tenant's absences that last or are to come, the latest first; `past`: also those that are over.

    Why somebody is away only they themselves and admins read. A mere requester sees their own.
    """
    if not person.sees_all:
        user = person.name
    now = datetime.now(UTC)
    async with state.database.transaction() as tx:
        found = await absences(tx, tenant, now, user=user, past=past)
    documents = [absence_document(absence, now) for absence in found]
    for document in documents:
        if not (person.is_admin or document["user"] == person.name):
            del document["reason"]
    return {"absences": documents}


@router.post("", status_code=201, responses=_REFUSALS)
async def set_one(state: Wired, signed: SignedBody) -> dict[str, Any]:
    """Send the target of a signed command `absence.set` out of office.

    Its body has `from` and `until` and, where somebody stands in, `delegate`; `reason` is free.
    """
    now = datetime.now(UTC)
    async with state.database.transaction() as tx:
        absence = await set_absence(tx, signed, now=now)
        return {**absence_document(absence, datetime.now(UTC)), "warnings": await warnings(tx, absence)}


@router.post("/{absence_id}/end", responses=_REFUSALS)
async def end_one(state: Wired, absence_id: str, signed: SignedBody) -> dict[str, Any]:
    """End an absence now, by a signed command `absence.end`."""
    async with state.database.transaction() as tx:
        absence = await end_absence(tx, signed, absence_id=absence_id, now=datetime.now(UTC))
    return absence_document(absence, datetime.now(UTC))
