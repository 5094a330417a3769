"""What must hold for every request, however its workers died: read from ledger, database and Temporal."""

import asyncio
import base64
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db import reads
from domain.audit import verify_chain
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from tests.chaos.processes import PATIENCE
from tests.support.desk import Desk, Ticket


async def reckon(desk: Desk) -> Counter[MintStatus]:
    """Wait for every request's end, hold it against the ledger, and count the ends."""
    landed = defaultdict(list)
    async with asyncio.timeout(PATIENCE):
        results = await asyncio.gather(*(ticket.handle.result() for ticket in desk.tickets))
    for transaction in await _mints(desk):
        landed[base64.b64decode(transaction["memo"]).hex()].append(transaction)
    minted = 0
    for ticket, result in zip(desk.tickets, results, strict=True):
        record = await desk.record(ticket)
        assert record.status is result.status, ticket.id
        _check(ticket, record, landed.pop(ticket.request.digest(), []))
        minted += ticket.request.amount if record.status is MintStatus.CONFIRMED else 0
    assert not landed, "the ledger has mints that nobody asked for"
    assert await desk.ledger.balance() == minted
    await _check_books(desk)
    return Counter(result.status for result in results)


def _check(ticket: Ticket, record: RequestRecord, landed: list[dict[str, Any]]) -> None:
    """Paid once and in time, or proved never to be paid; nothing else."""
    if record.status is MintStatus.CONFIRMED:
        [transaction] = landed
        closed_at = datetime.fromisoformat(transaction["created_at"]).timestamp()
        assert closed_at <= record.submission.max_time, ticket.id
        assert transaction["ledger"] == record.result.ledger, ticket.id
        return
    proof = record.result.proof
    assert record.status is MintStatus.TIMEOUT_FAILED, (ticket.id, record.status, record.reason)
    assert landed == [], ticket.id
    assert proof.kind == "never_landed"
    assert proof.ledger_closed_at.timestamp() > proof.max_time == record.submission.max_time
    assert set(proof.absent_hashes) == set(record.submission.hashes())
    assert proof.account_ledger >= proof.ledger
    assert proof.account_sequence < proof.transaction_sequence


async def _mints(desk: Desk) -> list[dict[str, Any]]:
    """Every successful transaction that carries a request's digest to the holder."""
    ledger = desk.ledger
    page = await ledger.server.transactions().for_account(ledger.holder.public_key).limit(200).call()
    records = page["_embedded"]["records"]
    assert len(records) < 200, "the page does not show them all"
    mints = [record for record in records if record["memo_type"] == "hash"]
    assert len(mints) == len(await ledger.payments())
    return mints


async def _check_books(desk: Desk) -> None:
    """The audit chain is intact, and every channel account is free again."""
    async with desk.seeded.database.transaction() as tx:
        tenant = desk.seeded.tenant
        report = verify_chain(await reads.audit_events(tx, tenant), await reads.audit_head(tx, tenant))
        states = await tx.scalars(text("SELECT state FROM stellar_channels"))
        assert set(states) == {"FREE"}
    assert report.intact, report.fault
