"""What every command shares: `--data-dir`, `--json`, the settings, and what becomes of an error.

A command is a plain function whose first parameter is a `Cli`; `command` gives it the two shared
options and the error boundary. Heavy imports belong inside the functions: `--help` must be instant.
"""

from __future__ import annotations

import asyncio
import functools
import getpass
import inspect
import json
import os
import sys
import tempfile
import traceback
import typing
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.stack import Stack, read_stack
from domain.errors import ConfigurationError, FieldsError, MintkeeperError

if TYPE_CHECKING:
    from temporalio.client import Client

    from db.session import Database, Transaction
    from settings import Settings


UNDEFINED_TABLE = "42P01"
"""SQLSTATE of a query on a table that does not exist."""

DEFAULT_DATA_DIR = Path(".mintkeeper")

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where a local stack keeps its data, keys and stack.json.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.", show_default=False)
]


@dataclass(frozen=True)
class Cli:
    """One invocation of the command line."""

    data_dir: Path = DEFAULT_DATA_DIR
    as_json: bool = False

    @functools.cached_property
    def stack(self) -> Stack | None:
        """The local stack that runs in the data directory, if one does."""
        return read_stack(self.data_dir)

    def settings(self) -> Settings:
        """The environment, overlaid by a running local stack; raises ConfigurationError."""
        from pydantic import ValidationError

        from settings import Settings

        try:
            settings = Settings()
        except ValidationError as error:
            first = error.errors()[0]
            name = "MINTKEEPER_" + "_".join(map(str, first["loc"])).upper()
            raise ConfigurationError(f"{name} is not valid: {first['msg']}") from error
        return settings if self.stack is None else settings.model_copy(update=self.stack.overlay())

    def database_url(self) -> str:
        """Where the database is: the local stack's, else the environment's; raises ConfigurationError."""
        url = self.settings().database_url
        if not url:
            raise ConfigurationError(
                f"no local stack runs in {self.data_dir} and MINTKEEPER_DATABASE_URL is not set: "
                "start one with 'mintkeeper up'"
            )
        return url

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """The database, closed at the end; raises ConfigurationError when it is not set or not migrated."""
        from sqlalchemy.exc import ProgrammingError

        from db.session import Database

        database = Database(self.database_url(), pool_size=4)
        try:
            yield database
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) == UNDEFINED_TABLE:
                raise ConfigurationError("the database has no schema: run 'mintkeeper migrate'") from error
            raise
        finally:
            await database.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction, for commands that need no more."""
        async with self.database() as database, database.transaction() as tx:
            yield tx

    async def temporal(self) -> Client:
        """A client of the local stack's Temporal, or of the one that Temporal's environment names."""
        from starter.temporal import connect

        if self.stack is None:
            return await connect()
        return await connect(address=self.stack.temporal_address, namespace=self.stack.temporal_namespace)

    def tenant(self, given: str | None) -> str:
        """The tenant meant: as given, else the local stack's demo tenant; raises ConfigurationError."""
        if given:
            return given
        if self.stack is not None:
            return self.stack.tenant
        raise ConfigurationError("no local stack is running: say which tenant with --tenant")

    def actor(self, given: str | None) -> str:
        """Who changes a dictionary, for the audit: as given, else who is logged in."""
        try:
            return given or getpass.getuser()
        except (KeyError, OSError):
            return f"uid-{os.getuid()}"

    def request_url(self, request_id: str) -> str | None:
        """The request's workflow in the Temporal Web UI, where one is configured."""
        base = self.settings().temporal_ui_url.rstrip("/")
        namespace = self.stack.temporal_namespace if self.stack else os.environ.get("TEMPORAL_NAMESPACE")
        return f"{base}/namespaces/{namespace or 'default'}/workflows/mint-{request_id}" if base else None

    def key_file(self, user: str) -> Path:
        """Where a user's private key is kept."""
        return self.data_dir / "keys" / f"{user}.pem"

    def emit(self, document: Any, render: Callable[[], object] | None = None) -> None:
        """Answer: the document under `--json`, else what `render` prints (or returns as text)."""
        if self.as_json or render is None:
            text: object = json.dumps(document, indent=2, ensure_ascii=False)
        else:
            text = render()
        if text is not None:
            sys.stdout.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Tell people something that is not the answer; goes to stderr."""
        sys.stderr.write(f"{text}\n")

    def fail(self, code: str, message: str, **details: Any) -> typer.Exit:
        """Report an error in the promised form; the caller raises the answer."""
        message = " ".join(message.split())
        sys.stderr.write(f"error: {_in_lines(message, details.get('fields', {}))}\n")
        if self.as_json:
            sys.stdout.write(json.dumps({"error": {"code": code, "message": message, **details}}) + "\n")
        return typer.Exit(1)

    def log_crash(self, error: BaseException) -> Path:
        """Keep the traceback of an unexpected error for whoever mends it; answers where."""
        directory = self.data_dir / "logs"
        if not self.data_dir.is_dir() or not os.access(self.data_dir, os.W_OK):
            directory = Path(tempfile.gettempdir())
        directory.mkdir(parents=True, exist_ok=True)
        log = directory / "mintkeeper-cli.log"
        with log.open("a", encoding="utf-8") as file:
            file.write(f"--- {datetime.now(UTC).isoformat()} {' '.join(sys.argv[1:2])}\n")
            file.writelines(traceback.format_exception(error))
        return log


Command = Callable[..., Coroutine[Any, Any, None] | None]


def command(app: typer.Typer, name: str, *, server: bool = False) -> Callable[[Command], Command]:
    """Register a function `(cli: Cli, …)`, synchronous or not, as the command `name` of `app`.

    A `server` runs on the faster event loop, whose subprocesses lack what the local stack needs.
    """

    def register(function: Command) -> Command:
        hints = typing.get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in list(inspect.signature(function).parameters.values())[1:]
        ]
        shared = [
            _shared("data_dir", DataDir, DEFAULT_DATA_DIR),
            _shared("as_json", AsJson, default=False),
        ]

        def run(*, data_dir: Path, as_json: bool, **arguments: Any) -> None:
            run_command(Cli(data_dir, as_json), lambda cli: function(cli, **arguments), server=server)

        run.__doc__ = function.__doc__
        run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]  # read by typer
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
        app.command(name)(run)
        return function

    return register


def run_command(
    cli: Cli, function: Callable[[Cli], Coroutine[Any, Any, None] | None], *, server: bool = False
) -> None:
    """The error boundary: a known error is one line, an unknown one a line and a log; no traceback."""
    try:
        outcome = function(cli)
        if outcome is not None:
            _run(outcome, server=server)
    except MintkeeperError as error:
        raise cli.fail(error.code, error.message, **error_details(error)) from error
    except (BrokenPipeError, typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        log = cli.log_crash(error)
        raise cli.fail("internal", f"unexpected {type(error).__name__}: the details are in {log}") from error


def _run(work: Coroutine[Any, Any, None], *, server: bool) -> None:
    if not server:
        asyncio.run(work)
        return
    import uvloop

    uvloop.run(work)


def _in_lines(message: str, fields: Mapping[str, str]) -> str:
    """A message that says what is wrong with several fields, with a line for each."""
    if len(fields) < 2:
        return message
    head = message.partition(f": {next(iter(fields))}: ")[0]
    return head + "".join(f"\n  {name}: {' '.join(told.split())}" for name, told in fields.items())


def error_details(error: MintkeeperError) -> dict[str, Any]:
    """What an error knows beyond its code and message."""
    names = ("field", "reason")
    told: dict[str, Any] = {name: str(value) for name in names if (value := getattr(error, name, ""))}
    return told | ({"fields": dict(error.fields)} if isinstance(error, FieldsError) and error.fields else {})


def _shared(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
