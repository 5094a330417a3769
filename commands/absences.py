"""Out of office: who is away, who stands in, and the signed commands that say so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.context import Cli, command
from commands.options import AsUser, KeyFile, Reason, Tenant, Text, option
from domain.errors import NotFound

if TYPE_CHECKING:
    from domain.absences import Absence

AbsenceId = Annotated[str, typer.Argument(metavar="ABSENCE", help="Its id (abs_…).")]
User = Annotated[
    Text, option("--for", "Who is away, where an admin says so; USER of --as unless said.", "USER")
]
From = Annotated[
    Text, option("--from", "Since when, with a zone (2026-12-24T08:00:00Z); now unless said.", "TIME")
]
Until = Annotated[str, option("--until", "The first moment at which they are back.", "TIME")]
Delegate = Annotated[Text, option("--delegate", "Who decides with their authority meanwhile.", "USER")]

_COLUMNS = ("id", "user", "starts_at", "ends_at", "delegate", "state", "set_by", "reason")


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    absence = typer.Typer(no_args_is_help=True, help="Who is out of office, and who stands in.")
    command(absence, "set")(set_absence)
    command(absence, "end")(end)
    command(absence, "list")(list_absences)
    command(absence, "show")(show)
    app.add_typer(absence, name="absence")


async def set_absence(
    cli: Cli,
    actor: AsUser,
    until: Until,
    start: From = None,
    user: User = None,
    delegate: Delegate = None,
    reason: Reason = "",
    tenant: Tenant = None,
    key_file: KeyFile = None,
) -> None:
    """Send an approver out of office; a delegate decides with their authority until they are back."""
    from commands.away import warnings
    from commands.signing import signed_command
    from commands.simulating import moment
    from db.writes import absences

    body = {"from": moment(start).isoformat(), "until": moment(until).isoformat(), "reason": reason}
    if delegate:
        body["delegate"] = delegate
    signed = signed_command(cli, actor, "absence.set", user or actor, body, tenant, key_file)
    async with cli.transaction() as tx:
        document = signed.model_dump_json(by_alias=True).encode()
        found = await absences.set_absence(tx, document, now=datetime.now(UTC))
        warned = await warnings(tx, found)
    for warning in warned:
        cli.note(f"warning: {warning}")
    _answer(cli, found, warned)


async def end(
    cli: Cli, absence_id: AbsenceId, actor: AsUser, tenant: Tenant = None, key_file: KeyFile = None
) -> None:
    """End an absence early: the approver's authority is their own again at once."""
    from commands.signing import signed_command
    from db.writes import absences

    signed = signed_command(cli, actor, "absence.end", absence_id, {}, tenant, key_file)
    async with cli.transaction() as tx:
        document = signed.model_dump_json(by_alias=True).encode()
        found = await absences.end_absence(tx, document, absence_id=absence_id, now=datetime.now(UTC))
    _answer(cli, found)


async def list_absences(
    cli: Cli,
    user: Annotated[Text, option("--user", "Only theirs.", "USER")] = None,
    past: Annotated[bool, option("--past", "Also those that are over.")] = False,
    tenant: Tenant = None,
) -> None:
    """List the absences that last or are to come, the latest first."""
    from commands.away import absence_document
    from commands.lookup import check_tenant
    from commands.render import plain_table
    from db.reads.absences import absences

    code, now = cli.tenant(tenant), datetime.now(UTC)
    async with cli.transaction() as tx:
        await check_tenant(tx, code)
        found = await absences(tx, code, now, user=user, past=past)
    documents = [absence_document(absence, now) for absence in found]
    rows = [[document[name] for name in _COLUMNS] for document in documents]
    cli.emit({"absences": documents}, lambda: plain_table(_COLUMNS, rows, "nobody is away"))


async def show(cli: Cli, absence_id: AbsenceId, tenant: Tenant = None) -> None:
    """Show an absence, and whether the signature behind its delegation still holds."""
    from commands.away import proof_of
    from db.reads.absences import absence

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        found = await absence(tx, code, absence_id)
        if found is None:
            raise NotFound(f"there is no absence {absence_id}: see 'mintkeeper absence list --past'")
        proof = await proof_of(tx, found)
    _answer(cli, found, proof=proof)


def _answer(cli: Cli, absence: Absence, warned: list[str] | None = None, *, proof: str | None = None) -> None:
    from commands.away import absence_document

    now = datetime.now(UTC)
    document = absence_document(absence, now)
    if warned is not None:
        document["warnings"] = warned
    if proof is not None:
        document["proof"] = proof
    cli.emit(document, lambda: "\n".join(_lines(absence, document)))


def _lines(absence: Absence, document: dict[str, object]) -> list[str]:
    with_whom = f"; {absence.delegate} decides for {absence.user}" if absence.delegate else ""
    first = (
        f"{absence.id}: {absence.user} is away from {document['starts_at']} to {document['ends_at']}"
        f" ({document['state']}){with_whom}"
    )
    said = [f"set by {absence.set_by}" + (f", ended by {absence.ended_by}" if absence.ended_by else "")]
    said += [f"reason: {absence.reason}"] if absence.reason else []
    said += [f"proof: {document['proof']}"] if "proof" in document else []
    return [first, *said]
