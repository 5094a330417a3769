"""Keys with which people sign decisions and commands, and the server its links."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import Actor, KeyFile, Tenant, Text, option
from commands.rotating import rotate
from commands.signing import sign
from domain.errors import InvalidInput

User = Annotated[str, typer.Argument(metavar="USER", help="Whose key.")]


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    keys = typer.Typer(
        no_args_is_help=True,
        help="Keys with which people sign decisions and commands, and the server its links.",
    )
    command(keys, "new")(new)
    command(keys, "register")(register_key)
    command(keys, "revoke")(revoke)
    command(keys, "rotate")(rotate)
    command(keys, "sign")(sign)
    app.add_typer(keys, name="keys")


def new(cli: Cli, user: User, key_file: KeyFile = None) -> None:
    """Make a private key that only its owner may read, and print the public one."""
    from domain.dsse import key_id
    from starter.keys import new_key

    path = key_file or cli.key_file(_file_name(user))
    public = new_key(path).public_key().public_bytes_raw()
    document = {"user": user, "key_file": str(path), "public_key": public.hex(), "key_id": key_id(public)}
    cli.emit(
        document,
        lambda: (
            f"private key  {path}\npublic key   {public.hex()}\n"
            f"an admin registers it with: mintkeeper keys register {user} --public-key {public.hex()}"
        ),
    )


async def register_key(
    cli: Cli,
    user: User,
    public_key: Annotated[
        Text, option("--public-key", "32 bytes in hex; taken from the key file unless said.", "HEX")
    ] = None,
    key_file: KeyFile = None,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Let a public key sign for a user."""
    from db.writes import dictionaries

    raw = _public_key(cli, user, public_key, key_file)
    async with cli.transaction() as tx:
        identifier = await dictionaries.register_key(
            tx,
            tenant=cli.tenant(tenant),
            user=user,
            public_key=raw,
            actor=cli.actor(actor),
            at=datetime.now(UTC),
        )
    document = {"user": user, "key_id": identifier, "public_key": raw.hex()}
    cli.emit(document, lambda: f"key {identifier} now signs for {user}")


async def revoke(
    cli: Cli,
    user: User,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="16 hex digits.")],
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """From now on the key signs nothing; what it signed stays."""
    from db.writes import dictionaries

    async with cli.transaction() as tx:
        await dictionaries.revoke_key(
            tx,
            tenant=cli.tenant(tenant),
            user=user,
            key_id=key_id,
            actor=cli.actor(actor),
            at=datetime.now(UTC),
        )
    cli.emit({"user": user, "key_id": key_id, "revoked": True}, lambda: f"key {key_id} is revoked")


def _public_key(cli: Cli, user: str, given: str | None, key_file: Path | None) -> bytes:
    from starter.keys import load_key

    if given is None:
        key = load_key(key_file or cli.key_file(_file_name(user)))
        return key.public_key().public_bytes_raw()
    try:
        return bytes.fromhex(given)
    except ValueError as error:
        raise InvalidInput("the public key is not hexadecimal", "public_key") from error


def _file_name(user: str) -> str:
    """A user's name as part of a path; raises InvalidInput for one that would leave the directory."""
    if not user or user.startswith(".") or set(user) & set("/\\\0"):
        raise InvalidInput(f"{user!r} is not a user name", "user")
    return user
