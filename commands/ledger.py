"""Looking at the ledger for one request, for an operator who must understand what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import Id, option


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    ledger = typer.Typer(no_args_is_help=True, help="What the ledger shows of a request.")
    command(ledger, "inspect")(inspect)
    app.add_typer(ledger, name="ledger")


async def inspect(
    cli: Cli,
    request_id: Id,
    save: Annotated[
        Path | None, option("--save", "Keep the evidence here, for 'mintkeeper resolve --evidence'.", "FILE")
    ] = None,
) -> None:
    """Look at the ledger now: where the mint is, who used its sequence, and what may be signed for."""
    from commands.inspecting import inspection_document, inspection_view, look
    from commands.lookup import load_request

    async with cli.database() as database:
        record = await load_request(database, request_id)
        inspection = await look(cli, record.request.id)
        record = await load_request(database, record.request.id)
    if save is not None:
        save_evidence(save, inspection.evidence.canonical())
    document = inspection_document(inspection, record, save)
    cli.emit(document, lambda: inspection_view(inspection, record, document))


def save_evidence(path: Path, content: bytes) -> None:
    """Write a new file; raises Refused for one that is there already, and where it can't be written."""
    from domain.errors import Refused

    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise Refused(
            f"can't save the evidence as {path}: {error.strerror}; name a new file with --save"
        ) from error
