"""Plays the demo from beginning to end and reports what became of every request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import typer

from commands.batch import read_rows
from commands.context import Cli
from commands.demo.people import People
from commands.demo.plays import PLAYS, Play, Theatre
from commands.demo.report import report
from commands.demo.screen import Screen
from commands.demo.waiting import leave_some, read_waiting
from commands.submitting import Submitter
from domain.errors import InvalidInput, MintkeeperError
from starter.local.signals import ends_on_signal
from starter.local.stack import RunningStack, StackOptions, running_stack
from starter.requests import Wanted

CSV = Path(__file__).resolve().parents[2] / "examples" / "mint_requests.csv"

SUBMISSION_WINDOW_SECONDS = 15
"""Shorter than the default, so that the time-out on the ledger can be watched."""

_DAY = 24 * 3600
_SPARE_SECONDS = 75.0
"""On top of the scaled day: the re-submission, and a slow machine."""


async def run_demo(cli: Cli, sla_scale: int, *, leave: bool) -> None:
    """Start a stack, play, report; then stay until Ctrl-C unless told to leave.

    Exits with 1 unless every request reached the end that its play expects.
    """
    screen = Screen()
    good: bool | None = None
    wanted = read_wanted()
    # only the plays are sped up: what a new user asks for afterwards has the day that it has in real life
    options = StackOptions(cli.data_dir, 1, submission_window_seconds=SUBMISSION_WINDOW_SECONDS)
    with ends_on_signal():
        async with running_stack(options, screen.note) as stack:
            # a new look at the data directory: the stack did not run yet when the command began
            async with _theatre(Cli(cli.data_dir, cli.as_json), stack, screen, sla_scale) as theatre:
                await _play(theatre, _in_this_world(wanted, stack), screen, _limit(sla_scale))
                waiting = [] if leave else _in_this_world(read_waiting(), stack)
                await leave_some(theatre.people, waiting)
                good = await report(cli, theatre, stack)
            if not leave:
                screen.invite(len(waiting), stack.addresses.web_url, stack.demo.password)
                await asyncio.Event().wait()
    if good is None:
        raise cli.fail("interrupted", "stopped before the demo was over")
    if not good:
        raise typer.Exit(1)


def read_wanted() -> list[Wanted]:
    """One wanted request a play; raises InvalidInput when the file does not fit."""
    rows = read_rows(CSV, {"tenant": "acme"})
    if len(rows) != len(PLAYS):
        raise InvalidInput(f"{CSV} has {len(rows)} rows where the demo plays {len(PLAYS)}", "file")
    for row in rows:
        if row.wanted is None:
            raise row.error or InvalidInput(f"line {row.line} of {CSV} can't be read", "file")
    return [row.wanted for row in rows if row.wanted is not None]


def _in_this_world(rows: list[Wanted], stack: RunningStack) -> list[Wanted]:
    """Put this stack's accounts in, and keys that are new in each run of the demo."""
    run = int(time.time())
    return [
        replace(
            wanted,
            asset=wanted.asset.replace("ISSUER", stack.demo.issuer),
            destination=wanted.destination.replace("DESTINATION", stack.demo.destination),
            key=f"{wanted.key}-{run}" if wanted.key else None,
        )
        for wanted in rows
    ]


@asynccontextmanager
async def _theatre(cli: Cli, stack: RunningStack, screen: Screen, sla_scale: int) -> AsyncIterator[Theatre]:
    settings, client = cli.settings().model_copy(update={"sla_scale": sla_scale}), await cli.temporal()
    async with cli.database() as database:
        people = People(cli, settings, database, client, Submitter(database, client, settings))
        yield Theatre(people, stack.addresses.horizon_url, screen.tell)


def _limit(sla_scale: int) -> float:
    return _DAY / sla_scale + _SPARE_SECONDS


async def _play(theatre: Theatre, wanted: list[Wanted], screen: Screen, limit_seconds: float) -> None:
    """All plays at the same time; each failure is kept with its request."""
    with screen.lit():
        watching = asyncio.create_task(_watch(theatre, screen))
        try:
            await asyncio.gather(
                *(_one(play, theatre, row, limit_seconds) for play, row in zip(PLAYS, wanted, strict=True))
            )
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _one(play: Play, theatre: Theatre, wanted: Wanted, limit_seconds: float) -> None:
    try:
        async with asyncio.timeout(limit_seconds):
            await play(theatre, wanted)
    except MintkeeperError as error:
        theatre.failures.append(f"{play.__name__}: {error.message}")
    except TimeoutError:
        theatre.failures.append(f"{play.__name__}: not over after {limit_seconds:.0f} s")


async def _watch(theatre: Theatre, screen: Screen) -> None:
    while True:
        rows = [(part, await theatre.people.look(part.request)) for part in theatre.parts]
        screen.show(rows)
        await asyncio.sleep(0.25)
