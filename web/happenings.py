"""What has happened to a request, in the words of people: events, messages, decisions, the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

from db.reads.history import RequestEvent
from db.reads.request_page import Sent
from domain.approvals import STEP_UP, Decision
from domain.dsse import Envelope, EnvelopeRefused, unverified_payload
from domain.errors import InvalidInput
from domain.escalation import Due
from domain.records import DeliveryState, RequestRecord


class Lane(StrEnum):
    """Whose doing it was."""

    PEOPLE = "people"
    ESCALATION = "escalation"
    MESSAGES = "messages"
    LEDGER = "ledger"


@dataclass(frozen=True)
class Happening:
    """One line of the timeline, and one mark of its picture."""

    at: datetime
    lane: Lane
    words: str
    tone: str = "plain"
    """`good`, `bad`, `wait` or `plain`: never the only sign, the words say the same."""
    quote: str = ""
    """What somebody wrote."""
    details: Mapping[str, str] = field(default_factory=dict)
    to_come: bool = False


_HIDDEN: Final = frozenset({"envelope", "message", "reason", "rule", "memo"})
"""Details that the words, the quote or the rest of the page show already."""

_VERDICTS: Final = MappingProxyType(
    {
        "approve": ("approved", "good"),
        "reject": ("rejected", "bad"),
        "cancel": ("cancelled", "bad"),
        "confirmed": ("resolved as minted", "good"),
        "failed": ("resolved as failed", "bad"),
        "timeout_failed": ("resolved as never landed", "bad"),
    }
)
_OUTCOMES: Final = MappingProxyType(
    {
        "CONFIRMED": ("Minted: found in ledger {ledger}", "good"),
        "FAILED": ("The ledger took the transaction, and it failed", "bad"),
        "TIMEOUT_FAILED": ("Proved that it never landed, and never will", "bad"),
        "ANOMALY": ("The outcome is unclear: the channel account is frozen", "bad"),
    }
)
_MESSAGES: Final = MappingProxyType(
    {
        "opened": "First notice",
        "reminder": "Reminder",
        "escalation": "Escalation notice",
        "stalled": "Alert that it is stalled",
        "message": "News of a message",
        "attachment": "News of a document",
        "code_track": "One-time code",
        "code_step_up": "One-time code",
        "partially_approved": "News of an approval",
        "approved": "News of the approval",
        "rejected": "News of the rejection",
        "cancelled": "News of the cancellation",
        "expired": "News of the expiry",
        "confirmed": "News of the mint",
        "failed": "News of the failure",
        "timeout_failed": "News that it never landed",
        "anomaly": "Alert about an unclear outcome",
        "assigned": "News of the assignment",
        "taken_over": "News of the assignment",
        "unassigned": "Alert that nobody can take it",
        "resubmitted": "News of the re-submission",
        "event_anomaly": "Alert about an unclear outcome",
        "event_stalled": "Alert about a stalled submission",
        "event_overdue": "Alert that it is overdue",
    }
)
_CHANNELS: Final = MappingProxyType(
    {
        "in-app": "in the app",
        "slack": "by Slack",
        "email": "by email",
        "telegram": "by Telegram",
        "pagerduty": "by PagerDuty",
        "webhook": "by webhook",
        "console": "on the console",
    }
)
_S = DeliveryState
_STATES: Final = MappingProxyType(
    {
        _S.PENDING: ("is about to be sent to", "wait"),
        _S.SENDING: ("is being sent to", "wait"),
        _S.ACCEPTED: ("sent to", "plain"),
        _S.DELIVERED: ("delivered to", "plain"),
        _S.DEFERRED: ("held back by quiet hours for", "wait"),
        _S.FAILED: ("not sent yet, to be tried again, to", "wait"),
        _S.AMBIGUOUS: ("perhaps sent to", "wait"),
        _S.DEAD: ("could not be sent to", "bad"),
        _S.SKIPPED: ("no longer needed by", "plain"),
        _S.THROTTLED: ("left out, as one had just been sent, to", "plain"),
    }
)
_HOW: Final = MappingProxyType(
    {
        "pwd": "password",
        "otp": "authenticator code",
        "fed": "single sign-on",
        "slack": "Slack",
        STEP_UP: "second factor for this decision",
    }
)
_TOGETHER: Final = timedelta(seconds=30)
"""Messages of one kind that far apart at most are told of in one line."""


def happenings(
    record: RequestRecord, events: Iterable[RequestEvent], sent: Sequence[Sent], to_come: Iterable[Due]
) -> list[Happening]:
    """Everything in order; what is to come is last."""
    told = [of_event(event) for event in events]
    found = [*told, *_of_messages(sent), *(_of_due(record, due) for due in to_come)]
    return sorted(found, key=lambda one: (one.to_come, one.at))


def how_decided(events: Iterable[RequestEvent]) -> dict[str, str]:
    """By decision id, how its approver was known: `own key`, or how they had signed in."""
    return {
        decision.decision_id: _how(decision)
        for event in events
        if event.kind.startswith("decision.") and (decision := _decision_of(event)) is not None
    }


def _how(decision: Decision) -> str:
    if not decision.amr:
        return "signed with their own key"
    return "signed in: " + ", ".join(_HOW.get(method, method) for method in decision.amr)


def _decision_of(event: RequestEvent) -> Decision | None:
    if "envelope" not in event.details:
        return None
    try:
        envelope = Envelope.model_validate(event.details["envelope"])
        return Decision.parse(unverified_payload(envelope))
    except (ValueError, EnvelopeRefused, InvalidInput):
        return None


def of_event(event: RequestEvent) -> Happening:
    """One event of the audit chain about a request."""
    lane, words, tone = _WORDS.get(event.kind, _unknown)(event)
    shown = {_spaced(name): _plain(value) for name, value in event.details.items() if name not in _HIDDEN}
    decision = _decision_of(event)
    if decision is not None:
        shown = {"How": _how(decision), "Decision": decision.decision_id, **shown}
    quote = str(event.details.get("text") or event.details.get("reason") or "")
    return Happening(event.at, lane, words, tone, quote, {name: text for name, text in shown.items() if text})


_Words = tuple[Lane, str, str]


def _unknown(event: RequestEvent) -> _Words:
    """A kind that nobody has found words for yet."""
    return (
        Lane.PEOPLE,
        f"{event.kind.replace('.', ' ').replace('_', ' ').capitalize()} ({event.actor})",
        "plain",
    )


def _decided(event: RequestEvent) -> _Words:
    words, tone = _VERDICTS.get(event.kind.partition(".")[2], ("decided", "plain"))
    behalf = f" for {event.details['onBehalfOf']}" if event.details.get("onBehalfOf") else ""
    return Lane.PEOPLE, f"{event.actor} {words}{behalf}", tone


def _refused(event: RequestEvent) -> _Words:
    why = str(event.details.get("message") or event.details.get("reason"))
    return Lane.PEOPLE, f"A decision of {event.actor} was refused: {why}", "bad"


def _assigned(event: RequestEvent) -> _Words:
    to, before = event.details.get("to"), event.details.get("from")
    if event.kind == "assignment.automatic":
        return Lane.PEOPLE, f"Given to {to}, since nobody had taken it", "plain"
    if to is None:
        return Lane.PEOPLE, f"{event.actor} released it" + (f" from {before}" if before else ""), "plain"
    took = "took it" if to == event.actor else f"gave it to {to}"
    return Lane.PEOPLE, f"{event.actor} {took}", "plain"


def _staged(event: RequestEvent) -> _Words:
    name = {"stage.opened": "Approvers were told", "stage.reminder": "Approvers were reminded"}.get(
        event.kind, "Escalated"
    )
    granted = event.details.get("grantedTier")
    more = f": tier {granted} may decide from now on" if granted else ""
    return Lane.ESCALATION, f"{name}{more}", "plain" if event.kind == "stage.opened" else "wait"


def _concluded(event: RequestEvent) -> _Words:
    words, tone = _OUTCOMES.get(str(event.details.get("outcome")), ("The submission has ended", "plain"))
    landed = (event.details.get("proof") or {}).get("landed") or {}
    return Lane.LEDGER, words.format(ledger=landed.get("ledger", "")).strip(), tone


def _on_it(event: RequestEvent) -> _Words:
    return Lane.PEOPLE, f"{event.actor} is on it: no further stage comes for now", "plain"


def _fixed(lane: Lane, words: str, tone: str = "plain") -> Callable[[RequestEvent], _Words]:
    """Words in which `{actor}` and details can stand."""

    def told(event: RequestEvent) -> _Words:
        facts = {name: _plain(value) for name, value in event.details.items()}
        return lane, words.format_map(_Known(facts | {"actor": event.actor})), tone

    return told


class _Known(dict[str, str]):
    """Details, of which any may be missing."""

    def __missing__(self, name: str) -> str:
        return "?"


_P, _E, _L, _M = Lane.PEOPLE, Lane.ESCALATION, Lane.LEDGER, Lane.MESSAGES
_WORDS: Final[Mapping[str, Callable[[RequestEvent], _Words]]] = MappingProxyType(
    {
        "request.opened": _fixed(_P, "{actor} asked for it"),
        "request.claim": _assigned,
        "request.assign": _assigned,
        "request.release": _assigned,
        "request.expired": _fixed(_E, "Expired: the approvals did not come in time", "bad"),
        "assignment.automatic": _assigned,
        "assignment.nobody": _fixed(_E, "Nobody can take it now: the leads were told", "bad"),
        **{f"decision.{verdict}": _decided for verdict in _VERDICTS},
        "decision.refused": _refused,
        "comment.added": _fixed(_P, "{actor} said"),
        "attachment.stored": _fixed(_P, "{actor} handed in {filename}"),
        "ack": _on_it,
        "ack.refused": _fixed(_P, "An acknowledgement of {actor} was refused: {message}", "bad"),
        "ack.revoked": _fixed(_P, "{actor} took a link to acknowledge back"),
        "code.sent": _fixed(_P, "A one-time code was sent to {recipient}"),
        "code.used": _fixed(_P, "{actor} used a one-time code"),
        "stage.opened": _staged,
        "stage.reminder": _staged,
        "stage.escalation": _staged,
        "stage.no_route": _fixed(_E, "Nobody could be reached: the next stage came at once", "bad"),
        "escalation.cancelled": _fixed(_E, "{actor} stopped the stages to come"),
        "escalation.resumed": _fixed(_E, "{actor} let the stages go on"),
        "delivery.unreached": _fixed(_M, "{recipient} could not be reached by {channel}", "bad"),
        "submission.stored": _fixed(_L, "Signed, stored and sent to the ledger"),
        "submission.fee_bumped": _fixed(_L, "Sent again with a higher fee"),
        "submission.concluded": _concluded,
        "submission.resolved": _concluded,
        "precheck.failed": _fixed(_L, "Refused before anything was signed: {reason}", "bad"),
        "ticket.stored": _fixed(_L, "A ticket was signed, so that the ledger takes it once only"),
        "ticket.concluded": _fixed(_L, "The ticket was settled"),
        "ledger.inspected": _fixed(_L, "An operator looked at the ledger"),
        "channel.returned": _fixed(_L, "The channel account serves again"),
    }
)


def _of_messages(sent: Sequence[Sent]) -> Iterable[Happening]:
    """Messages of one kind that went the same way at about the same time, in one line."""
    ordered = sorted(sent, key=lambda one: (_key(one), one.at))
    for (kind, channel_kind, state, *_), group in groupby(ordered, key=_key):
        together: list[Sent] = []
        for one in group:
            if together and one.at - together[0].at > _TOGETHER:
                yield _of_batch(kind, channel_kind, state, together)
                together = []
            together.append(one)
        yield _of_batch(kind, channel_kind, state, together)


def _key(one: Sent) -> tuple[str, str, DeliveryState, str, int]:
    return one.kind, one.channel_kind, one.state, one.run_id or "", -1 if one.stage is None else one.stage


def _of_batch(kind: str, channel_kind: str, state: DeliveryState, batch: Sequence[Sent]) -> Happening:
    verb, tone = _STATES[state]
    what = _MESSAGES.get(kind, kind.replace("_", " ").capitalize())
    people = ", ".join(dict.fromkeys(one.recipient for one in batch))
    by = _CHANNELS.get(channel_kind, f"by {channel_kind}")
    details = {
        f"{one.recipient} by {one.channel}": _how_far(one)
        for one in batch
        if one.error or one.note or one.attempt > 1
    }
    waits = state in (_S.PENDING, _S.DEFERRED, _S.FAILED)
    return Happening(
        batch[0].at, Lane.MESSAGES, f"{what} {verb} {people} {by}", tone, "", details, to_come=waits
    )


def _how_far(one: Sent) -> str:
    tries = f"attempt {one.attempt} of {one.max_attempts}" if one.attempt > 1 else ""
    return ": ".join(filter(None, [tries, one.error or one.note]))


def _of_due(record: RequestRecord, due: Due) -> Happening:
    if due.stage is None:
        return Happening(
            due.at, Lane.ESCALATION, "Expires unless it is approved by then", "bad", to_come=True
        )
    stage = record.policy.stages[due.stage]
    tiers = " and ".join(f"tier {tier}" for tier in stage.notify.tiers())
    grants = f", and tier {stage.grants.tier} may decide" if stage.grants else ""
    name = "Reminder" if stage.template == "reminder" else "Escalation" if stage.grants else "Notice"
    return Happening(due.at, Lane.ESCALATION, f"{name}: {tiers} will be told{grants}", "wait", to_come=True)


def _spaced(name: str) -> str:
    """`acknowledgedBy` → `Acknowledged by`."""
    return (
        "".join(f" {char.lower()}" if char.isupper() else char for char in name)
        .replace("_", " ")
        .capitalize()
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{name}: {_plain(item)}" for name, item in value.items() if item not in (None, "", {})
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return "" if value is None else str(value)
