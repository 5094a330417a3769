"""Rotating the server's own keys, with which acknowledgement links are signed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from commands.context import Cli
from commands.options import option
from domain.errors import ConfigurationError

if TYPE_CHECKING:
    from starter.key_file import KeptKey, Rotation

File = Annotated[
    Path | None,
    option("--file", "The stack's, or the one of MINTKEEPER_AUTHORITY_KEY, unless said.", "FILE"),
]
DropOld = Annotated[bool, option("--drop-old", "Make no new key; only drop those that nothing needs.")]
Now = Annotated[bool, option("--now", "A key has leaked: drop every old one at once.")]

_WORTHLESS = "acknowledgement links in messages sent already are worthless now: tell their recipients"


def rotate(cli: Cli, file: File = None, drop_old: DropOld = False, now: Now = False) -> None:
    """Put a new authority key in front; an old one stays until every link that it signed has run out.

    A running worker and web server use the new key at once, without a restart.
    """
    from starter import key_file

    path = file or _file(cli)
    done = key_file.rotate(path, datetime.now(UTC), make=not drop_old, drop_all=now)
    worthless = now and bool(done.dropped)
    document = {
        "file": str(path),
        "signs": done.kept[0].id,
        "keys": [_document(key) for key in done.kept],
        "dropped": [_document(key) for key in done.dropped],
        "links_worthless": worthless,
    }
    cli.emit(document, lambda: "\n".join(_lines(path, done, worthless)))


def authority_setting(cli: Cli) -> str:
    """Where the authority's keys are: the running local stack's, else as the environment says."""
    own = cli.data_dir / "keys" / "authority.seeds"
    if cli.stack is not None and own.exists():
        return f"file:{own}"
    return cli.settings().authority_key


def _file(cli: Cli) -> Path:
    files = [
        Path(url.strip().partition(":")[2])
        for url in authority_setting(cli).split(",")
        if url.strip().startswith("file:")
    ]
    if len(files) != 1:
        found = "several files" if files else "no file"
        raise ConfigurationError(f"MINTKEEPER_AUTHORITY_KEY names {found}: say which with --file")
    return files[0]


def _document(key: KeptKey) -> dict[str, str]:
    return {"key_id": key.id, "created": key.created.isoformat()}


def _lines(path: Path, done: Rotation, worthless: bool) -> list[str]:
    lines = [f"{path}: key {done.kept[0].id} signs"]
    if others := [key.id for key in done.kept[1:]]:
        lines.append(f"still believed until its links have run out: {', '.join(others)}")
    if done.dropped:
        lines.append(f"dropped: {', '.join(key.id for key in done.dropped)}")
    return [*lines, _WORTHLESS] if worthless else lines
