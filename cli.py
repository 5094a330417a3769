"""The command line: parse, call `starter/` or `db/`, print."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from commands import (
    absences,
    acking,
    acting,
    assignment,
    attaching,
    audit,
    codes,
    dictionaries,
    doctor,
    escalations,
    keys,
    ledger,
    messages,
    parts,
    requests,
    schedules,
    sla,
    stellar_channels,
)

app = typer.Typer(
    name="mintkeeper",
    help="Keeps mint requests moving and makes late or double mints impossible.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SUBJECTS = (
    requests,
    acting,
    assignment,
    acking,
    attaching,
    codes,
    parts,
    dictionaries,
    messages,
    audit,
    ledger,
    stellar_channels,
    keys,
    schedules,
    doctor,
    escalations,
    absences,
    sla,
)
for subject in _SUBJECTS:
    subject.register(app)


def main() -> NoReturn:
    """Run the command and leave with its exit code.

    Leaves by `os._exit`: the Temporal client's threads can abort the interpreter while it shuts
    down (sdk-python issue 300), which would turn a done command into a failed one.
    """
    code = 1
    try:
        app()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
