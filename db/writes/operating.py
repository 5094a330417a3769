"""What an admin does by hand beside the dictionaries, each with an audit event that names them."""

from __future__ import annotations

from sqlalchemy import text

from db.session import Transaction
from db.writes import deliveries
from db.writes.entries import By
from db.writes.rows import note
from domain.errors import NotFound

_TENANT_OF = text("SELECT tenant FROM deliveries WHERE id = :id")


async def retry_delivery(tx: Transaction, delivery_id: str, by: By) -> None:
    """Give a dead message one more attempt; raises NotFound for another tenant's, Refused if not dead."""
    if await tx.value(_TENANT_OF, {"id": delivery_id}) != by.tenant:
        raise NotFound("there is no such delivery")
    await deliveries.retry_dead(tx, id=delivery_id, at=by.at)
    await note(tx, "deliveries.retried", by.tenant, {"ids": [delivery_id]}, by.actor, by.at)


async def retry_every_delivery(tx: Transaction, by: By) -> int:
    """Give all dead messages of the tenant one more attempt; answers how many."""
    ids = await deliveries.retry_all_dead(tx, tenant=by.tenant, channel=None, at=by.at)
    if ids:
        await note(tx, "deliveries.retried", by.tenant, {"count": len(ids)}, by.actor, by.at)
    return len(ids)


async def note_schedule(tx: Transaction, schedule_id: str, verb: str, reason: str, by: By) -> None:
    """Write down that somebody paused, resumed or started a schedule: Temporal knows no names of ours."""
    facts = {"id": schedule_id, "reason": reason}
    await note(tx, f"schedules.{verb}", by.tenant, facts, by.actor, by.at)
