"""Making the links of a message worthless, after they got into the wrong hands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.context import Cli
from commands.options import Actor

Delivery = Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, or how it begins.")]


async def revoke(cli: Cli, delivery: Delivery, actor: Actor = None) -> None:
    """Make the acknowledgement links of one message worthless; an ack that was made with them stays."""
    from db.writes import acks

    async with cli.transaction() as tx:
        found = await acks.revoke(tx, delivery=delivery, actor=cli.actor(actor), at=datetime.now(UTC))
    cli.emit(
        {"id": found, "ack_revoked": True},
        lambda: f"the acknowledgement links of delivery {found[:12]} are worthless from now on",
    )
