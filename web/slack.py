"""What a press of a button in Slack does: the same as in the browser, in the name of a linked approver.

Who pressed is looked up in the request's own tenant at each press, and the decision is judged by the
request's workflow like any other. Above the rule's amount for a second factor nothing is decided here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from db import reads
from db.reads.slack import refused_decisions, slack_approver
from domain.amounts import format_amount
from domain.approvals import DecisionOutcome, Verdict
from domain.errors import (
    ConfigurationError,
    DecisionRefused,
    InvalidInput,
    MintkeeperError,
    OutcomeUnknown,
    Unavailable,
)
from domain.judgement import wants_step_up
from domain.mint_request import MintRequest, MintStatus
from domain.records import RequestRecord
from domain.sessions import Person
from domain.slack import (
    ACKNOWLEDGE,
    APPROVE,
    REJECT,
    WEB_API,
    BlockActions,
    Origin,
    ViewSubmission,
    decision_id,
    reason_modal,
)
from domain.text import check_text
from starter.acks import acknowledge_as
from starter.slack import SlackCalls
from web import acting
from web.state import State

log = logging.getLogger("mintkeeper.slack")

STRANGER = (
    "Your Slack user is not linked to an approver of this request: ask an admin for "
    "'mintkeeper user set NAME --slack-user {user}'."
)
UNLINKED = "unlinked"
LATER = "Received: it takes effect as soon as a worker runs."
ILL = "This can't be done at the moment, and nothing was decided: try again, or open {url}"
ACTIONS = frozenset({APPROVE, REJECT, ACKNOWLEDGE})


async def press(state: State, event: BlockActions) -> None:
    """Do what the button says, and tell whoever pressed what came of it."""
    action, user = event.actions[0], event.user.id
    origin = Origin(
        request_id=action.value, channel=event.container.channel_id, message_ts=event.container.message_ts
    )
    note = await _in_words(state, origin, _pressed(state, event, origin))
    if note:
        await calls_of(state).tell(origin, user, note)


async def send_reason(state: State, event: ViewSubmission, origin: Origin) -> str:
    """Reject with the reason that was typed; answers what is wrong, empty when it was taken.

    That a worker has still to take it is told beside the message.
    """
    try:
        person, record = await _who(state, origin, event.user.id)
        taken = await _decide(state, origin, event.user.id, person, record, Verdict.REJECT, event.view.reason)
    except MintkeeperError as error:
        return _refusal(state, origin, error)
    if taken is None:
        await calls_of(state).tell(origin, event.user.id, LATER)
    return ""


def tell_late(state: State, event: ViewSubmission, origin: Origin) -> Callable[[str], Awaitable[None]]:
    """What to do with a result of `send_reason` for which the modal did not wait."""

    async def tell(problem: str) -> None:
        if problem:
            await calls_of(state).tell(origin, event.user.id, problem)

    return tell


def reason_problem(reason: str) -> str:
    """What is wrong with the reason itself; empty: nothing."""
    if not reason.strip():
        return "a rejection needs a reason"
    try:
        check_text(reason, "the reason")
    except InvalidInput as error:
        return error.message
    return ""


def calls_of(state: State) -> SlackCalls:
    """Slack as the settings know it."""
    return SlackCalls(state.settings.slack_bot_token, state.settings.slack_base_url or WEB_API)


async def _pressed(state: State, event: BlockActions, origin: Origin) -> str:
    """What to tell; empty: a modal has opened instead."""
    user, action = event.user.id, event.actions[0].action_id
    person, record = await _who(state, origin, user)
    if action == ACKNOWLEDGE:
        return await _acknowledge(state, person, record)
    if action == REJECT and record.status is MintStatus.PENDING:
        opened = await calls_of(state).open_modal(event.trigger_id, reason_modal(origin, _about(record)))
        return "" if opened else f"The form could not be opened: reject it at {_url(state, origin)}"
    if action == APPROVE and record.status is MintStatus.PENDING and wants_step_up(record):
        return f"This amount needs a second factor: approve it at {_url(state, origin)}"
    verdict = Verdict.APPROVE if action == APPROVE else Verdict.REJECT
    # one that is over is refused by the same words as everywhere
    taken = await _decide(state, origin, user, person, record, verdict, "")
    return LATER if taken is None else f"Approved by {person.name}: {_money(record.request)}, {taken.message}"


async def _acknowledge(state: State, person: Person, record: RequestRecord) -> str:
    if not state.authority.has_keys:
        raise Unavailable("MINTKEEPER_AUTHORITY_KEY is not set where interactions of Slack are taken")
    receipt = await acknowledge_as(state.temporal, state.database, state.authority, record, person.name)
    return LATER if receipt is None else f"{receipt.acknowledged_by} is on it. This approves nothing."


async def _decide(
    state: State,
    origin: Origin,
    slack_user: str,
    person: Person,
    record: RequestRecord,
    verdict: Verdict,
    reason: str,
) -> DecisionOutcome | None:
    async with state.database.transaction() as tx:
        refused = await refused_decisions(tx, record.request.id, person.name)
    chosen = decision_id(origin, slack_user, verdict, refused)
    return await acting.decide(state, person, record, verdict, reason, decision_id=chosen)


async def _who(state: State, origin: Origin, slack_user: str) -> tuple[Person, RequestRecord]:
    """The approver of the request's tenant who pressed; raises DecisionRefused, for no request too."""
    async with state.database.transaction() as tx:
        record = await reads.request(tx, origin.request_id)
        person = await slack_approver(tx, record.request.tenant, slack_user) if record else None
    if record is None or person is None:
        raise DecisionRefused(STRANGER.format(user=slack_user), UNLINKED)
    return person, record


async def _in_words(state: State, origin: Origin, doing: Awaitable[str]) -> str:
    try:
        return await doing
    except MintkeeperError as error:
        return _refusal(state, origin, error)


def _refusal(state: State, origin: Origin, error: MintkeeperError) -> str:
    if isinstance(error, OutcomeUnknown):
        return f"No answer yet: it may still take effect. Look at {_url(state, origin)}"
    if isinstance(error, Unavailable | ConfigurationError):
        log.error("a press in Slack had no effect: %s", error)
        return ILL.format(url=_url(state, origin))
    unlinked = isinstance(error, DecisionRefused) and error.reason == UNLINKED
    return error.message if unlinked else f"Not recorded: {error.message}"


def _about(record: RequestRecord) -> str:
    request = record.request
    return f"{_money(request)} for {request.requester}, to {request.destination} [{request.track_number}]"


def _money(request: MintRequest) -> str:
    return f"{format_amount(request.amount)} {request.asset.code}"


def _url(state: State, origin: Origin) -> str:
    return f"{state.settings.public_url.rstrip('/')}/requests/{origin.request_id}"
