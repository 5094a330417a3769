"""What the SLA check writes: its snapshot, and SLA_OVERDUE of a stay."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from db import reads
from db.reads.sla import Stay
from db.session import Transaction
from db.writes import events
from domain.records import RequestRecord
from domain.runs import EventKind, EventRun
from domain.sla import RETENTION, occurrence_of
from domain.sla_report import SlaReport

# a check that is tried again at the same moment has counted the same
_KEEP = text("INSERT INTO sla_snapshots (at, body) VALUES (:at, CAST(:body AS jsonb)) ON CONFLICT DO NOTHING")
_DROP = text("DELETE FROM sla_snapshots WHERE at < :before")


async def keep_snapshot(tx: Transaction, report: SlaReport) -> None:
    """Store what was found, for the charts; drop what is older than the retention."""
    await tx.run(_KEEP, {"at": report.at, "body": report.model_dump_json(exclude={"at"})})
    await tx.run(_DROP, {"before": report.at - RETENTION})


async def raise_overdue(tx: Transaction, stay: Stay, at: datetime) -> tuple[RequestRecord, EventRun] | None:
    """Raise SLA_OVERDUE for a stay, once; None when it is over by now, or nobody wants to hear of it."""
    record = await reads.lock_request(tx, stay.request_id)
    if (record.status, record.status_since) != (stay.status, stay.since):
        return None
    run = await events.raise_event(
        tx,
        request_id=stay.request_id,
        kind=EventKind.SLA_OVERDUE,
        occurrence=occurrence_of(stay.status, stay.since),
        at=at,
    )
    return None if run is None else (record, run)
