"""Documents of a request: handing one in, listing them, getting one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.context import Cli, command
from commands.options import AsUser, Id, Text, option
from domain.errors import InvalidInput, MintkeeperError, Refused

if TYPE_CHECKING:
    from storage import Storage

File = Annotated[Path, typer.Argument(metavar="FILE", help="PDF, PNG, JPEG, TXT, CSV, DOCX or XLSX.")]
AttachmentId = Annotated[str, typer.Argument(metavar="ATTACHMENT", help="A document's id (att_…).")]

_CHUNK = 256 * 1024
"""Bytes read at a time."""


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    command(app, "attach")(attach)
    attachments = typer.Typer(no_args_is_help=True, help="Documents of requests.")
    command(attachments, "list")(list_attachments)
    command(attachments, "get")(get)
    app.add_typer(attachments, name="attachments")


async def attach(
    cli: Cli,
    request_id: Id,
    file: File,
    user: AsUser,
    name: Annotated[Text, option("--name", "Another name for it than the file's.")] = None,
) -> None:
    """Hand in a document; the other side is told."""
    from commands.lookup import load_request
    from commands.render import progress
    from commands.talk_documents import attachment_document
    from domain.attachments import Announcement
    from starter import uploads

    storage = storage_of(cli)
    announced = Announcement.checked(
        name or file.name, None, _size(file), None, cli.settings().upload_max_bytes
    )
    async with cli.database() as database:
        found = (await load_request(database, request_id)).request.id
        pending = await uploads.announce(database, found, user, announced, uploads.new_attachment_id())
        with progress("sending", -(-announced.size // _CHUNK)) as advance:
            try:
                stored = await uploads.receive(database, storage, pending.id, _chunks(file, advance))
            except MintkeeperError:
                # no other command can send its bytes
                await uploads.withdraw(database, pending.id)
                raise
    cli.emit(
        {"request_id": found, **attachment_document(stored)},
        lambda: f"{stored.id}: {stored.filename}, {stored.size} bytes, SHA-256 {stored.sha256}",
    )


async def list_attachments(cli: Cli, request_id: Id) -> None:
    """List a request's documents, those that have only been announced too."""
    from commands.lookup import find_request
    from commands.render import plain_table
    from commands.talk_documents import attachment_document
    from db.reads import conversation

    async with cli.transaction() as tx:
        found = (await find_request(tx, request_id)).request.id
        documents = [attachment_document(one) for one in await conversation.attachments(tx, found)]
    columns = ("id", "filename", "size", "author", "state", "created_at", "sha256")
    rows = [[document[name] for name in columns] for document in documents]
    cli.emit({"id": found, "attachments": documents}, lambda: plain_table(columns, rows, "no documents"))


async def get(
    cli: Cli,
    attachment_id: AttachmentId,
    out: Annotated[Path, option("--out", "Where to write it; must not exist yet.", "FILE")],
) -> None:
    """Get a document; what is written has the SHA-256 that was stored."""
    from db.writes import attachments
    from starter import uploads

    storage = storage_of(cli)
    async with cli.transaction() as tx:
        found = await attachments.find(tx, attachment_id)
    parts = uploads.send_out(storage, found)
    await _write(out, parts)
    cli.emit(
        {"id": found.id, "file": str(out), "size": found.size, "sha256": found.sha256},
        lambda: f"{out}: {found.size} bytes, SHA-256 {found.sha256}",
    )


def storage_of(cli: Cli) -> Storage:
    """The running local stack's storage, else that of the environment; raises ConfigurationError."""
    from storage import open_storage

    return open_storage(storage_url(cli))


def storage_url(cli: Cli) -> str:
    """Where documents are: in the running local stack's directory, else as the environment says."""
    own = cli.data_dir / "documents"
    if cli.stack is not None and own.is_dir():
        return own.resolve().as_uri()
    return cli.settings().storage_url


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} can't be read: {getattr(error, 'strerror', error)}", "file") from error


async def _chunks(file: Path, advance: Callable[[], None]) -> AsyncIterator[bytes]:
    import asyncio

    try:
        with await asyncio.to_thread(file.open, "rb") as opened:
            while chunk := await asyncio.to_thread(opened.read, _CHUNK):
                yield chunk
                advance()
    except OSError as error:
        raise InvalidInput(f"{file} can't be read: {error.strerror}", "file") from error


async def _write(out: Path, parts: AsyncIterator[bytes]) -> None:
    """Write all of it, or leave nothing; an existing file stays."""
    import asyncio

    try:
        opened = await asyncio.to_thread(out.open, "xb")
    except FileExistsError as error:
        raise Refused(f"{out} exists already: choose another --out") from error
    except OSError as error:
        raise InvalidInput(f"{out} can't be written: {error.strerror}", "out") from error
    try:
        with opened:
            async for part in parts:
                await asyncio.to_thread(opened.write, part)
    except BaseException:
        await asyncio.to_thread(out.unlink, missing_ok=True)
        raise
