"""Whose authority a decision uses: the signer's own, or that of somebody who is away and signed for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from domain import dsse
from domain.absences import Delegation, Party, Wish, absence_id, same_person
from domain.approvals import Decision, RefusalReason, Verdict
from domain.commands import COMMAND_TYPE, TOLERANCE, Command, CommandAction
from domain.errors import CommandRefused, DecisionRefused, InvalidInput
from domain.records import RequestRecord, Signer

_OF_APPROVERS = frozenset({Verdict.APPROVE, Verdict.REJECT})


@dataclass(frozen=True)
class Authority:
    """A tier and whose it is; `on_behalf_of` and `absence` are None for the signer's own."""

    tier: int | None
    on_behalf_of: str | None = None
    absence: str | None = None
    judged_at: datetime | None = None
    """When the absence lasted; the decision itself may have come a little earlier."""

    def facts(self) -> Mapping[str, object]:
        """What the decision's audit event says of it; nothing for the signer's own."""
        if self.on_behalf_of is None or self.judged_at is None:
            return {}
        return {
            "onBehalfOf": self.on_behalf_of,
            "absence": self.absence,
            "tier": self.tier,
            "judgedAt": self.judged_at.isoformat(),
        }


def authority_of(decision: Decision, record: RequestRecord, signer: Signer, now: datetime) -> Authority:
    """The authority that an approver's decision uses at workflow time `now`; raises DecisionRefused.

    Their own where it is enough; else the lowest sufficient tier of those they stand in for, then by
    name. Whose authority is with a delegate has none until the absence is over.
    """
    own = Authority(signer.tier)
    if decision.verdict not in _OF_APPROVERS:
        return own
    if not signer.delegations:
        _check_tier(record, own)
        return own
    _check_present(signer, now)
    # an approval should end the wait for a tier; any one that may decide can reject
    wanted = (record.missing.missing_tier or 0) if decision.verdict is Verdict.APPROVE else 0
    if _may(record, own) and (own.tier or 0) >= wanted:
        return own
    usable, refused = _usable(record, signer, now)
    usable += [own] if _may(record, own) else []
    if not usable:
        if refused is not None:
            raise refused
        _check_tier(record, own)
    return preferred(usable, own, wanted)


def authorities(signer: Signer, now: datetime) -> tuple[Authority, ...]:
    """Every authority that the signer can decide with at `now`, whatever the request; their own comes first.

    None for who is no active approver, and for whose authority is with a delegate.
    """
    if not signer.active or "approver" not in signer.roles or signer.tier is None:
        return ()
    try:
        _check_present(signer, now)
    except DecisionRefused:
        return ()
    lent = (
        Authority(held.absent.tier, held.absent.name, held.absence.id, now)
        for held in _held(signer, now)
        if is_proven(held)
    )
    return (Authority(signer.tier), *lent)


def preferred(usable: Sequence[Authority], own: Authority, wanted: int) -> Authority:
    """The one of several usable authorities that is used; `wanted` is the awaited tier, 0 for none."""
    return min(usable, key=lambda found: _rank(found, own, wanted))


def _rank(found: Authority, own: Authority, wanted: int) -> tuple[bool, bool, int, str]:
    """The smallest is used; an own one that lacks the awaited tier only where all others lack it too."""
    tier = found.tier or 0
    return tier < wanted, found != own, tier, found.on_behalf_of or ""


def prove(delegation: Delegation) -> None:
    """Check that an entitled person signed for just this delegation; raises DecisionRefused.

    Their keys and roles count as they are now: a revoked key or a lost role moves no authority any more.
    """
    absence = delegation.absence
    try:
        command = _signed(delegation)
        wish = Wish.parse(command.body)
    except (ValidationError, dsse.EnvelopeRefused, CommandRefused, InvalidInput) as error:
        raise _unproven(delegation) from error
    said = (command.tenant, command.actor, command.action, command.target, wish.delegate, wish.reason)
    stored = (absence.tenant, absence.set_by, CommandAction.SET_ABSENCE, absence.user, absence.delegate)
    in_time = (
        max(wish.starts_at, command.issued_at - TOLERANCE) <= absence.starts_at
        and absence.ends_at <= wish.ends_at
    )
    if said != (*stored, absence.reason) or absence_id(command.id) != absence.id or not in_time:
        raise _unproven(delegation)


def may_set(setter: Party, user: str, delegate: str | None) -> bool:
    """Tell whether somebody may send `user` out of office: they themselves, or an admin who gains nothing."""
    if not setter.active:
        return False
    if setter.name == user:
        return "approver" in setter.roles
    return "admin" in setter.roles and (delegate is None or not same_person(delegate, setter.name))


def _signed(delegation: Delegation) -> Command:
    absence, setter = delegation.absence, delegation.setter
    if setter is None or setter.name != absence.set_by or not may_set(setter, absence.user, absence.delegate):
        raise _unproven(delegation)
    envelope = dsse.Envelope.model_validate(delegation.envelope)
    return Command.parse(dsse.verify(envelope, COMMAND_TYPE, setter.public_keys))


def _check_present(signer: Signer, now: datetime) -> None:
    """Raise DecisionRefused while somebody else has the signer's authority; a forged row takes none away."""
    for delegation in signer.delegations:
        absence = delegation.absence
        if absence.user == signer.name and absence.lasts(now) and is_proven(delegation):
            raise DecisionRefused(
                f"your authority is with {absence.delegate} until {absence.ends_at:%Y-%m-%d %H:%MZ}: end "
                f"the absence first with 'mintkeeper absence end {absence.id} --as {signer.name}'",
                RefusalReason.DELEGATED,
            )


def _usable(
    record: RequestRecord, signer: Signer, now: datetime
) -> tuple[list[Authority], DecisionRefused | None]:
    """The delegated authorities that may decide, and why the first other one that could have may not."""
    usable: list[Authority] = []
    refused: DecisionRefused | None = None
    for delegation in _held(signer, now):
        authority = Authority(delegation.absent.tier, delegation.absent.name, delegation.absence.id, now)
        if not _may(record, authority):
            continue
        try:
            _check_delegation(delegation, record)
            usable.append(authority)
        except DecisionRefused as error:
            refused = refused or error
    return usable, refused


def _held(signer: Signer, now: datetime) -> Iterator[Delegation]:
    """The delegations to the signer that last and whose absent approver still is one, by name."""
    for delegation in sorted(signer.delegations, key=lambda held: held.absent.name):
        absent = delegation.absent
        entitled = absent.active and "approver" in absent.roles and absent.tier is not None
        if delegation.absence.delegate == signer.name and delegation.absence.lasts(now) and entitled:
            yield delegation


def _check_delegation(delegation: Delegation, record: RequestRecord) -> None:
    absent = delegation.absent.name
    if same_person(absent, record.request.requester):
        raise DecisionRefused(
            f"four eyes: {absent} requested this, so nobody decides on it for {absent}",
            RefusalReason.SELF_APPROVAL,
        )
    if any(same_person(used.on_behalf_of or used.approver, absent) for used in record.approvals):
        raise DecisionRefused(
            f"the authority of {absent} has approved already: it counts once", RefusalReason.ALREADY_DECIDED
        )
    prove(delegation)


def is_proven(delegation: Delegation) -> bool:
    """Tell whether `prove` has nothing to say against it."""
    try:
        prove(delegation)
    except DecisionRefused:
        return False
    return True


def _may(record: RequestRecord, authority: Authority) -> bool:
    return authority.tier is not None and record.rule.may_decide(authority.tier, record.granted_tiers)


def _check_tier(record: RequestRecord, authority: Authority) -> None:
    if not _may(record, authority):
        eligible = ", ".join(map(str, record.rule.eligible_tiers(record.granted_tiers)))
        raise DecisionRefused(
            f"tier {authority.tier} may not decide yet; now it is tier {eligible}",
            RefusalReason.TIER_NOT_ELIGIBLE,
        )


def _unproven(delegation: Delegation) -> DecisionRefused:
    absence = delegation.absence
    return DecisionRefused(
        f"absence {absence.id} of {absence.user} is not proven by a signature that holds today: "
        f"end it and set it anew with 'mintkeeper absence set'",
        RefusalReason.DELEGATION_UNPROVEN,
    )
