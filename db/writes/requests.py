"""Steps of a request that need no signature: opening, stages, status, assignee, comments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.reads.conversation import DESK
from db.reads.records import request as read_request
from db.session import Transaction
from db.writes import assignment, conversation
from db.writes.notices import has_notices, stalled_notices, status_notices
from db.writes.opening import check_same_content, check_terms, insert_request, read_terms
from db.writes.routing import Routing, routing
from db.writes.stages import StagePlan, pass_unrouted, plan_stage, run_stage
from db.writes.steps import PLAIN, advance, announce, step_statement
from db.writes.talk import side_of
from domain.approvals import ApprovalRule
from domain.errors import IdempotencyConflict, InvalidInput, NotFound, Refused
from domain.escalation import EscalationPolicy
from domain.mint_request import TERMINAL, MintRequest, MintStatus
from domain.records import RequestRecord

__all__ = [
    "add_comment",
    "change_status",
    "open_request",
    "report_stalled",
    "run_stage",
    "set_assignee",
    "with_status",
]

_COMMENT = step_statement(conversation.SAY, source="said")
_COMMENT_ELSEWHERE = text("SELECT 1 FROM comments WHERE id = :comment_id AND request_id <> :id")
_ACTIVE_USER = text("SELECT active, roles FROM users WHERE tenant = :tenant AND name = :name")


async def open_request(
    tx: Transaction,
    *,
    request: MintRequest,
    policy: EscalationPolicy,
    rule: ApprovalRule,
    sla_scale: int,
    created_at: datetime,
    expires_at: datetime,
    run_id: str,
    ran: list[StagePlan] | None = None,
) -> RequestRecord:
    """Step `open`: write the request as PENDING, and run its first stage if that has no delay.

    `ran` is given every stage that has run. A request that exists with the same content is returned as
    it stands. Raises IdempotencyConflict for other content or terms, NotFound or InvalidInput for names
    that are unknown or not active, Refused for a policy or rule that the tenant has not published, or a
    re-submission that is not allowed.
    """
    terms = await read_terms(tx, request, policy)
    if terms.digest is None:
        check_terms(request, policy, rule, terms)
        record = RequestRecord(
            request=request,
            policy=policy,
            rule=rule,
            sla_scale=sla_scale,
            status=MintStatus.PENDING,
            status_since=created_at,
            unassigned_since=created_at,
            version=1,
            created_at=created_at,
            expires_at=expires_at,
            last_activity_at=created_at,
        )
        people = Routing.model_validate(terms.routing)
        opened = await _open_with_first_stage(tx, record, run_id, people, ran)
        if opened is not None:
            return opened
    existing = await read_request(tx, request.id)
    if existing is None:
        # its policy was deleted between the look and the write
        check_terms(request, policy, rule, await read_terms(tx, request, policy))
        raise NotFound(f"there is no mint request {request.id}")
    check_same_content(request, existing.request.digest())
    pinned = (existing.policy, existing.rule, existing.sla_scale, existing.created_at)
    if pinned != (policy, rule, sla_scale, created_at):
        raise IdempotencyConflict(f"{request.id} was opened with another policy, rule, scale or age")
    return existing


async def _open_with_first_stage(
    tx: Transaction, record: RequestRecord, run_id: str, people: Routing, ran: list[StagePlan] | None
) -> RequestRecord | None:
    if record.policy.stages[0].delay_seconds > 0:
        return record if await insert_request(tx, record, run_id) else None
    first = plan_stage(record, 0, record.created_at, record.created_at, people)
    if not await insert_request(tx, first.after, run_id, first):
        return None
    if ran is not None:
        ran.append(first)
    return await pass_unrouted(tx, first.after, first, ran)


async def change_status(
    tx: Transaction,
    *,
    record: RequestRecord,
    to: MintStatus,
    step: str,
    kind: str,
    actor: str,
    at: datetime,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> RequestRecord:
    """Move a request to another status and tell who is to know.

    Raises TransitionRefused when it is no longer as `record` says, or the table of transitions lacks it.
    """
    after = with_status(record, to, at, reason)
    notices = status_notices(after, await routing(tx, record.request), at) if has_notices(to) else []
    return await advance(
        tx,
        before=record,
        after=after,
        step=step,
        kind=kind,
        actor=actor,
        at=at,
        details={"from": record.status, "to": to, "reason": reason, **(details or {})},
        notices=notices,
    )


def with_status(record: RequestRecord, to: MintStatus, at: datetime, reason: str = "") -> RequestRecord:
    """The record as it will be in status `to`."""
    decided = record.status is MintStatus.PENDING and to is not MintStatus.EXPIRED
    return record.model_copy(
        update={
            "status": to,
            "last_activity_at": at,
            "decided_at": at if decided else record.decided_at,
            "ended_at": at if to in TERMINAL else None,
            "reason": reason or record.reason,
        }
    )


async def set_assignee(
    tx: Transaction,
    *,
    record: RequestRecord,
    assignee: str | None,
    actor: str,
    at: datetime,
    step: str,
    kind: str,
    only_if_unassigned: bool,
) -> RequestRecord:
    """Claim, assign or release (None); whatever a person does takes over what the sweep has assigned.

    Raises Refused when somebody else holds it or `assignee` asked for it, NotFound, and InvalidInput for
    who is not active or no approver.
    """
    held, new = record.assignee, assignee not in (None, record.assignee)
    taken_over = record.assigned_automatically and new
    if only_if_unassigned and new and held is not None and not taken_over:
        raise Refused(f"{held} works on {record.request.id} already")
    if actor != assignee:
        await _require_active_user(tx, record.request.tenant, actor)
    if assignee is not None:
        await assignment.check_assignable(tx, record, assignee)
    # who takes it answers the client; who is given it has not said anything yet
    answered = record.answered(at) if kind == "request.claim" else record
    after = answered.model_copy(
        update={"assignee": assignee, "assigned_automatically": False, "last_activity_at": at}
    )
    told = await assignment.taken_over(tx, record, at, step) if taken_over else []
    if new and assignee not in (None, actor):
        told += await assignment.handed_over(tx, after, at, step)
    return await advance(
        tx,
        before=record,
        after=after,
        step=step,
        kind=kind,
        actor=actor,
        at=at,
        details={"from": held, "to": assignee, **({"fromSweep": True} if taken_over else {})},
        notices=told,
        statement=assignment.GIVEN if new else PLAIN,
        facts={"author": actor},
    )


async def add_comment(
    tx: Transaction, *, record: RequestRecord, author: str, text: str, at: datetime, comment_id: str
) -> RequestRecord:
    """Step `comment:ID`, which tells the client. Raises NotFound for an unknown author, InvalidInput for an
    empty or long text.

    What the client says, and what is said after the end, moves nothing.
    """
    conversation.check_message(text)
    if record.ended_at is not None or side_of(record, author) != DESK:
        await conversation.say(tx, record=record, author=author, text=text, message_id=comment_id, at=at)
        return record
    roles = await _require_active_user(tx, record.request.tenant, author)
    answers = "approver" in roles and author.casefold() != record.request.requester.casefold()
    if await tx.value(_COMMENT_ELSEWHERE, {"comment_id": comment_id, "id": record.request.id}) is not None:
        raise Refused(f"comment {comment_id} belongs to another request")
    return await advance(
        tx,
        before=record,
        after=(record.answered(at) if answers else record).model_copy(update={"last_activity_at": at}),
        step=f"comment:{comment_id}",
        kind="comment.added",
        actor=author,
        at=at,
        details=conversation.details_of(comment_id, text, DESK),
        notices=await conversation.message_notices(tx, record, comment_id, DESK, at),
        statement=_COMMENT,
        extra=conversation.columns_of(comment_id, text, DESK),
        facts=conversation.facts_of_message(author, text),
    )


async def report_stalled(
    tx: Transaction, *, record: RequestRecord, step: str, kind: str, message: str, at: datetime
) -> None:
    """Write down that a request does not move as it should and tell the leads, once a step.

    Nothing happens when the request has moved since `record` was read.
    """
    people = await routing(tx, record.request)
    await announce(
        tx,
        record=record,
        step=step,
        kind=kind,
        actor="audit",
        at=at,
        details={"message": message, "status": record.status},
        notices=stalled_notices(record, step, people, at),
    )


async def _require_active_user(tx: Transaction, tenant: str, name: str) -> list[str]:
    """The roles of a user who may act."""
    found = await tx.row(_ACTIVE_USER, {"tenant": tenant, "name": name})
    if found is None:
        raise NotFound(f"unknown user {name!r} of tenant {tenant}")
    if not found.active:
        raise InvalidInput(f"user {name!r} is not active", "user")
    roles: list[str] = found.roles
    return roles
