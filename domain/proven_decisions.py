"""Every decision of an exported audit chain, proven from the chain alone.

The chain itself says who had which keys, roles and tiers at each moment, so an auditor needs neither the
database nor our word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from domain import dsse
from domain.absences import Absence, Delegation, Party, same_person
from domain.approvals import DECISION_TYPE, Decision, Verdict
from domain.audit import AuditHead, ChainReport, verify_chain
from domain.authority import is_proven, prove
from domain.commands import ADMINS_AND_APPROVERS, COMMAND_TYPE, Command, CommandAction, claimed
from domain.errors import CommandRefused, DecisionRefused, InvalidInput
from domain.records import AuditEvent

_OF_APPROVERS = frozenset({"decision.approve", "decision.reject"})
_DECISIONS = frozenset(f"decision.{verdict}" for verdict in Verdict)
_COMMANDS = {
    "escalation.cancelled": CommandAction.CANCEL_ESCALATION,
    "escalation.resumed": CommandAction.RESUME_ESCALATION,
}
"""Events of signed commands, and what those have to say."""


class DecisionsReport(BaseModel):
    """What the decisions of a chain rest on."""

    model_config = ConfigDict(frozen=True)

    decisions: int
    """How many took effect."""
    delegated: int
    """How many of them were made on somebody's behalf."""
    vouched: int
    """How many of them the server signed for somebody who had signed in."""
    commands: int = 0
    """How many signed commands stopped or resumed the stages of a run."""
    faults: tuple[str, ...] = ()
    """Those that nobody signed, or had the authority for, each with why."""


class _Unproven(Exception):
    """Why a decision is not proven."""


@dataclass
class _Book:
    """What the chain has said so far."""

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, dict[str, bytes]] = field(default_factory=dict)
    absences: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    requesters: dict[str, str] = field(default_factory=dict)
    authority: dict[str, bytes] = field(default_factory=dict)
    """The server's public keys by id."""
    used: set[tuple[str, str, str]] = field(default_factory=set)
    """Of each request: who approved, and whose authority that was."""

    def note(self, kind: str, details: Mapping[str, Any]) -> None:
        if kind == "users.set":
            self.people.setdefault(details["name"], {}).update(details)
        elif kind == "users.removed":
            self.people.pop(details["name"], None)
        elif kind == "approver_keys.set":
            held = self.keys.setdefault(details["user_name"], {})
            held[details["key_id"]] = bytes.fromhex(details["publicKey"])
        elif kind == "approver_keys.revoked":
            self.keys.get(details["user_name"], {}).pop(details["key_id"], None)
        elif kind == "authority_keys.set":
            self.authority[details["key_id"]] = bytes.fromhex(details["publicKey"])
        elif kind == "absence.set":
            # said once: a second one would let an absence that was ended last again
            self.absences.setdefault(details["id"], details)
        elif kind == "absence.end" and self.absences[details["id"]].get("ended_by") is None:
            ended = {name: details[name] for name in ("ends_at", "ended_by")}
            self.absences[details["id"]] = {**self.absences[details["id"]], **ended}

    def use(self, content: Mapping[str, Any]) -> str | None:
        """Take an approval down; answers who had approved, or been approved for, before."""
        request, actor = content["requestId"], content["actor"]
        whose = content["details"].get("onBehalfOf") or actor
        new = [(request, "person", actor), (request, "authority", whose)]
        twice = next((name for _, _, name in (use for use in new if use in self.used)), None)
        self.used.update(new)
        return twice

    def delegation(self, tenant: str, absence_id: str, absent: Party) -> Delegation:
        """What is known of an absence; raises ValidationError, KeyError."""
        known = self.absences[absence_id]
        absence = Absence.model_validate({**known, "tenant": tenant})
        setter = self.party(absence.set_by)
        return Delegation(absence=absence, absent=absent, setter=setter, envelope=known["envelope"])

    def party(self, name: str) -> Party | None:
        known = self.people.get(name)
        if known is None:
            return None
        keys = tuple(self.keys.get(name, {}).values())
        return Party.model_validate(
            {
                "name": name,
                "active": known.get("active", False),
                "roles": known.get("roles", ()),
                "tier": known.get("tier"),
                "public_keys": keys,
            }
        )


def verify_whole(
    events: Iterable[AuditEvent], expected_head: AuditHead | None = None
) -> tuple[ChainReport, DecisionsReport | None]:
    """`verify_chain` and `verify_decisions` in one pass; of a broken chain nothing is known of decisions."""
    proving = _Proving()
    chain = verify_chain(events, expected_head, proving.take)
    return chain, proving.report() if chain.intact else None


def verify_decisions(events: Iterable[AuditEvent]) -> DecisionsReport:
    """Check every decision in a chain whose hashes are verified already.

    A key of that moment signed it: the signer's own, or the server's where it says how somebody had signed
    in. In no request does anybody, or anybody's authority, approve twice. On somebody's behalf, the absence
    came before the decision and was not ended, lasted when it was judged, names just these two people, and
    was signed by the absent approver or an admin with a key of that moment; the delegate was not away, and
    neither of both had asked for the mint.
    """
    proving = _Proving()
    for event in events:
        proving.take(event, json.loads(event.body))
    return proving.report()


@dataclass
class _Proving:
    """Goes from event to event, and proves each decision from those before it."""

    book: _Book = field(default_factory=_Book)
    decisions: int = 0
    delegated: int = 0
    vouched: int = 0
    commands: int = 0
    faults: list[str] = field(default_factory=list)

    def take(self, event: AuditEvent, content: Mapping[str, Any]) -> None:
        """The next event, and what it says."""
        kind = content["kind"]
        if kind in _DECISIONS:
            self._prove(event, content)
        elif kind in _COMMANDS:
            self._prove_command(event, content)
        else:
            _note(self.book, content)
        if kind == "decision.approve":
            try:
                twice = self.book.use(content)
            except (KeyError, TypeError):
                # it says neither who nor what for, which has been named
                return
            if twice is not None:
                self.faults.append(f"event {event.seq}, {content['actor']}: {twice} has approved before")

    def report(self) -> DecisionsReport:
        """What was found until now."""
        return DecisionsReport(
            decisions=self.decisions,
            delegated=self.delegated,
            vouched=self.vouched,
            commands=self.commands,
            faults=tuple(self.faults),
        )

    def _prove(self, event: AuditEvent, content: Mapping[str, Any]) -> None:
        on_behalf_of = content["details"].get("onBehalfOf")
        self.decisions += 1
        self.delegated += on_behalf_of is not None
        who = str(content.get("actor")) + (f" for {on_behalf_of}" if on_behalf_of is not None else "")
        try:
            self.vouched += _check_signature(self.book, content)
            _check_requester(self.book, content)
            if on_behalf_of is not None:
                _check(self.book, event.tenant, content)
        except (_Unproven, DecisionRefused, InvalidInput, dsse.EnvelopeRefused) as error:
            self.faults.append(f"event {event.seq}, {who}: {error}")
        except (AttributeError, KeyError, TypeError, ValueError):
            what = "delegation" if on_behalf_of is not None else "decision"
            self.faults.append(f"event {event.seq}: its {what} can't be read")

    def _prove_command(self, event: AuditEvent, content: Mapping[str, Any]) -> None:
        self.commands += 1
        try:
            _check_command(self.book, content)
        except _Unproven as error:
            self.faults.append(f"event {event.seq}, {content.get('actor')}: {error}")


def _note(book: _Book, content: Mapping[str, Any]) -> None:
    try:
        book.note(content["kind"], content["details"])
        if content["kind"] == "request.opened":
            book.requesters[content["requestId"]] = content["actor"]
    except (AttributeError, KeyError, TypeError, ValueError):
        # what can't be read proves nothing, and the decisions that need it are named
        return


def _check(book: _Book, tenant: str, content: Mapping[str, Any]) -> None:
    details, actor = content["details"], content["actor"]
    known = book.absences.get(details["absence"])
    absent, delegate = book.party(details["onBehalfOf"]), book.party(actor)
    if known is None or absent is None or delegate is None:
        raise _Unproven("no event before it sets that absence, or registers those people")
    delegation = book.delegation(tenant, details["absence"], absent)
    absence, judged_at = delegation.absence, datetime.fromisoformat(details["judgedAt"])
    if (absence.user, absence.delegate) != (absent.name, actor):
        raise _Unproven("the absence is about other people")
    if not absence.lasts(judged_at) or judged_at < datetime.fromisoformat(content["at"]):
        raise _Unproven("the absence did not last then")
    _check_person(absent, details["tier"])
    _check_person(delegate, delegate.tier)
    prove(delegation)
    _check_eyes(book, absent, delegate, content)
    _check_there(book, tenant, delegate, judged_at)


def _check_signature(book: _Book, content: Mapping[str, Any]) -> bool:
    """Tell whether the server signed a decision, or else its signer; raises _Unproven if neither did."""
    try:
        envelope = dsse.Envelope.model_validate(content["details"]["envelope"])
        vouched = Decision.parse(dsse.unverified_payload(envelope)).is_vouched
        keys = book.authority if vouched else book.keys.get(content["actor"], {})
        decision = Decision.parse(dsse.verify(envelope, DECISION_TYPE, keys.values()))
    except dsse.EnvelopeRefused as error:
        raise _Unproven("no key that the chain knows by then signed it") from error
    except (ValidationError, KeyError, TypeError, ValueError, InvalidInput) as error:
        raise _Unproven("the signed decision is not there, or can't be read") from error
    if (decision.request_id, decision.approver, f"decision.{decision.verdict}") != _told(content):
        raise _Unproven("the signed decision says something else")
    return vouched


def _check_command(book: _Book, content: Mapping[str, Any]) -> None:
    """A key of that moment signed the command: its actor's, or the server's; raises _Unproven."""
    try:
        details, actor = content["details"], content["actor"]
        envelope = dsse.Envelope.model_validate(details["envelope"])
        vouched = bool(claimed(envelope).amr)
        keys = book.authority if vouched else book.keys.get(actor, {})
        command = Command.parse(dsse.verify(envelope, COMMAND_TYPE, keys.values()))
        who = book.party(actor)
        told = (actor, details["runId"], _COMMANDS[content["kind"]], details["reason"])
    except dsse.EnvelopeRefused as error:
        raise _Unproven("no key that the chain knows by then signed the command") from error
    except (ValidationError, AttributeError, KeyError, TypeError, ValueError, CommandRefused) as error:
        raise _Unproven("the signed command is not there, or can't be read") from error
    if (command.actor, command.target, command.action, command.body.get("reason")) != told:
        raise _Unproven("the signed command says something else")
    if who is None or not who.active or not ADMINS_AND_APPROVERS & who.roles:
        raise _Unproven("they were no active admin or approver then")


def _check_requester(book: _Book, content: Mapping[str, Any]) -> None:
    """Nobody approves or rejects what they asked for themselves: four eyes."""
    requester = book.requesters.get(content["requestId"])
    if requester is None:
        raise _Unproven("nobody had asked for it, so there are no four eyes")
    if content["kind"] in _OF_APPROVERS and same_person(requester, content["actor"]):
        raise _Unproven("they asked for it themselves: four eyes")


def _told(content: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return content["requestId"], content["actor"], content["kind"]


def _check_person(person: Party, tier: object) -> None:
    if not person.active or "approver" not in person.roles or person.tier is None or person.tier != tier:
        raise _Unproven(f"{person.name} was no active approver of tier {tier} then")


def _check_eyes(book: _Book, absent: Party, delegate: Party, content: Mapping[str, Any]) -> None:
    requester = book.requesters.get(content["requestId"])
    if requester is None or any(same_person(requester, party.name) for party in (absent, delegate)):
        raise _Unproven("one of them asked for it, or nobody did: four eyes")


def _check_there(book: _Book, tenant: str, delegate: Party, at: datetime) -> None:
    """Who is away with a delegate of their own passes nothing on."""
    for id_, known in book.absences.items():
        if known["user"] != delegate.name or known["delegate"] is None:
            continue
        own = book.delegation(tenant, id_, delegate)
        if own.absence.lasts(at) and is_proven(own):
            raise _Unproven(f"{delegate.name} was away themselves")
