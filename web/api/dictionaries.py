"""Dictionaries and the whole configuration: to read (contacts: admins only), by signed commands to change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from commands.config import applied_document
from db.reads.entries import entries, every_entry
from db.session import Transaction
from db.writes.commands import accept_command
from db.writes.configuration import apply_configuration
from db.writes.entries import By, remove_entry, set_entry
from domain.commands import ADMINS, Command, CommandAction, CommandRefusal, claimed, read_envelope
from domain.configuration import as_document, hidden, without_contacts
from domain.dictionaries import every_status
from domain.entry import Kind
from domain.errors import CommandRefused, InvalidInput, NotFound
from domain.sessions import Person
from web.people import OwnTenant, SignedIn
from web.signed import SignedBody
from web.state import Wired

router = APIRouter(prefix="/api", tags=["dictionaries"])

_REFUSALS: dict[int | str, dict[str, Any]] = {400: {}, 403: {}, 404: {}, 409: {}}


@router.get("/dictionaries/{kind}", responses={404: {}})
async def list_entries(state: Wired, person: SignedIn, kind: str, tenant: OwnTenant) -> dict[str, Any]:
    """The entries of a dictionary by code.

    `kind` is department, calendar, topic, user, status, transition, rule, channel, event-rule or tenant.
    Addresses of people and settings of channels are for admins only.
    """
    known = _kind(kind)
    async with state.database.transaction() as tx:
        found = await entries(tx, tenant, known)
    shown = every_status(found) if known is Kind.STATUS else found
    return {
        "kind": kind,
        "tenant": tenant,
        "entries": {code: _for(person, fields) for code, fields in shown.items()},
    }


@router.post("/dictionaries/{kind}", responses=_REFUSALS)
async def change_entry(state: Wired, kind: str, signed: SignedBody) -> dict[str, Any]:
    """Set or remove an entry, by a signed command of an active admin of the tenant.

    `dictionary.set` has the fields in its body; those that it leaves out stay as they are, or begin with
    their defaults. `dictionary.remove` deletes the entry; topics and users are deactivated. The target is
    `KIND:CODE`, such as `topic:treasury-eu` or `transition:treasury-eu:PENDING->APPROVED`. Wrong fields
    are told one by one in the problem document's `fields`.
    """
    known, now = _kind(kind), datetime.now(UTC)
    async with state.database.transaction() as tx:
        command = await _accepted(tx, signed, now)
        code = _code(command, known)
        by = By(command.tenant, command.actor, now)
        if command.action is CommandAction.REMOVE_ENTRY:
            return {"kind": kind, "code": code, "done": await remove_entry(tx, known, code, by)}
        outcome = await set_entry(tx, known, code, command.body, by)
    return {
        "kind": kind,
        "code": code,
        "fields": without_contacts(outcome.fields),
        "warnings": list(outcome.warnings),
    }


@router.get("/config", responses={404: {}})
async def show_configuration(state: Wired, person: SignedIn, tenant: OwnTenant) -> dict[str, Any]:
    """Every dictionary as `mintkeeper config export` writes it; contacts and settings for admins only."""
    async with state.database.transaction() as tx:
        found = await every_entry(tx, tenant)
    return as_document(
        {
            kind: {code: _for(person, fields) for code, fields in section.items()}
            for kind, section in found.items()
        }
    )


@router.post("/config", responses=_REFUSALS)
async def apply(
    state: Wired,
    signed: SignedBody,
    dry_run: Annotated[
        bool, Query(description="Say what would change, change nothing, and leave the command unused.")
    ] = False,
) -> dict[str, Any]:
    """Apply the configuration in the body of a signed command `config.apply`, all of it or nothing.

    The command's target is the tenant. Answers each change as path, before and after; contacts are hidden.
    """
    now = datetime.now(UTC)
    async with state.database.transaction() as tx:
        command = await accept_command(
            tx, signed, action=CommandAction.APPLY_CONFIGURATION, target=None, roles=ADMINS, now=now
        )
        if command.target != command.tenant:
            raise CommandRefused("the command is about another tenant", CommandRefusal.WRONG_TARGET)
        applied = await apply_configuration(tx, command.body, By(command.tenant, command.actor, now))
        if dry_run:
            await tx.roll_back()
    document = applied_document(command.tenant, applied, dry_run)
    return document | {"changes": [hidden(change).model_dump(mode="json") for change in applied.changes]}


async def _accepted(tx: Transaction, signed: bytes, now: datetime) -> Command:
    """The command, for whichever of both actions it was signed; raises CommandRefused."""
    said = claimed(read_envelope(signed)).action
    action = said if said is CommandAction.REMOVE_ENTRY else CommandAction.SET_ENTRY
    return await accept_command(tx, signed, action=action, target=None, roles=ADMINS, now=now)


def _for(person: Person, fields: Mapping[str, Any]) -> dict[str, Any]:
    return dict(fields) if person.is_admin else without_contacts(fields)


def _kind(name: str) -> Kind:
    if name not in set(Kind):
        raise NotFound(f"there is no dictionary {name[:40]!r}: there are {', '.join(Kind)}")
    return Kind(name)


def _code(command: Command, kind: Kind) -> str:
    named, _, code = command.target.partition(":")
    if named != kind:
        raise CommandRefused(
            f"the command is about {command.target}, and this is dictionary {kind}",
            CommandRefusal.WRONG_TARGET,
        )
    if not code:
        raise InvalidInput(f"the target must be {kind}:CODE", "target")
    return code
