"""How a form of a request's page is carried out; the answer is the news for whoever sent it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from fastapi import Request
from starlette.datastructures import FormData

from commands.submitting import Receipt
from db.reads import conversation
from db.writes.decisions import outcome_of_step
from domain.approvals import DecisionOutcome, RefusalReason, Verdict
from domain.errors import DecisionRefused, Refused
from domain.judgement import wants_step_up
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.sessions import Person
from starter.acks import acknowledge_as
from web import acting
from web.filters import sentence
from web.people import address_of, field
from web.state import State

_WRITTEN_SECONDS: Final = 2.0
"""So long a comment is waited for, so that whoever wrote it finds it on the page."""

_LEFT: Final = (
    "No worker answers at the moment. {what} is kept and takes effect as soon as one runs: look again here."
)
_DONE: Final = {
    Verdict.APPROVE: ("Approved", "Your approval"),
    Verdict.REJECT: ("Rejected", "Your rejection"),
    Verdict.CANCEL: ("Cancelled", "Your cancellation"),
}

_deciding: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True)
class Deed:
    """Who sends which form about which request."""

    request: Request
    state: State
    person: Person
    record: RequestRecord
    form: FormData

    def typed(self, name: str) -> str:
        """A field's text; empty: there is none."""
        return field(self.form, name)


async def approve(deed: Deed) -> str:
    """Raises what `acting.step_up` and `acting.decide` do."""
    return await _decide(deed, Verdict.APPROVE)


async def reject(deed: Deed) -> str:
    """Raises what `acting.decide` does, and DecisionRefused at once where the reason is missing."""
    if not deed.typed("reason").strip():
        raise DecisionRefused("a rejection needs a reason", RefusalReason.REASON_MISSING)
    return await _decide(deed, Verdict.REJECT)


async def cancel(deed: Deed) -> str:
    """Raises what `acting.decide` does."""
    return await _decide(deed, Verdict.CANCEL)


async def _decide(deed: Deed, verdict: Verdict) -> str:
    state, person, record = deed.state, deed.person, deed.record
    decision_id = acting.own_decision_id(person, record.request.id, deed.typed("decision_id"))
    done, what = _DONE[verdict]
    acting.check_seen(record, deed.typed("digest"))
    async with _in_turn(decision_id):
        # a doubled click brings a code twice, which is good once, or comes when all is over
        if await _is_recorded(deed, decision_id, verdict):
            return f"{done}: this was recorded before."
        stepped_up: tuple[str, ...] = ()
        if verdict is Verdict.APPROVE:
            stepped_up = await acting.step_up(
                state, person, [record], deed.typed("code"), address=address_of(deed.request)
            )
        outcome = await acting.decide(
            state,
            person,
            record,
            verdict,
            deed.typed("reason"),
            decision_id=decision_id,
            stepped_up=stepped_up,
        )
    return _LEFT.format(what=what) if outcome is None else _told(outcome, done)


def _told(outcome: DecisionOutcome, done: str) -> str:
    if outcome.status == MintStatus.PENDING:
        return sentence(outcome.message.replace("accepted", done, 1))
    if outcome.verdict is Verdict.APPROVE:
        return f"{done}: nothing more is needed, and the mint goes to the ledger."
    return f"{done}."


async def send_code(deed: Deed) -> str:
    """Raises what `acting.send_step_up_code` does, and Refused where no code is needed."""
    if not wants_step_up(deed.record):
        raise Refused("this amount needs no code: approve it without one")
    await acting.send_step_up_code(deed.state, deed.person, deed.record)
    return "A one-time code is on its way to you: type it in below."


async def claim(deed: Deed) -> str:
    """Raises what `acting.assign` does, as the two below."""
    await acting.assign(deed.state, deed.person, deed.record, "claim", deed.person.name)
    return "You work on it now. That approves nothing yet."


async def release(deed: Deed) -> str:
    """Nobody works on it then."""
    await acting.assign(deed.state, deed.person, deed.record, "release", None)
    return "Nobody works on it now: anybody may take it."


async def assign(deed: Deed) -> str:
    """Give it to whom the form names."""
    standing = await acting.assign(
        deed.state, deed.person, deed.record, "assign", deed.typed("assignee") or None
    )
    return f"{standing.assignee or 'Nobody'} works on it now."


async def acknowledge(deed: Deed) -> str:
    """Raises AckRefused, AccessRefused for too many, or Unavailable."""
    state = deed.state
    state.pace.take(deed.person, deed.record.request.id)
    receipt = await acknowledge_as(
        state.temporal, state.database, state.authority, deed.record, deed.person.name
    )
    if receipt is None:
        return _LEFT.format(what="That you are on it")
    return "You are on it: no further stage comes for now. Without a decision it still expires."


async def comment(deed: Deed) -> str:
    """Raises what `acting.comment` does."""
    message_id = deed.typed("message_id")
    written = await acting.comment(deed.state, deed.person, deed.record, deed.typed("text"), message_id)
    if written or await _is_written(deed.state, message_id):
        return "Said."
    return _LEFT.format(what="What you said")


async def resubmit(deed: Deed) -> Receipt:
    """Raises what `acting.resubmit` does."""
    return await acting.resubmit(deed.state, deed.person, deed.record, key=deed.typed("key") or None)


async def _is_written(state: State, message_id: str) -> bool:
    until = asyncio.get_running_loop().time() + _WRITTEN_SECONDS
    while asyncio.get_running_loop().time() < until:
        async with state.database.transaction() as tx:
            if await conversation.message(tx, message_id) is not None:
                return True
        await asyncio.sleep(0.05)
    return False


async def _is_recorded(deed: Deed, decision_id: str, verdict: Verdict) -> bool:
    """Whether this very decision has taken effect already."""
    async with deed.state.database.transaction() as tx:
        earlier = await outcome_of_step(tx, deed.record.request.id, f"decision:{decision_id}")
    return earlier is not None and earlier.get("verdict") == verdict


@asynccontextmanager
async def _in_turn(decision_id: str) -> AsyncIterator[None]:
    """A doubled click waits for the first one's answer."""
    async with _deciding.setdefault(decision_id, asyncio.Lock()):
        yield
