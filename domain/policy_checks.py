"""Can the people and channels of today live up to an escalation policy? Every problem, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from domain.approvals import ActorRole, ApprovalRule
from domain.escalation import EscalationPolicy, Stage

_frozen = ConfigDict(frozen=True)

NOBODY: Mapping[str, str | None] = MappingProxyType({})


class Colleague(BaseModel):
    """An active user of the tenant, as far as a policy is concerned with one."""

    model_config = _frozen

    name: str
    roles: frozenset[ActorRole]
    tier: int | None
    email: str | None
    can_sign: bool
    """Has a registered key: without one nobody can decide anything."""
    topics: frozenset[str]

    @property
    def is_approver(self) -> bool:
        """May decide, if tier and key allow it."""
        return "approver" in self.roles and self.tier is not None


class Circumstances(BaseModel):
    """What a tenant has today: channels (kind by name), active people and topics, approval rules."""

    model_config = _frozen

    tenant: str
    channels: Mapping[str, str]
    people: Sequence[Colleague]
    topics: Sequence[str]
    rules: Sequence[ApprovalRule]


def problems(policy: EscalationPolicy, today: Circumstances) -> list[str]:
    """Why the policy can't work today, each with what to do; empty: it can.

    Delays and expiry are no matter of the day: a policy with wrong ones can't even be read.
    """
    found: list[str] = []
    for number, stage in enumerate(policy.stages):
        label = f"stages[{number}] (at {stage.delay_seconds} s)"
        unknown = list(_unknown_channels(stage, today))
        found += [f"{label} {problem}" for problem in unknown or _unreachable(stage, today)]
    granted = {stage.grants.tier for stage in policy.stages if stage.grants}
    for rule in today.rules:
        found += _deadlock(rule, granted, today.people)
    return found


def shortages(
    policy: EscalationPolicy,
    today: Circumstances,
    absent: str,
    delegate: str | None,
    others: Mapping[str, str | None] = NOBODY,
) -> list[str]:
    """Approval rules that can't be satisfied while `absent` is away, and could be without that absence.

    `others` are away at the same time: who, and who stands in for them, if anybody does.
    """
    granted = {stage.grants.tier for stage in policy.stages if stage.grants}
    found: list[str] = []
    for rule in today.rules:
        before = _present(rule, granted, today.people, others)
        if not _deadlock(rule, granted, before):
            found += _deadlock(rule, granted, _present(rule, granted, before, {absent: delegate}))
    return found


def _present(
    rule: ApprovalRule, granted: set[int], people: Sequence[Colleague], away: Mapping[str, str | None]
) -> list[Colleague]:
    """The people who remain; a delegate has the better tier of the two, but is still one person."""
    tiers = {person.name: person.tier or 0 for person in people}
    lent: dict[str, int] = {}
    for absent, delegate in away.items():
        tier = tiers.get(absent, 0)
        if delegate is not None and rule.may_decide(tier, granted):
            lent[delegate] = max(tier, lent.get(delegate, 0))
    return [
        person.model_copy(update={"tier": max(person.tier or 0, lent[person.name])})
        if person.name in lent
        else person
        for person in people
        if person.name not in away
    ]


def _unknown_channels(stage: Stage, today: Circumstances) -> Iterator[str]:
    if not stage.channels:
        yield "names no channel: add one, so that somebody hears of it"
    for name in sorted(set(stage.channels) - today.channels.keys()):
        yield (
            f"names {name}, but tenant {today.tenant} has no channel {name}: "
            "set it with 'mintkeeper channel set', or name another"
        )


def _unreachable(stage: Stage, today: Circumstances) -> Iterator[str]:
    kinds = {today.channels[name] for name in stage.channels}
    for tier in stage.notify.tiers():
        of_tier = [person for person in today.people if person.is_approver and person.tier == tier]
        if not of_tier:
            yield (
                f"tells tier {tier}, but no active approver has that tier: "
                "give it to somebody with 'mintkeeper user set', or tell another tier"
            )
        elif kinds == {"email"} and (deaf := _without_address(of_tier, today.topics)):
            yield (
                f"tells tier {tier} by e-mail only, and nobody of {', '.join(deaf)} has an address: "
                "set one with 'mintkeeper user set --email', or add a channel"
            )


def _without_address(of_tier: Sequence[Colleague], topics: Sequence[str]) -> list[str]:
    """Those of a tier who are told about some topic and all lack an address; none: every topic has one.

    A topic's own approvers are told or, where there is none, the whole tier.
    """
    for topic in topics or [""]:
        told = [person for person in of_tier if topic in person.topics] or list(of_tier)
        if not any(person.email for person in told):
            return [person.name for person in told]
    return []


def _deadlock(rule: ApprovalRule, granted: set[int], people: Sequence[Colleague]) -> list[str]:
    """The first requester for whom the rule could never be satisfied, however long everybody waits."""
    requesters = [person.name for person in people if "requester" in person.roles]
    for requester in requesters or [""]:
        able = [person for person in people if _is_able(person, rule, granted, requester)]
        senior = any((person.tier or 0) >= (rule.at_least_one_of_tier or 0) for person in able)
        if len(able) < rule.approvals or not senior:
            names = ", ".join(person.name for person in able) or "nobody"
            lacks_senior = able and not senior
            return [
                f"approval rule {rule.position} can never be satisfied for a request of "
                f"{requester or 'anybody'}: {len(able)} of {rule.approvals} approvers can decide ({names})"
                + (f", none of tier {rule.at_least_one_of_tier} or above" if lacks_senior else "")
                + f"; {_way_out(rule, granted, people, requester)}"
            ]
    return []


def _is_able(person: Colleague, rule: ApprovalRule, granted: set[int], requester: str) -> bool:
    return _is_other(person, requester) and person.can_sign and _may_decide(person, rule, granted)


def _is_other(person: Colleague, requester: str) -> bool:
    """Four eyes: names that differ in case only are one person, as where decisions are judged."""
    return person.name.casefold() != requester.casefold()


def _may_decide(person: Colleague, rule: ApprovalRule, granted: set[int]) -> bool:
    return person.is_approver and rule.may_decide(person.tier or 0, granted)


def _way_out(rule: ApprovalRule, granted: set[int], people: Sequence[Colleague], requester: str) -> str:
    """What would help most directly: a key, a grant, or else more people."""
    others = [person for person in people if person.is_approver and _is_other(person, requester)]
    keyless = [person.name for person in others if not person.can_sign and _may_decide(person, rule, granted)]
    if keyless:
        return f"register a key for {', '.join(keyless)} ('mintkeeper keys register')"
    held_back = {person.tier for person in others if not _may_decide(person, rule, granted)}
    tiers = sorted(tier for tier in held_back if tier is not None and tier >= rule.min_tier)
    if tiers:
        return f"let a stage grant tier {' or '.join(map(str, tiers))}"
    return "add approvers with 'mintkeeper user set', or ask for less with 'mintkeeper rule set'"
