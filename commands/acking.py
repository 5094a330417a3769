"""Saying "I am on it" with the token of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

import typer

from commands.context import Cli, command

if TYPE_CHECKING:
    from domain.ack import Authority

Token = Annotated[str, typer.Argument(metavar="TOKEN", help="The token of a message, or its whole link.")]


def register(app: typer.Typer) -> None:
    """Add this subject's command."""
    command(app, "ack")(ack)


async def ack(cli: Cli, token: Token) -> None:
    """Say that you are on it: no further stage comes. It approves nothing, and the expiry stays."""
    from domain.mint_request import utc_text
    from starter.acks import acknowledge

    authority = _authority(cli)
    async with cli.database() as database:
        receipt = await acknowledge(cli.temporal, database, authority, _token(token))
    if receipt is None:
        cli.emit(
            {"sent": "signal", "acknowledged_at": None},
            lambda: (
                "the ack is left with the workflow, no worker has answered yet: run the same again to see it"
            ),
        )
        return
    cli.emit(
        receipt.model_dump(mode="json"),
        lambda: (
            f"{receipt.request_id}: {receipt.acknowledged_by} is on it, "
            f"since {utc_text(receipt.acknowledged_at)}; this approves nothing"
        ),
    )


def _token(typed: str) -> str:
    """The token itself, from whatever was copied."""
    return unquote(typed.strip().rpartition("/acks/")[2])


def _authority(cli: Cli) -> Authority:
    """The keys to check with: the local stack's, else the environment's, else the worker has to do it."""
    from commands.rotating import authority_setting
    from starter.authority import open_authority

    return open_authority(authority_setting(cli))
