"""How users sign in: invitations, passwords, authenticators, API tokens, sessions."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option
from domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from db.reads.accounts import SessionView

Name = Annotated[str, typer.Argument(metavar="USER", help="The user's name within the tenant.")]
End = Annotated[Text, option("--end", "End this one, by its id.", "ID")]
EndAll = Annotated[bool, typer.Option("--end-all", help="End all of them.", show_default=False)]

_COLUMNS = ("id", "label", "amr", "created_at", "last_seen_at", "expires_at")


class Kind(StrEnum):
    """How the secret travels; `domain.sessions.SessionKind`, which is heavier to import."""

    BROWSER = "browser"
    TOKEN = "token"  # noqa: S105 - a word of the database


def register(user: typer.Typer) -> None:
    """Add this subject's commands to those of users."""
    command(user, "invite")(invite)
    command(user, "password")(password)
    command(user, "reset-totp")(reset_totp)
    command(user, "token")(token)
    command(user, "tokens")(tokens)
    command(user, "sessions")(sessions)


async def invite(cli: Cli, name: Name, tenant: Tenant = None, actor: Actor = None) -> None:
    """Make a link by which a user chooses a password, once, within two days; it is printed once."""
    from starter.account_care import invite as make

    async with cli.database() as database:
        secret = await make(database, cli.tenant(tenant), name, actor=cli.actor(actor))
    link = f"{cli.settings().public_url.rstrip('/')}/invitations/{secret}"
    cli.emit({"name": name, "link": link}, lambda: f"give {name} this link: {link}")


async def password(
    cli: Cli,
    name: Name,
    from_stdin: Annotated[
        bool, typer.Option("--stdin", help="Read it from the first line of stdin.", show_default=False)
    ] = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Give a user a password, which is asked for; their sessions end."""
    from starter.account_care import set_password

    async with cli.database() as database:
        typed = _read_password(name, from_stdin)
        await set_password(database, cli.tenant(tenant), name, typed, actor=cli.actor(actor))
    cli.emit({"name": name, "password": "set"}, lambda: f"{name} signs in with the new password from now on")


async def reset_totp(cli: Cli, name: Name, tenant: Tenant = None, actor: Actor = None) -> None:
    """Forget a user's authenticator; their sessions end, and they can set up another one."""
    from starter.account_care import reset_totp as reset

    async with cli.database() as database:
        there = await reset(database, cli.tenant(tenant), name, actor=cli.actor(actor))
    said = f"the authenticator of {name} is forgotten" if there else f"{name} has no authenticator"
    cli.emit({"name": name, "removed": there}, lambda: said)


async def token(
    cli: Cli,
    name: Name,
    label: Annotated[str, option("--label", "What it is for, to tell it from others.")] = "",
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How long it is good.")] = 90,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Make an API token that acts as a user but decides nothing; it is printed once."""
    from starter.account_care import issue_token

    async with cli.database() as database:
        made = await issue_token(
            database, cli.tenant(tenant), name, label=label, days=days, actor=cli.actor(actor)
        )
    until = made.expires_at.isoformat(timespec="seconds")
    document = {"name": name, "token": made.token, "expires_at": until}
    cli.emit(document, lambda: made.token)


async def tokens(
    cli: Cli, name: Name, end: End = None, end_all: EndAll = False, tenant: Tenant = None, actor: Actor = None
) -> None:
    """List a user's API tokens, or end them."""
    await _list_or_end(cli, name, Kind.TOKEN, end, end_all, tenant, actor)


async def sessions(
    cli: Cli, name: Name, end: End = None, end_all: EndAll = False, tenant: Tenant = None, actor: Actor = None
) -> None:
    """List the browsers in which a user is signed in, or sign them out."""
    await _list_or_end(cli, name, Kind.BROWSER, end, end_all, tenant, actor)


async def _list_or_end(
    cli: Cli, name: str, kind: Kind, end: str | None, end_all: bool, tenant: str | None, actor: str | None
) -> None:
    from commands.render import plain_table
    from domain.sessions import SessionKind
    from starter.account_care import end_sessions, sessions_of

    whose = cli.tenant(tenant)
    async with cli.database() as database:
        listed = [one for one in await sessions_of(database, whose, name) if one.kind.value == kind.value]
        if end is not None or end_all:
            if not end_all and end not in {one.id for one in listed}:
                raise NotFound(f"{name} has no such {kind}: {end}")
            ended = await end_sessions(
                database,
                whose,
                name,
                actor=cli.actor(actor),
                session_id=None if end_all else end,
                kind=SessionKind(kind),
            )
            cli.emit({"name": name, "ended": ended}, lambda: f"{ended} ended")
            return
    rows = [[_document(one)[column] for column in _COLUMNS] for one in listed]
    document = {"tokens" if kind is Kind.TOKEN else "sessions": [_document(one) for one in listed]}
    cli.emit(document, lambda: plain_table(_COLUMNS, rows, f"{name} has none"))


def _document(session: SessionView) -> dict[str, Any]:
    known = session.model_dump(mode="json", exclude={"kind", "ended_at"})
    return {**known, "amr": ", ".join(session.amr)}


def _read_password(name: str, from_stdin: bool) -> str:
    if from_stdin:
        typed = sys.stdin.readline().rstrip("\r\n")
    else:
        typed = str(
            typer.prompt(f"New password of {name}", hide_input=True, confirmation_prompt=True, err=True)
        )
    if not typed:
        raise InvalidInput("no password was given", "password")
    return typed
