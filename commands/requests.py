"""Asking for mints and following them: submit, list, show, watch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import AnyTenant, Id, Tenant, Text, option
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from commands.batch import Row
    from domain.records import RequestRecord


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    command(app, "submit")(submit)
    command(app, "list")(list_requests)
    command(app, "show")(show)
    command(app, "watch")(watch)


async def submit(
    cli: Cli,
    asset: Annotated[Text, option("--asset", "CODE:ISSUER")] = None,
    amount: Annotated[Text, option("--amount", "Such as 2500.0000000.")] = None,
    to: Annotated[Text, option("--to", "Destination account G….")] = None,
    topic: Annotated[Text, option("--topic", "The desk it belongs to.")] = None,
    requester: Annotated[Text, option("--requester", "Who asks.")] = None,
    tenant: Tenant = None,
    key: Annotated[
        Text,
        option("--key", "Idempotency key: the same key is the same request."),
    ] = None,
    memo: Annotated[str, option("--memo", "A note for the approvers.")] = "",
    deadline: Annotated[
        Text, option("--deadline", "No transaction may land after it, such as 2026-12-01T17:00:00Z.")
    ] = None,
    file: Annotated[
        Path | None,
        option("--file", "A CSV of many; empty cells take the options."),
    ] = None,
) -> None:
    """Ask for a mint, or for many from a CSV file."""
    from commands.batch import read_rows, wanted_from
    from commands.submitting import open_submitter, prepare

    given = {
        "asset": asset, "amount": amount, "to": to, "topic": topic, "requester": requester,
        "tenant": tenant, "memo": memo, "deadline": deadline, "key": key,
    }  # fmt: skip
    defaults = {**_stack_defaults(cli), **{name: value for name, value in given.items() if value}}
    if file is not None:
        if key:
            raise InvalidInput("--key names one request: give keys in the file's column 'key'", "key")
        await _submit_file(cli, [_in_stack(cli, row) for row in read_rows(file, defaults)])
        return
    wanted = wanted_from(defaults)
    settings = cli.settings()
    request = prepare(wanted, settings)
    async with open_submitter(cli) as submitter:
        receipt = await submitter.submit(request, keyed=wanted.key is not None)
    cli.emit(receipt.document(), receipt.text)


def _stack_defaults(cli: Cli) -> dict[str, Text]:
    """Under a local stack its demo tenant, asset and destination may be left out."""
    if cli.stack is None:
        return {}
    demo = cli.stack.demo
    return {"tenant": cli.stack.tenant, "asset": demo.get("asset"), "to": demo.get("destination")}


def _in_stack(cli: Cli, row: Row) -> Row:
    """A row of an example file may leave the accounts to the local stack."""
    if cli.stack is None or row.wanted is None:
        return row
    return replace(row, wanted=cli.stack.fill(row.wanted))


async def _submit_file(cli: Cli, rows: list[Row]) -> None:
    from commands.batch import results_document, submit_rows
    from commands.render import progress, results_table
    from commands.submitting import open_submitter

    settings = cli.settings()
    async with open_submitter(cli) as submitter:
        with progress("submitting", len(rows)) as advance:
            results = await submit_rows(rows, submitter, settings, lambda _: advance())
    document = results_document(results)
    cli.emit(document, lambda: results_table(document))
    if "error" in document:
        cli.note(f"error: {document['error']['message']}")
        raise typer.Exit(1)


async def list_requests(
    cli: Cli,
    status: Annotated[Text, option("--status", "Only requests in this state.")] = None,
    tenant: AnyTenant = None,
    mine: Annotated[Text, option("--mine", "What this user asked or may decide now.", "USER")] = None,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Escalated, overdue, long in submission, or an anomaly.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 200,
) -> None:
    """List requests, the most urgent first."""
    from commands.documents import request_document
    from commands.listing import select
    from commands.render import request_table

    async with cli.transaction() as tx:
        records = await select(tx, status=status, tenant=tenant, mine=mine, stuck=stuck, limit=limit)
    document = {"requests": [request_document(record) for record in records]}
    cli.emit(document, lambda: request_table(records))


async def show(cli: Cli, request_id: Id) -> None:
    """Show one request: what, who, how far, what comes next, and its timeline."""
    from commands.render import request_view

    record, document = await _load(cli, request_id)
    cli.emit(document, lambda: request_view(record, document, cli.request_url(record.request.id)))


async def watch(
    cli: Cli,
    request_id: Id,
    interval: Annotated[float, typer.Option("--interval", min=0.2, max=60, help="Seconds.")] = 1.0,
) -> None:
    """Follow one request until its end."""
    from commands.watching import follow

    record, document = await follow(cli, request_id, interval)
    cli.emit(document, lambda: f"{record.request.id} is {record.status}")


async def _load(cli: Cli, request_id: str) -> tuple[RequestRecord, dict[str, Any]]:
    from commands.documents import request_document
    from commands.lookup import find_request
    from commands.talk_documents import conversation_document
    from db import reads

    async with cli.transaction() as tx:
        record = await find_request(tx, request_id)
        timeline = await reads.timeline(tx, record.request.id)
        talk = await conversation_document(tx, record.request.id)
    return record, {**request_document(record, timeline), **talk}
