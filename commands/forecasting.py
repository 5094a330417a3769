"""A policy's simulation with today's people, channels and quiet hours, by the code that really runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache

from db import reads
from db.reads.dictionaries import User
from db.session import Transaction
from db.writes.letters import Notice
from db.writes.routing import Person, Routing, routing
from db.writes.stages import plan_stage
from domain.amounts import STROOPS_PER_UNIT, Asset
from domain.approvals import ApprovalRule
from domain.errors import InvalidInput, NotFound
from domain.escalation import EscalationPolicy, EscalationRun
from domain.mint_request import MintRequest, MintStatus
from domain.quiet_hours import QuietHours
from domain.records import RequestRecord
from domain.simulation import Message, Quiet, Simulation, simulate

_NOBODYS = "G" + "A" * 55
"""In the place of a real issuer and destination, of which a simulation says nothing."""


async def forecast(
    tx: Transaction,
    policy: EscalationPolicy,
    *,
    started_at: datetime,
    topic: str | None = None,
    requester: str | None = None,
    scale: int = 1,
) -> Simulation:
    """What the policy does for a request of `requester` on `topic`, the tenant's first ones unless said.

    Raises NotFound for names that the tenant does not have, InvalidInput while it has none at all.
    """
    topic = await _topic(tx, policy.tenant, topic)
    requester = await _requester(tx, policy.tenant, requester)
    record = _a_request(policy, topic, requester, started_at, scale)
    told = [await routing(tx, record.request, stage.notify.tiers()) for stage in policy.stages]
    simulation = simulate(policy, started_at, _sender(record, told), scale)
    return simulation.model_copy(update={"quiet": tuple(_quiet(simulation, told))})


def _sender(record: RequestRecord, told: Sequence[Routing]) -> Callable[[int, datetime], list[Message]]:
    def messages_of(stage: int, at: datetime) -> list[Message]:
        plan = plan_stage(record, stage, at, at, told[stage])
        return [_message(notice) for notice in plan.told] + [
            _message(notice, alert=True) for notice in plan.stalled
        ]

    return messages_of


def _message(notice: Notice, *, alert: bool = False) -> Message:
    return Message(
        channel=notice.channel,
        kind=notice.channel_kind,
        recipient=notice.recipient,
        time_zone=notice.time_zone,
        alert=alert,
        deferred_until=notice.deferred_until,
    )


def _a_request(
    policy: EscalationPolicy, topic: str, requester: str, started_at: datetime, scale: int
) -> RequestRecord:
    """A request like any other: whom a stage tells does not depend on asset or amount."""
    request = MintRequest(
        id="mr_" + "0" * 26,
        tenant=policy.tenant,
        network_passphrase="simulation",  # noqa: S106 - of no network
        asset=Asset(code="ANY", issuer=_NOBODYS),
        amount=STROOPS_PER_UNIT,
        destination=_NOBODYS,
        topic=topic,
        requester=requester,
    )
    return RequestRecord(
        request=request,
        policy=policy,
        rule=ApprovalRule(tenant=policy.tenant, position=0, approvals=1),
        sla_scale=scale,
        status=MintStatus.PENDING,
        status_since=started_at,
        version=1,
        created_at=started_at,
        expires_at=EscalationRun(policy, started_at, scale).expires_at,
        last_activity_at=started_at,
    )


async def _topic(tx: Transaction, tenant: str, wanted: str | None) -> str:
    names = [topic.code for topic in await reads.topics(tx, tenant) if topic.active]
    return _one_of(names, wanted, "topic", tenant)


async def _requester(tx: Transaction, tenant: str, wanted: str | None) -> str:
    users = [user for user in await reads.users(tx, tenant) if user.active]
    # whoever is named may ask; unless somebody is, a requester does
    chosen = users if wanted is not None else sorted(users, key=_asks_last)
    return _one_of([user.name for user in chosen], wanted, "user", tenant)


def _asks_last(user: User) -> bool:
    return "requester" not in user.roles


def _one_of(names: Sequence[str], wanted: str | None, word: str, tenant: str) -> str:
    if wanted is not None and wanted not in names:
        raise NotFound(f"tenant {tenant} has no active {word} {wanted!r}")
    if not names:
        raise InvalidInput(f"tenant {tenant} has no active {word}: set one first", word)
    return wanted or names[0]


def _quiet(simulation: Simulation, told: Sequence[Routing]) -> Iterable[Quiet]:
    """The quiet stretches of everybody who is told, a person's own in the place of the tenant's."""
    people = {person.name: person for around in told for person in (*around.approvers, *around.leads)}
    tenants = QuietHours.parse(told[0].quiet_hours)

    @cache
    def stretches(hours: QuietHours) -> list[tuple[datetime, datetime]]:
        return hours.stretches(simulation.started_at, simulation.expires_at)

    for name in _recipients(simulation):
        for begins_at, ends_at in stretches(_hours_of(people, name, tenants)):
            yield Quiet(recipient=name, begins_at=begins_at, ends_at=ends_at)


def _recipients(simulation: Simulation) -> list[str]:
    """Everybody who is told, in the order in which they are told first."""
    return list(dict.fromkeys(message.recipient for stage in simulation.stages for message in stage.messages))


def _hours_of(people: Mapping[str, Person], name: str, tenants: QuietHours) -> QuietHours:
    person = people.get(name)
    own = QuietHours.parse(person.quiet_hours) if person else None
    return own if own and own.windows else tenants
