"""Who may decide: the one place where a verified decision is accepted or refused."""

from __future__ import annotations

from datetime import datetime

from domain.absences import same_person
from domain.approvals import RESOLUTIONS, STEP_UP, Decision, RefusalReason, Verdict
from domain.authority import authority_of
from domain.errors import DecisionRefused
from domain.mint_request import MintStatus
from domain.records import RequestRecord, Signer
from domain.submission import Outcome
from domain.weighing import judge_evidence

_ENDED = "the request is {status} already; it can't change any more"


def judge(
    decision: Decision, expected: frozenset[Verdict], record: RequestRecord, signer: Signer, now: datetime
) -> None:
    """Raise DecisionRefused unless this decision may take effect at workflow time `now`.

    The signature is taken as verified against `signer`'s keys. `expected` are the verdicts that the
    message's name allows, so that an approval can't travel as a cancel. Order: identity of the
    request, state and deadline, then the person.
    """
    request = record.request
    if decision.verdict not in expected:
        raise _refuse(
            "the decision says something else than the message it came with", RefusalReason.WRONG_VERDICT
        )
    if decision.request_id != request.id or decision.request_digest != request.digest():
        raise _refuse(
            "the decision was signed for another request or other content", RefusalReason.WRONG_REQUEST
        )
    if not signer.active:
        raise _refuse(f"{signer.name} is not active", RefusalReason.INACTIVE_APPROVER)
    if decision.verdict in RESOLUTIONS:
        _judge_resolution(decision, record, signer)
        return
    _judge_open(record, now)
    if decision.verdict is Verdict.CANCEL:
        _judge_cancel(record, signer)
    else:
        _judge_approver(decision, record, signer, now)


def needs_step_up(decision: Decision, record: RequestRecord) -> bool:
    """Tell whether it takes effect only with a one-time code: it approves more than the rule's amount.

    Not if the server vouches that the approver gave a second factor for it.
    """
    if decision.verdict is not Verdict.APPROVE or STEP_UP in decision.amr:
        return False
    return wants_step_up(record)


def wants_step_up(record: RequestRecord) -> bool:
    """Tell whether whoever approves it must give a second factor: it is more than the rule's amount."""
    above = record.rule.step_up_above_stroops
    return above is not None and record.request.amount > above


def outcome_of(resolution: Verdict) -> Outcome:
    """The outcome of a submission that a resolution stands for."""
    return Outcome(resolution.value.upper())


def _judge_open(record: RequestRecord, now: datetime) -> None:
    if record.status is not MintStatus.PENDING:
        raise _refuse(_ENDED.format(status=record.status), RefusalReason.NOT_OPEN)
    if now >= record.expires_at:
        raise _refuse("the request's time is over: re-submit it", RefusalReason.EXPIRED)


def _judge_cancel(record: RequestRecord, signer: Signer) -> None:
    if signer.name != record.request.requester and "admin" not in signer.roles:
        raise _refuse("only the requester or an admin may cancel", RefusalReason.NOT_ENTITLED)


def _judge_approver(decision: Decision, record: RequestRecord, signer: Signer, now: datetime) -> None:
    if _same_person(signer, record):
        raise _refuse(
            "four eyes: the requester can't decide on their own request", RefusalReason.SELF_APPROVAL
        )
    if "approver" not in signer.roles or signer.tier is None:
        raise _refuse(f"{signer.name} is not an approver", RefusalReason.UNKNOWN_APPROVER)
    authority_of(decision, record, signer, now)
    if any(same_person(approval.approver, signer.name) for approval in record.approvals):
        raise _refuse(f"{signer.name} has approved already", RefusalReason.ALREADY_DECIDED)
    if any(same_person(approval.on_behalf_of or "", signer.name) for approval in record.approvals):
        raise _refuse(f"somebody has approved for {signer.name} already", RefusalReason.ALREADY_DECIDED)
    if decision.verdict is Verdict.REJECT and not decision.reason.strip():
        raise _refuse("a rejection needs a reason", RefusalReason.REASON_MISSING)


def _judge_resolution(decision: Decision, record: RequestRecord, signer: Signer) -> None:
    if record.status is not MintStatus.ANOMALY:
        raise _refuse("only a request in ANOMALY can be resolved by hand", RefusalReason.NOT_OPEN)
    if "admin" not in signer.roles:
        raise _refuse("only an admin may resolve an anomaly", RefusalReason.NOT_ENTITLED)
    if _same_person(signer, record):
        raise _refuse("four eyes: the requester can't resolve their own request", RefusalReason.SELF_APPROVAL)
    if not decision.reason.strip():
        raise _refuse("resolving an anomaly needs a reason", RefusalReason.REASON_MISSING)
    judge_evidence(decision.evidence, record, outcome_of(decision.verdict))


def _same_person(signer: Signer, record: RequestRecord) -> bool:
    """Names that differ in case only are no second pair of eyes."""
    return signer.name.casefold() == record.request.requester.casefold()


def _refuse(message: str, reason: RefusalReason) -> DecisionRefused:
    return DecisionRefused(message, reason)
