"""What operators see of a mint request in the Temporal Web UI: search attributes and current details."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from temporalio.common import SearchAttributeUpdate

from domain.approvals import tally
from domain.escalation import Due
from domain.mint_request import MintStatus, utc_text
from domain.steps import MintOrder, Standing, SubmitAnswer
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
