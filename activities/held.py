"""What an acknowledgement or a command is about: a request with its own run, or the run of an event."""

from __future__ import annotations

from activities.journal import Run
from db import reads
from db.reads.escalations import lock_event_run
from db.session import Transaction
from domain.records import RequestRecord
from domain.run_steps import RunStanding
from domain.runs import EventRun, is_event_run
from domain.steps import Standing

Held = RequestRecord | EventRun


async def hold(tx: Transaction, run_id: str) -> Held:
    """The run of that id, held until the transaction ends; a request's own has the request's id.

    Raises NotFound.
    """
    return await (lock_event_run(tx, run_id) if is_event_run(run_id) else reads.lock_request(tx, run_id))


def in_log(held: Held) -> Run:
    """How the log names it."""
    return Run.of_event(held) if isinstance(held, EventRun) else Run.of_request(held)


def request_standing(held: Held) -> Standing | None:
    """How far the request has come, for its workflow; None for the run of an event."""
    return None if isinstance(held, EventRun) else Standing.of(held)


def run_standing(held: Held) -> RunStanding | None:
    """How far the run of an event has come, for its workflow; None for a request."""
    return RunStanding.of(held) if isinstance(held, EventRun) else None
