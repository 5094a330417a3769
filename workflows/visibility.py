"""What is seen of a mint request from outside: search attributes, current details, the query's answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from temporalio.common import SearchAttributeUpdate

from domain.approvals import tally
from domain.escalation import Due, EscalationRun
from domain.mint_request import MintStatus, utc_text
from domain.steps import MintOrder, RequestView, Standing, SubmitAnswer
from workflows.search_attributes import ASSIGNEE, ESCALATION_LEVEL, STATUS


def status_attributes(before: Standing, after: Standing) -> list[SearchAttributeUpdate[Any]]:
    """The search attributes that a step has changed."""
    changed: list[SearchAttributeUpdate[Any]] = []
    if after.status is not before.status:
        changed.append(STATUS.value_set(after.status.value))
    if after.escalation_level != before.escalation_level:
        changed.append(ESCALATION_LEVEL.value_set(after.escalation_level))
    if after.assignee != before.assignee:
        changed.append(ASSIGNEE.value_set(after.assignee) if after.assignee else ASSIGNEE.value_unset())
    return changed


def current_details(
    order: MintOrder,
    standing: Standing,
    due: Due | None,
    expires_at: datetime,
    submission: SubmitAnswer | None,
) -> str:
    """Markdown for the Web UI: state, who is awaited, next timer and deadline."""
    lines = [f"**{standing.status}** {order.request.summary}", ""]
    if standing.status is MintStatus.PENDING:
        tiers = ", ".join(map(str, order.rule.eligible_tiers(standing.granted_tiers)))
        lines.append(f"* awaited: {tally(order.rule, standing.approvals).text()} (tier {tiers} may decide)")
        lines += [
            f"* approved by {approval.approver} (tier {approval.tier})" for approval in standing.approvals
        ]
        lines.append(f"* assignee: {standing.assignee or 'nobody'}")
        if standing.acknowledged_at is not None:
            lines.append(f"* {standing.acknowledged_by} is on it since {utc_text(standing.acknowledged_at)}")
        if due is not None:
            lines.append(f"* next: {due.name} at {utc_text(due.at)}")
        lines.append(f"* expires: {utc_text(expires_at)}")
    if submission is not None and submission.hash:
        lines.append(
            f"* transaction {submission.hash} from {submission.channel}, sequence {submission.sequence}"
        )
        lines.append(f"* can't land after ledger time {submission.max_time} (unix seconds)")
    if standing.status is MintStatus.ANOMALY:
        look = f"`mintkeeper ledger inspect {order.request.id}`"
        lines.append(f"* awaited: an admin; the channel is frozen. See what happened: {look}")
    if standing.reason:
        lines.append(f"* {standing.reason}")
    return "\n".join(lines)


def request_view(
    order: MintOrder,
    standing: Standing,
    run: EscalationRun,
    eligible_tiers: tuple[int, ...],
    submission: SubmitAnswer | None,
) -> RequestView:
    """The answer of the query `view`."""
    request, pending = order.request, standing.status is MintStatus.PENDING
    missing, due = tally(order.rule, standing.approvals), run.due_next()
    return RequestView(
        id=request.id,
        track_number=request.track_number,
        summary=request.summary,
        status=standing.status,
        digest=request.digest(),
        approvals=standing.approvals,
        missing_approvals=missing.missing if pending else 0,
        missing_tier=missing.missing_tier if pending else None,
        eligible_tiers=eligible_tiers if pending else (),
        escalation_level=standing.escalation_level,
        assignee=standing.assignee,
        acknowledged_by=standing.acknowledged_by,
        acknowledged_at=standing.acknowledged_at,
        created_at=run.started_at,
        expires_at=run.expires_at,
        next_timer={"name": due.name, "due_at": due.at} if pending else None,
        submission=submission,
        reason=standing.reason,
    )
