"""Everything that the page of one request shows, read in one transaction and put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from db import reads
from db.reads import conversation, request_page
from db.reads.conversation import AttachmentView, MessageView
from db.reads.history import RequestEvent, request_events
from db.reads.request_page import Colleague
from db.reads.sla import terms_of
from db.session import Transaction
from domain.approvals import ApprovalRule, RefusalReason
from domain.attachments import KINDS
from domain.errors import NotFound
from domain.judgement import wants_step_up
from domain.mint_request import TERMINAL, MintStatus
from domain.moves import Move, Moves, may_decide_from, moves, to_come
from domain.records import RequestRecord
from domain.sessions import Person
from domain.sla import STATUS_NAMES, Place
from starter.ids import new_decision_id, new_message_id
from web.filters import amount_text, sentence, zone_of
from web.happenings import Happening, happenings, how_decided
from web.pictures.timeline import Moment, Picture, draw
from web.state import State

_OVER = {
    MintStatus.CONFIRMED: ("minted", "good"),
    MintStatus.FAILED: ("failed", "bad"),
    MintStatus.TIMEOUT_FAILED: ("never landed", "bad"),
    MintStatus.REJECTED: ("rejected", "bad"),
    MintStatus.CANCELLED: ("cancelled", "bad"),
    MintStatus.EXPIRED: ("expired", "bad"),
}


@dataclass(frozen=True)
class Facts:
    """What was read of one request."""

    record: RequestRecord
    moves: Moves
    events: Sequence[RequestEvent]
    happened: Sequence[Happening]
    messages: Sequence[MessageView]
    documents: Sequence[AttachmentView]
    colleagues: Sequence[Colleague]
    overdue_at: datetime | None
    """When it is in its status for longer than the SLA allows; None: that has no SLA."""
    now: datetime
    seq: int
    """How far the tenant's audit chain was: what comes later, an open page is told of."""


@dataclass(frozen=True)
class Typed:
    """What somebody had typed when it could not be done, so that nothing of it is lost."""

    verb: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


async def read_facts(tx: Transaction, person: Person, record: RequestRecord, seq: int) -> Facts:
    """Read what belongs to a request that the person may see.

    `seq` was read before `record`, so that no later event is taken for shown.
    """
    request, now = record.request, datetime.now(UTC)
    # only who might decide is judged with what others have signed over to them
    judged = person.is_approver and record.status is MintStatus.PENDING
    signer = await reads.signer(tx, request.tenant, person.name, now if judged else None)
    if signer is None:
        raise NotFound(f"unknown user {person.name!r} of tenant {request.tenant}")
    events = await request_events(tx, request.id)
    sent = await request_page.sent(tx, request.id)
    terms = await terms_of(tx, Place(request.tenant, request.topic, record.status))
    possible = moves(record, signer, now)
    return Facts(
        record=record,
        moves=possible,
        events=events,
        happened=happenings(record, events, sent, to_come(record)),
        messages=await conversation.messages(tx, request.id),
        documents=[one for one in await conversation.attachments(tx, request.id) if one.is_stored],
        colleagues=await request_page.approvers(tx, request.tenant) if possible.assign.allowed else [],
        overdue_at=None if record.status in TERMINAL else terms.due(record.status_since, record.sla_scale),
        now=now,
        seq=seq,
    )


def page_values(state: State, person: Person, facts: Facts, typed: Typed) -> dict[str, Any]:
    """What the template is given."""
    record = facts.record
    return {
        "record": record,
        "mint": record.request,
        "facts": facts,
        "moves": facts.moves,
        "open": record.status not in TERMINAL,
        "status_name": STATUS_NAMES[record.status],
        "awaited": _awaited(record),
        "why_not": why_not(facts, person),
        "rule_words": rule_words(record.rule, record.request.asset.code),
        "step_up": wants_step_up(record),
        "how": how_decided(facts.events),
        "picture": _picture(facts, person),
        "bound": datetime.fromtimestamp(record.submission.max_time, UTC) if record.submission else None,
        "decision_id": typed.values.get("decision_id") or new_decision_id(),
        "message_id": typed.values.get("message_id") or new_message_id(),
        "key": typed.values.get("key") or new_message_id(),
        "typed": typed,
        "most_bytes": state.settings.upload_max_bytes,
        "endings": ",".join(ending for kind in KINDS.values() for ending in kind.endings),
        "workflow_url": state.workflow_url(record.request.id),
        "explorer_url": state.settings.explorer_url.rstrip("/"),
        "horizon_url": state.settings.horizon_url.rstrip("/"),
        "whose_turn": [
            one for one in facts.colleagues if one.name.casefold() != record.request.requester.casefold()
        ],
    }


def rule_words(rule: ApprovalRule, code: str) -> str:
    """An approval rule as a sentence or three."""
    count = "one approval" if rule.approvals == 1 else f"{rule.approvals} approvals by different people"
    words = f"Needs {count} of tier {rule.min_tier}" + (" or above" if rule.min_tier < 3 else "")
    if rule.at_least_one_of_tier is not None and rule.at_least_one_of_tier > rule.min_tier:
        one = "from" if rule.approvals == 1 else "at least one of them from"
        words += f", {one} tier {rule.at_least_one_of_tier}" + (
            " or above" if rule.at_least_one_of_tier < 3 else ""
        )
    words += ". The requester never decides."
    if rule.daily_cap_stroops is not None:
        words += f" At most {amount_text(rule.daily_cap_stroops)} {code} are approved in 24 hours."
    if rule.step_up_above_stroops is not None:
        words += f" Above {amount_text(rule.step_up_above_stroops)} {code} approvers give a second factor."
    return words


def why_not(facts: Facts, person: Person) -> Mapping[str, Any] | None:
    """Why there is no button to approve: `words` and, where time will change it, `at`; None: there is one."""
    move, record = facts.moves.approve, facts.record
    if move.allowed or record.status is not MintStatus.PENDING:
        return None
    later = move.reason is RefusalReason.TIER_NOT_ELIGIBLE
    at = may_decide_from(record, person.tier) if later else None
    words = "It is not your turn yet." if at is not None else _why(move, person)
    return {"words": words, "at": at, "tier": person.tier}


def _why(move: Move, person: Person) -> str:
    words = {
        RefusalReason.SELF_APPROVAL: "You asked for this. Four eyes: somebody else has to decide.",
        RefusalReason.UNKNOWN_APPROVER: "You follow this request; approvers decide on it.",
        RefusalReason.EXPIRED: "Its time is over: once it is marked as expired it can be re-submitted.",
    }
    if move.reason is RefusalReason.SELF_APPROVAL and not move.why_not.startswith("four eyes: the requester"):
        return sentence(move.why_not)
    if move.reason is RefusalReason.ALREADY_DECIDED and move.why_not.startswith(person.name):
        return "You have approved this."
    return words.get(move.reason, "") if move.reason in words else sentence(move.why_not)


def _awaited(record: RequestRecord) -> str:
    if record.status is not MintStatus.PENDING:
        return ""
    tiers = record.rule.eligible_tiers(record.granted_tiers)
    named = " or ".join(f"tier {tier}" for tier in tiers) if len(tiers) < 3 else "any tier"
    return f"{record.missing.text()}; {named} may decide now"


def _picture(facts: Facts, person: Person) -> Picture:
    record = facts.record
    moments: list[Moment] = []
    if record.ended_at is not None:
        name, tone = _OVER.get(record.status, ("ended", "bad"))
        moments.append(Moment(record.ended_at, name, tone))
    elif record.status is MintStatus.PENDING:
        moments.append(Moment(record.expires_at, "expires", "bad"))
    if facts.overdue_at is not None and (record.status is not MintStatus.PENDING or _within(facts)):
        moments.append(Moment(facts.overdue_at, "SLA", "wait"))
    if record.decided_at is not None and record.status not in (MintStatus.REJECTED, MintStatus.CANCELLED):
        moments.append(Moment(record.decided_at, "approved", "good"))
    moments += [
        Moment(due.at, f"tier {grants.tier} may decide", "wait")
        for due in to_come(record)
        if due.stage is not None and (grants := record.policy.stages[due.stage].grants) is not None
    ]
    now = facts.now if record.ended_at is None else None
    return draw(facts.happened, [*moments, Moment(record.created_at, "asked", "plain")], now, zone_of(person))


def _within(facts: Facts) -> bool:
    """An SLA far beyond the expiry would squeeze everything else into a corner."""
    return facts.overdue_at is not None and facts.overdue_at <= facts.record.expires_at
