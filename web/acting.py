"""What a signed-in person does with a request; the pages, the API and Slack's buttons share it.

The server signs decisions for them with its authority key, and says in the signed content how they were
authenticated. Everything else is judged by the request's workflow, exactly as for the command line.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import rfc8785
from pydantic import ValidationError

from commands.deciding import refuse_closed
from commands.lookup import find_request
from commands.resubmitting import prepare_again
from commands.submitting import Receipt, Submitter, prepare
from db import reads
from db.session import Transaction
from db.writes import codes
from domain.approvals import (
    DECISION_TYPE,
    STEP_UP,
    Decision,
    DecisionOutcome,
    RefusalReason,
    SignedDecision,
    Verdict,
)
from domain.codes import CodePurpose
from domain.dsse import EnvelopeRefused, unverified_payload, verify
from domain.errors import (
    AccessRefused,
    DecisionRefused,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotOpen,
    Unavailable,
)
from domain.judgement import wants_step_up
from domain.mint_request import MintRequest
from domain.passes import AccessRefusal
from domain.records import RequestRecord
from domain.sessions import Person, SessionKind
from domain.steps import AssignMessage, CommentMessage, Standing
from starter.decisions import deliver, make_decision, send_assignment, sign_decision
from starter.ids import new_message_id
from starter.requests import Wanted
from starter.talking import say
from starter.temporal import reachable
from web.state import State

FORM_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
"""What a form of ours is known by: the same one sent twice is done once."""


async def visible(tx: Transaction, person: Person, name: str) -> RequestRecord:
    """The request of that id or track number, if the person may see it; raises NotFound otherwise."""
    try:
        record = await find_request(tx, name)
    except NotFound:
        record = None
    theirs = record is not None and record.request.tenant == person.tenant
    if record is None or not theirs or not (person.sees_all or record.request.requester == person.name):
        # the same words for what is absent and for what is somebody else's
        raise NotFound(f"there is no mint request {name}")
    return record


async def load_visible(state: State, person: Person, name: str) -> RequestRecord:
    """`visible` in a transaction of its own."""
    async with state.database.transaction() as tx:
        return await visible(tx, person, name)


async def step_up(
    state: State, person: Person, records: Sequence[RequestRecord], code: str, *, address: str
) -> tuple[str, ...]:
    """Check the second factor for approving these requests; answers what the decisions' `amr` has more.

    Nothing, where no amount asks for one. With an authenticator one code is good for all of them; without
    one, a one-time code by mail, which is bound to one request. Raises AccessRefused for a wrong code,
    DecisionRefused when one is needed and missing.
    """
    asking = [record for record in records if wants_step_up(record)]
    if not asking:
        return ()
    if not code.strip():
        raise DecisionRefused("this amount needs a second factor: type a code", "step_up_required")
    if person.has_totp:
        await state.accounts.step_up(person, code, address=address)
        return (STEP_UP,)
    if len(asking) > 1:
        raise DecisionRefused(
            "several of these amounts need a second factor: set up an authenticator in your account, "
            "or approve them one by one",
            "step_up_required",
        )
    async with state.database.transaction() as tx:
        right = await codes.use_code(
            tx,
            request_id=asking[0].request.id,
            purpose=CodePurpose.STEP_UP,
            recipient=person.name,
            typed=code,
            secret=state.secret,
            at=datetime.now(UTC),
        )
    if not right:
        raise codes.wrong_code()
    # the code itself is bound to the decision by the worker
    return ()


async def send_step_up_code(state: State, person: Person, record: RequestRecord) -> None:
    """Send a one-time code for approving this request; raises Refused, NotFound, InvalidInput."""
    async with state.database.transaction() as tx:
        await codes.send_code(
            tx,
            record=await reads.lock_request(tx, record.request.id),
            purpose=CodePurpose.STEP_UP,
            recipient=person.name,
            secret=state.secret,
            at=datetime.now(UTC),
        )


def check_seen(record: RequestRecord, digest: str) -> None:
    """Raise DecisionRefused where the request is not what the person saw; no digest: they say nothing of it.

    What somebody confirms is what is signed: nothing else is put in its place between page and click.
    """
    if digest and digest != record.request.digest():
        raise DecisionRefused(
            "the content of this request is not what the page showed: open it again, and tell an admin",
            RefusalReason.WRONG_REQUEST,
        )


def own_decision_id(person: Person, request_id: str, form_id: str) -> str:
    """The decision id that follows from a form's: always the same for this form, request and person.

    Nobody passes another's decision off as theirs by sending its id. Raises InvalidInput for no id.
    """
    if not FORM_ID.fullmatch(form_id):
        raise InvalidInput("the form has no decision id: open the page again", "decision_id")
    told = rfc8785.dumps([person.tenant, person.name, form_id, request_id])
    return "dc_" + base64.b32encode(hashlib.sha256(told).digest()).decode()[:26]


async def decide(
    state: State,
    person: Person,
    record: RequestRecord,
    verdict: Verdict,
    reason: str,
    *,
    decision_id: str,
    stepped_up: Sequence[str] = (),
) -> DecisionOutcome | None:
    """Sign a decision for a person and send it; the same `decision_id` again gets the first answer.

    None: no worker answers, so it is left with the workflow and takes effect later. Raises
    DecisionRefused, NotOpen, OutcomeUnknown, InvalidInput, Unavailable; AccessRefused for an API token,
    which proves nobody's presence.
    """
    if person.kind is SessionKind.TOKEN:
        raise no_presence()
    if not state.authority.has_keys:
        raise Unavailable("decisions by browser are not set up: MINTKEEPER_AUTHORITY_KEY is not set")
    state.pace.take(person, record.request.id)
    decision = make_decision(
        decision_id=decision_id,
        request_id=record.request.id,
        digest=record.request.digest(),
        verdict=verdict,
        approver=person.name,
        reason=reason,
        issued_at=datetime.now(UTC),
        amr=(*person.amr, *stepped_up),
    )
    return await _send(state, person, decision, sign_decision(decision, state.authority.keys[0]))


def no_presence() -> AccessRefused:
    """The refusal of what a token alone asks for."""
    return AccessRefused(
        "a token decides nothing: sign in, or send a decision signed with your own key",
        AccessRefusal.NOT_ENTITLED,
    )


async def deliver_signed(
    state: State, person: Person, record: RequestRecord, envelope: SignedDecision, *verdicts: Verdict
) -> tuple[str, DecisionOutcome | None]:
    """Hand on what an approver has signed; answers the decision's id, and what `decide` does.

    The signature is checked here, too: a workflow takes so many messages, and strangers' are not to be
    among them. Raises InvalidInput for another request's or, where some are named, another verdict.
    """
    decision = _read(envelope)
    if decision.request_id != record.request.id or (verdicts and decision.verdict not in verdicts):
        raise InvalidInput("the decision is about something else than this address", "payload")
    async with state.database.transaction() as tx:
        signer = await reads.signer(tx, record.request.tenant, decision.approver)
    try:
        verify(envelope, DECISION_TYPE, signer.public_keys if signer else ())
    except EnvelopeRefused as error:
        raise DecisionRefused(error.message, RefusalReason.BAD_SIGNATURE) from error
    state.pace.take(person, record.request.id)
    return decision.decision_id, await _send(state, person, decision, envelope)


def _read(envelope: SignedDecision) -> Decision:
    try:
        return Decision.parse(unverified_payload(envelope))
    except EnvelopeRefused as error:
        raise InvalidInput(f"the envelope can't be read: {error.message}", "payload") from error


async def _send(
    state: State, person: Person, decision: Decision, signed: SignedDecision
) -> DecisionOutcome | None:
    try:
        async with reachable(await state.temporal()) as client:
            outcome = await deliver(client, decision, signed)
    except NotOpen as error:
        raise refuse_closed(await load_visible(state, person, decision.request_id), error) from error
    if outcome is not None and not outcome.accepted:
        raise DecisionRefused(outcome.message, outcome.reason or "refused")
    return outcome


async def assign(
    state: State, person: Person, record: RequestRecord, verb: str, assignee: str | None
) -> Standing:
    """`claim`, `release` or `assign`; raises what the workflow refuses, and as `decide` does."""
    try:
        message = AssignMessage(actor=person.name, assignee=assignee, message_id=new_message_id())
    except ValidationError as error:
        raise InvalidInput("there is no such user", "assignee") from error
    state.pace.take(person, record.request.id)
    try:
        async with reachable(await state.temporal()) as client:
            return await send_assignment(client, record.request.id, verb, message)
    except NotOpen as error:
        raise refuse_closed(await load_visible(state, person, record.request.id), error) from error


async def comment(state: State, person: Person, record: RequestRecord, text: str, message_id: str) -> bool:
    """Say something; the same `message_id` again is the same message. True: it is written already.

    False: it is left with the workflow, which writes it soon. Raises InvalidInput, NotOpen, Unavailable.
    """
    if not text.strip():
        raise InvalidInput("say something first", "text")
    try:
        message = CommentMessage(author=person.name, text=text, comment_id=message_id)
    except ValidationError as error:
        raise InvalidInput(f"this can't be sent: {error.errors()[0]['msg']}", "text") from error
    return await say(state.temporal, state.database, record, message)


async def submit(state: State, person: Person, wanted: Wanted) -> Receipt:
    """Ask for a mint; raises what `commands.submitting` does."""
    return await _submit(state, person, prepare(wanted, state.settings), keyed=wanted.key is not None)


async def resubmit(state: State, person: Person, record: RequestRecord, *, key: str | None) -> Receipt:
    """Ask again for what ended without a mint, as this person; raises Refused where that is not allowed."""
    request = prepare_again(record, state.settings, requester=person.name, key=key)
    return await _submit(state, person, request, keyed=key is not None)


async def _submit(state: State, person: Person, request: MintRequest, *, keyed: bool) -> Receipt:
    submitter = Submitter(state.database, await state.temporal(), state.settings)
    try:
        return await submitter.submit(request, keyed=keyed)
    except IdempotencyConflict as error:
        try:
            await load_visible(state, person, request.id)
        except NotFound:
            # whose it is, and under which id, is nothing to who may not see it
            raise IdempotencyConflict("this key is taken: use another key") from error
        raise
