"""What somebody may do with a request now and, where not, why: asked of the rules, never decided here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.absences import same_person
from domain.approvals import Decision, RefusalReason, Verdict
from domain.authority import Authority, authority_of
from domain.errors import DecisionRefused
from domain.escalation import Due
from domain.judgement import judge
from domain.mint_request import RESUBMITTABLE, TERMINAL, MintStatus
from domain.records import RequestRecord, Signer

_HYPOTHETICAL: Final = "dc_hypothetical"


@dataclass(frozen=True)
class Move:
    """Something that can be done with a request."""

    allowed: bool
    why_not: str = ""
    """For people; empty where it is allowed, or not worth a word."""
    reason: RefusalReason | None = None
    on_behalf_of: str | None = None
    """Whose authority it would use, if not their own."""


NO: Final = Move(allowed=False)
YES: Final = Move(allowed=True)


@dataclass(frozen=True)
class Moves:
    """What one person may do with one request at a moment."""

    approve: Move
    reject: Move
    cancel: Move
    claim: Move
    release: Move
    assign: Move
    acknowledge: Move
    comment: Move
    attach: Move
    resubmit: Move


def moves(record: RequestRecord, signer: Signer, now: datetime) -> Moves:
    """Everything that a person may do with a request at `now`.

    Decisions are judged by the very function that judges the real ones. What remains is refused by the
    workflow, too; this says so before anybody tries.
    """
    approve, reject = (
        decision(verdict, record, signer, now) for verdict in (Verdict.APPROVE, Verdict.REJECT)
    )
    acts = bool(signer.roles - {"auditor"}) and signer.active
    return Moves(
        approve=approve,
        reject=reject,
        cancel=decision(Verdict.CANCEL, record, signer, now),
        claim=_claim(record, signer),
        release=_when(_desk(signer) and record.status not in TERMINAL and record.assignee is not None),
        assign=_when(_desk(signer) and record.status not in TERMINAL),
        acknowledge=_acknowledge(record, signer, now),
        comment=_when(acts),
        attach=_when(acts),
        resubmit=_when(acts and record.status in RESUBMITTABLE and record.resubmitted_as is None),
    )


def to_come(record: RequestRecord) -> Iterator[Due]:
    """What time will still do to a PENDING request if nobody acts, in order; the last one is its expiry."""
    if record.status is not MintStatus.PENDING:
        return
    run = record.escalation()
    while (due := run.due_next()).stage is not None:
        yield due
        run.next_stage = due.stage + 1
    yield due


def may_decide_from(record: RequestRecord, tier: int | None) -> datetime | None:
    """When a stage to come lets this tier decide; None: none does, or it may already."""
    if tier is None or record.rule.may_decide(tier, record.granted_tiers):
        return None
    for due in to_come(record):
        grants = record.policy.stages[due.stage].grants if due.stage is not None else None
        if grants is not None and record.rule.may_decide(tier, (grants.tier,)):
            return due.at
    return None


def decision(verdict: Verdict, record: RequestRecord, signer: Signer, now: datetime) -> Move:
    """Whether this decision would be accepted at `now`: a decision that nobody has made is judged."""
    supposed = Decision(
        decision_id=_HYPOTHETICAL,
        request_id=record.request.id,
        request_digest=record.request.digest(),
        verdict=verdict,
        approver=signer.name,
        reason="-",
        issued_at=now,
    )
    try:
        judge(supposed, frozenset({verdict}), record, signer, now)
        authority = (
            Authority(None) if verdict is Verdict.CANCEL else authority_of(supposed, record, signer, now)
        )
    except DecisionRefused as refusal:
        return Move(allowed=False, why_not=refusal.message, reason=RefusalReason(refusal.reason))
    return Move(allowed=True, on_behalf_of=authority.on_behalf_of)


def _claim(record: RequestRecord, signer: Signer) -> Move:
    """As `db.writes.requests.set_assignee` has it: a claim takes over what the sweep has assigned."""
    if record.status in TERMINAL or not _works_on(record, signer):
        return NO
    if record.assignee is not None and same_person(record.assignee, signer.name):
        return NO if not record.assigned_automatically else YES
    if record.assignee is not None and not record.assigned_automatically:
        return Move(allowed=False, why_not=f"{record.assignee} works on it")
    return YES


def _acknowledge(record: RequestRecord, signer: Signer, now: datetime) -> Move:
    """An acknowledgement holds stages back, so there must be one to come; nobody says it twice."""
    if record.status is not MintStatus.PENDING or now >= record.expires_at or not _works_on(record, signer):
        return NO
    if record.acknowledged_at is not None and record.escalation().is_held(now):
        return Move(allowed=False, why_not=f"{record.acknowledged_by} is on it")
    return _when(record.escalation_cancelled_at is None and next(to_come(record)).stage is not None)


def _works_on(record: RequestRecord, signer: Signer) -> bool:
    approver = signer.active and "approver" in signer.roles
    return approver and not same_person(signer.name, record.request.requester)


def _desk(signer: Signer) -> bool:
    return signer.active and bool(signer.roles & {"approver", "admin"})


def _when(allowed: bool) -> Move:
    return YES if allowed else NO
