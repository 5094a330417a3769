"""The audit chain for auditors: show it, export it, verify it offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import Tenant, Text, option


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    audit = typer.Typer(no_args_is_help=True, help="The hash-chained audit log of a tenant.")
    command(audit, "show")(show)
    command(audit, "export")(export)
    command(audit, "verify")(verify)
    app.add_typer(audit, name="audit")


async def show(
    cli: Cli,
    after: Annotated[int, typer.Option("--after", min=0, help="Only events with a higher number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 200,
    tenant: Tenant = None,
) -> None:
    """Show a tenant's audit events."""
    import json

    from commands.render import plain_table
    from db import reads

    async with cli.transaction() as tx:
        events = await reads.audit_events(tx, cli.tenant(tenant), after, limit)
    documents = [{**json.loads(event.body), "hash": event.hash} for event in events]
    columns = ("seq", "at", "kind", "actor", "requestId", "details")
    rows = [[document[name] for name in columns] for document in documents]
    cli.emit({"events": documents}, lambda: plain_table(columns, rows, "no events"))


async def export(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write, one event a line.")],
    tenant: Tenant = None,
) -> None:
    """Write a tenant's whole chain into a file that anybody can verify offline."""
    from commands.chain import export_chain

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        document = await export_chain(tx, code, file)
    cli.emit(
        document,
        lambda: f"{document['events']} events of {code} in {file}; head {document['head']}",
    )


async def verify(
    cli: Cli,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="An exported file; the database unless said.")
    ] = None,
    head: Annotated[
        Text, option("--head", "A head noted earlier: the chain must still contain it.", "SEQ:HASH")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Check that no event was changed, removed, swapped or inserted, and that every decision was signed."""
    from commands.chain import load_chain, parse_head, proof_document, proof_text, read_file

    if file is not None:
        events = read_file(file)
    else:
        async with cli.transaction() as tx:
            events = await load_chain(tx, cli.tenant(tenant))
    code = events[0].tenant if events else (tenant or "")
    document = proof_document(events, parse_head(head, code)) | {"tenant": code}
    if not document["intact"]:
        raise cli.fail("chain_broken", document.pop("fault"), **document)
    if document["faults"]:
        raise cli.fail("decision_unproven", document["faults"][0], **document)
    cli.emit(document, lambda: proof_text(document))
