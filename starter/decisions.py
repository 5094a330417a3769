"""Sending decisions and other messages to a request's workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError
from temporalio.client import Client

from domain.approvals import (
    DECISION_TYPE,
    RESOLUTIONS,
    Decision,
    DecisionOutcome,
    SignedDecision,
    Verdict,
)
from domain.dsse import MAX_PAYLOAD, sign
from domain.errors import InvalidInput, OutcomeUnknown
from domain.evidence import LedgerEvidence
from domain.mint_request import workflow_id
from domain.steps import AssignMessage, CommentMessage, Standing
from domain.text import check_text
from starter.answers import ANSWER_SECONDS, answers, ended
from starter.temporal import worker_polls


def make_decision(
    *,
    decision_id: str,
    request_id: str,
    digest: str,
    verdict: Verdict,
    approver: str,
    reason: str,
    issued_at: datetime,
    evidence: LedgerEvidence | None = None,
    amr: Sequence[str] = (),
) -> Decision:
    """Put a decision together; raises InvalidInput for a reason that is too long, a malformed id …

    `amr`: how the approver was authenticated, where the server signs for them.
    """
    check_text(reason, "reason")
    try:
        decision = Decision(
            decision_id=decision_id,
            request_id=request_id,
            request_digest=digest,
            verdict=verdict,
            approver=approver,
            reason=reason,
            issued_at=issued_at,
            evidence=evidence,
            amr=tuple(amr),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{where} {first.get('input')!r} is not valid: {first['msg']}", where) from error
    if len(decision.canonical()) > MAX_PAYLOAD:
        raise InvalidInput("the reason is too long to be signed together with the evidence", "reason")
    return decision


def sign_decision(decision: Decision, key: Ed25519PrivateKey) -> SignedDecision:
    """Sign the canonical JSON (RFC 8785) of a decision."""
    return sign(decision.canonical(), DECISION_TYPE, key)


def signal_name(verdict: Verdict) -> str:
    """The durable signal that carries this verdict."""
    return "resolve" if verdict in RESOLUTIONS else verdict.value


async def decide(
    client: Client,
    request_id: str,
    signed: SignedDecision,
    decision_id: str,
    limit_seconds: float = ANSWER_SECONDS,
) -> DecisionOutcome:
    """Send a decision and wait for the answer; the same id sent again gets the first answer.

    Raises NotOpen when the workflow refuses or has ended, OutcomeUnknown when no answer comes: the
    decision may still take effect then. Raises RPCError for anything else the server says.
    """
    unknown = OutcomeUnknown(
        f"no answer to decision {decision_id}: it may still take effect. Look with "
        f"'mintkeeper show {request_id}', or send the same again with --decision-id {decision_id}"
    )
    with answers(request_id, unknown):
        async with asyncio.timeout(limit_seconds):
            outcome: DecisionOutcome = await client.get_workflow_handle(
                workflow_id(request_id)
            ).execute_update(
                "decide",
                signed,
                id=decision_id,
                result_type=DecisionOutcome,
                rpc_timeout=timedelta(seconds=limit_seconds),
            )
            return outcome


async def deliver(
    client: Client,
    decision: Decision,
    signed: SignedDecision,
    *,
    signal: bool = False,
    limit_seconds: float = ANSWER_SECONDS,
) -> DecisionOutcome | None:
    """Send by update where a worker answers, else (or with `signal`) leave it as a durable signal.

    None: it is left with the workflow, and its outcome is not known yet. Raises as `decide` does.
    """
    if not signal and await worker_polls(client):
        return await decide(client, decision.request_id, signed, decision.decision_id, limit_seconds)
    await send_signal(client, decision.request_id, decision.verdict, signed)
    return None


async def send_signal(client: Client, request_id: str, verdict: Verdict, signed: SignedDecision) -> None:
    """Leave a decision with the workflow, worker or not; raises NotOpen when it has ended, or RPCError."""
    with ended(request_id):
        await client.get_workflow_handle(workflow_id(request_id)).signal(signal_name(verdict), signed)


async def send_assignment(
    client: Client,
    request_id: str,
    verb: str,
    message: AssignMessage,
    limit_seconds: float = ANSWER_SECONDS,
) -> Standing:
    """Send `claim`, `release` or `assign`; raises as `decide` does, and what the workflow refuses."""
    unknown = OutcomeUnknown(
        f"no answer: the {verb} may still take effect. Look with 'mintkeeper show {request_id}'"
    )
    with answers(request_id, unknown):
        async with asyncio.timeout(limit_seconds):
            standing: Standing = await client.get_workflow_handle(workflow_id(request_id)).execute_update(
                verb,
                message,
                id=message.message_id,
                result_type=Standing,
                rpc_timeout=timedelta(seconds=limit_seconds),
            )
            return standing


async def send_comment(client: Client, request_id: str, message: CommentMessage) -> None:
    """Leave a comment; raises NotOpen when the workflow has ended, or RPCError."""
    with ended(request_id):
        await client.get_workflow_handle(workflow_id(request_id)).signal("comment", message)
