"""What is left for whoever tries the demo: requests that wait, with the clock of everyday life."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from commands.batch import read_rows
from commands.demo.people import People
from commands.submitting import Submitter
from domain.errors import InvalidInput
from starter.requests import Wanted

CSV = Path(__file__).resolve().parents[2] / "examples" / "waiting_requests.csv"


def read_waiting() -> list[Wanted]:
    """The requests of the file; raises InvalidInput for a row that can't be read."""
    rows = read_rows(CSV, {"tenant": "acme"})
    for row in rows:
        if row.wanted is None:
            raise row.error or InvalidInput(f"line {row.line} of {CSV} can't be read", "file")
    return [row.wanted for row in rows if row.wanted is not None]


async def leave_some(people: People, wanted: list[Wanted]) -> None:
    """Submit them with a day until they expire: nobody who is new decides within a demo's 43 seconds."""
    settings = people.settings.model_copy(update={"sla_scale": 1})
    unhurried = replace(
        people, settings=settings, submitter=Submitter(people.database, people.client, settings)
    )
    for one in wanted:
        await unhurried.submit(one)
