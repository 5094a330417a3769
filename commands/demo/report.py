"""What became of the demo's requests: a table with links, or one JSON document."""

from __future__ import annotations

import sys

from commands.context import Cli
from commands.demo.plays import Theatre
from commands.documents import Document, request_document
from commands.render import plain_table, status_text
from db import reads
from domain.amounts import format_amount
from domain.mint_request import workflow_id
from domain.records import RequestRecord
from starter.local.stack import RunningStack


async def report(cli: Cli, theatre: Theatre, stack: RunningStack) -> bool:
    """Print the end of every request; tells whether all ended as their plays say."""
    records, documents = [], []
    failures = list(theatre.failures)
    async with theatre.people.database.transaction() as tx:
        for part in theatre.parts:
            record = await reads.request(tx, part.request.id)
            if record is None or record.status is not part.expected:
                ended = record.status if record else "not opened"
                failures.append(f"{part.request.id} is {ended} instead of {part.expected}")
            if record is not None:
                records.append(record)
                documents.append(request_document(record, await reads.timeline(tx, record.request.id)))
    document: Document = {"requests": documents}
    if failures:
        document["error"] = {"code": "demo_failed", "message": "; ".join(failures)}
        cli.note(f"error: {document['error']['message']}")
    cli.emit(document, lambda: _print(theatre, records, stack))
    sys.stdout.flush()
    return not failures


def _print(theatre: Theatre, records: list[RequestRecord], stack: RunningStack) -> None:
    story = {part.request.id: part.story for part in theatre.parts}
    rows = [
        (
            record.request.track_number,
            f"{format_amount(record.request.amount)} {record.request.asset.code}",
            story[record.request.id],
            status_text(record),
            record.reason,
        )
        for record in records
    ]
    plain_table(("request", "amount", "what happened", "status", "reason"), rows, "no requests")
    workflows = f"{stack.addresses.temporal_ui_url}/namespaces/{theatre.people.client.namespace}/workflows"
    links = [
        (record.request.track_number, f"{workflows}/{workflow_id(record.request.id)}") for record in records
    ]
    links += [
        ("messages sent", stack.addresses.providers_url),
        ("web UI", stack.addresses.web_url),
        ("the ledger", stack.addresses.horizon_url),
    ]
    # not through the table: a link that is broken over two lines can't be followed
    sys.stdout.writelines(f"{name:<15}{url}\n" for name, url in links)
