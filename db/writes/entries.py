"""An entry of any dictionary: merged with what there is, checked, written; or removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, cast

from db.reads.entries import entries, known
from db.session import Transaction
from db.writes import dictionaries
from db.writes.admins import keeping_an_admin
from db.writes.event_rules import remove_event_rule, set_event_rule
from db.writes.rows import lock_tenant
from domain.dictionaries import (
    DepartmentEntry,
    EventRuleEntry,
    RuleEntry,
    TenantEntry,
    TransitionEntry,
    UserEntry,
)
from domain.entry import Entry, Kind
from domain.entry_checks import check, warnings
from domain.entry_fields import shown
from domain.errors import InvalidInput, NotFound
from domain.ledger_options import LedgerOptions
from domain.quiet_hours import QuietHours
from domain.runs import EventAction, EventKind, EventRule


@dataclass(frozen=True)
class By:
    """Whose entry it is, who changes it, and when."""

    tenant: str
    actor: str
    at: datetime

    def words(self) -> dict[str, Any]:
        """As the functions that write take it."""
        return {"tenant": self.tenant, **self.who()}

    def who(self) -> dict[str, Any]:
        """Without the tenant, for those that take it with the entry."""
        return {"actor": self.actor, "at": self.at}


@dataclass(frozen=True)
class Outcome:
    """An entry as it is now, and what about it has no effect."""

    fields: dict[str, Any]
    warnings: tuple[str, ...]


async def set_entry(tx: Transaction, kind: Kind, code: str, fields: Mapping[str, Any], by: By) -> Outcome:
    """Create an entry, or change the fields that are given; writing the same again is nothing.

    Raises InvalidInput with a message for each wrong field, NotFound when all that is wrong are names of
    things that do not exist, and Refused where the change needs an admin.
    """
    await lock_tenant(tx, by.tenant)
    if kind is Kind.TENANT and code != by.tenant:
        raise NotFound(f"{code!r} is not tenant {by.tenant}, which is all that can be changed here")
    before = (await entries(tx, by.tenant, kind)).get(code, {})
    entry = check(kind, code, {**before, **fields}, await known(tx, by.tenant))
    async with keeping_an_admin(tx, by.tenant, kind):
        await write(tx, kind, code, entry, before, by)
    return Outcome((await entries(tx, by.tenant, kind))[code], tuple(warnings(entry)))


async def write(
    tx: Transaction, kind: Kind, code: str, entry: Entry, before: Mapping[str, Any], by: By
) -> None:
    """Write a checked entry, unless it is what there is."""
    if entry.fields() != before:
        await _WRITERS[kind](tx, code, entry, before, by)


async def remove_entry(tx: Transaction, kind: Kind, code: str, by: By) -> str:
    """Delete an entry, or deactivate it where the past needs it; answers which of both was done.

    Raises NotFound, Refused while something needs it, InvalidInput for a kind that stays.
    """
    await lock_tenant(tx, by.tenant)
    if kind is Kind.TENANT:
        raise InvalidInput("a tenant can't be removed", "kind")
    if code not in await entries(tx, by.tenant, kind):
        raise NotFound(f"tenant {by.tenant} has no {kind} {shown(code)}: see 'mintkeeper {kind} list'")
    async with keeping_an_admin(tx, by.tenant, kind):
        await _REMOVERS[kind](tx, code, by)
    return "deactivated" if kind in (Kind.TOPIC, Kind.USER) else "removed"


Writer = Callable[[Transaction, str, Entry, Mapping[str, Any], By], Awaitable[None]]
Remover = Callable[[Transaction, str, By], Awaitable[None]]


def _simply(function: Callable[..., Awaitable[None]], name: str = "code") -> Writer:
    async def write(tx: Transaction, code: str, entry: Entry, before: Mapping[str, Any], by: By) -> None:
        del before
        await function(tx, **by.words(), **{name: code}, **entry.fields())

    return write


async def _department(tx: Transaction, code: str, entry: Entry, before: Mapping[str, Any], by: By) -> None:
    del before
    fields = cast(DepartmentEntry, entry).fields()
    leads = fields.pop("leads")
    await dictionaries.set_department(tx, **by.words(), code=code, **fields)
    await dictionaries.set_leads(tx, **by.words(), department=code, users=leads)


async def _user(tx: Transaction, code: str, entry: Entry, before: Mapping[str, Any], by: By) -> None:
    del before
    fields = cast(UserEntry, entry).fields()
    quiet = QuietHours.parse(fields.pop("quiet_hours"))
    await dictionaries.set_user(tx, **by.words(), name=code, **fields)
    await dictionaries.set_user_quiet_hours(tx, **by.words(), name=code, hours=quiet)


async def _transition(tx: Transaction, code: str, entry: Entry, before: Mapping[str, Any], by: By) -> None:
    del code, before
    way = cast(TransitionEntry, entry)
    await dictionaries.set_transition(tx, **by.words(), **way.model_dump())


async def _rule(tx: Transaction, code: str, entry: Entry, before: Mapping[str, Any], by: By) -> None:
    del code, before
    await dictionaries.set_rule(tx, rule=cast(RuleEntry, entry).rule(by.tenant), **by.who())


async def _event_rule(tx: Transaction, code: str, entry: Entry, before: Mapping[str, Any], by: By) -> None:
    del before
    given = cast(EventRuleEntry, entry)
    rule = EventRule(
        tenant=by.tenant,
        event_kind=EventKind(code),
        action=EventAction(given.action),
        policy_id=given.policy_id,
        urgent=given.urgent,
    )
    await set_event_rule(tx, rule=rule, **by.who())


async def _tenant(tx: Transaction, code: str, entry: Entry, before: Mapping[str, Any], by: By) -> None:
    del code
    fields = cast(TenantEntry, entry).fields()
    name, quiet = fields.pop("name"), fields.pop("quiet_hours")
    if name != before.get("name"):
        await dictionaries.rename_tenant(tx, **by.words(), name=name)
    if quiet != before.get("quiet_hours"):
        await dictionaries.set_tenant_quiet_hours(tx, **by.words(), hours=QuietHours.parse(quiet))
    if any(before.get(option) != value for option, value in fields.items()):
        await dictionaries.set_ledger_options(tx, **by.words(), options=LedgerOptions(**fields))


def _plainly(function: Callable[..., Awaitable[None]], name: str = "code") -> Remover:
    async def remove(tx: Transaction, code: str, by: By) -> None:
        await function(tx, **by.words(), **{name: code})

    return remove


async def _remove_transition(tx: Transaction, code: str, by: By) -> None:
    named = TransitionEntry.named(code)
    way = {"topic": named["topic"], "from_status": named["from"], "to_status": named["to"]}
    await dictionaries.remove_transition(tx, **by.words(), **way)


async def _remove_rule(tx: Transaction, code: str, by: By) -> None:
    await dictionaries.remove_rule(tx, **by.words(), position=int(code))


async def _remove_event_rule(tx: Transaction, code: str, by: By) -> None:
    await remove_event_rule(tx, **by.words(), kind=EventKind(code))


_WRITERS: Final[Mapping[Kind, Writer]] = MappingProxyType(
    {
        Kind.DEPARTMENT: _department,
        Kind.CALENDAR: _simply(dictionaries.set_calendar),
        Kind.TOPIC: _simply(dictionaries.set_topic),
        Kind.USER: _user,
        Kind.STATUS: _simply(dictionaries.set_status),
        Kind.TRANSITION: _transition,
        Kind.RULE: _rule,
        Kind.CHANNEL: _simply(dictionaries.set_channel, "name"),
        Kind.EVENT_RULE: _event_rule,
        Kind.TENANT: _tenant,
    }
)
_REMOVERS: Final[Mapping[Kind, Remover]] = MappingProxyType(
    {
        Kind.DEPARTMENT: _plainly(dictionaries.remove_department),
        Kind.CALENDAR: _plainly(dictionaries.remove_calendar),
        Kind.TOPIC: _plainly(dictionaries.deactivate_topic),
        Kind.USER: _plainly(dictionaries.deactivate_user, "name"),
        Kind.STATUS: _plainly(dictionaries.remove_status),
        Kind.TRANSITION: _remove_transition,
        Kind.RULE: _remove_rule,
        Kind.CHANNEL: _plainly(dictionaries.remove_channel, "name"),
        Kind.EVENT_RULE: _remove_event_rule,
    }
)
