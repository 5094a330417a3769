"""Messages: the deliveries to people, and what each finds in the app."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import Text, option
from commands.revoking import revoke
from domain.errors import InvalidInput, NotFound


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    deliveries = typer.Typer(no_args_is_help=True, help="Messages to people over their channels.")
    command(deliveries, "list")(list_deliveries)
    command(deliveries, "retry")(retry)
    command(deliveries, "revoke")(revoke)
    app.add_typer(deliveries, name="deliveries")
    notifications = typer.Typer(no_args_is_help=True, help="In-app messages.")
    command(notifications, "list")(list_notifications)
    app.add_typer(notifications, name="notifications")


async def list_deliveries(
    cli: Cli,
    request: Annotated[Text, option("--request", "Only this request's.", "ID")] = None,
    state: Annotated[Text, option("--state", "Only in this state, such as dead.")] = None,
) -> None:
    """List deliveries by the time they were due."""
    from commands.documents import plain
    from commands.lookup import find_request
    from commands.render import plain_table
    from db import reads
    from domain.records import DeliveryState

    if state is not None and state not in set(DeliveryState):
        raise InvalidInput(f"unknown state {state!r}: there are {', '.join(DeliveryState)}", "state")
    async with cli.transaction() as tx:
        request_id = (await find_request(tx, request)).request.id if request else None
        found = await reads.deliveries(tx, request_id)
    documents = [plain(delivery.model_dump()) for delivery in found if state in (None, delivery.state)]
    columns = ("id", "request_id", "kind", "channel", "recipient", "state", "attempt", "due_at", "error")
    rows = [[_short(name, document[name]) for name in columns] for document in documents]
    cli.emit({"deliveries": documents}, lambda: plain_table(columns, rows, "no deliveries"))


async def retry(
    cli: Cli, delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, or how it begins.")]
) -> None:
    """Give a dead delivery one more attempt."""
    from db import reads
    from db.writes.deliveries import retry_dead

    async with cli.transaction() as tx:
        matching = [found.id for found in await reads.deliveries(tx) if found.id.startswith(delivery)]
        if len(matching) != 1:
            many = "several deliveries begin" if matching else "no delivery begins"
            raise NotFound(f"{many} with {delivery!r}: see 'mintkeeper deliveries list --state dead'")
        await retry_dead(tx, id=matching[0], at=datetime.now(UTC))
    cli.emit({"id": matching[0], "state": "pending"}, lambda: f"delivery {matching[0]} is tried again")


async def list_notifications(
    cli: Cli, user: Annotated[str, option("--for", "Whose messages.", "USER")]
) -> None:
    """List what a user finds in the app."""
    from commands.documents import plain
    from commands.render import plain_table
    from db import reads

    async with cli.transaction() as tx:
        found = [plain(message.model_dump()) for message in await reads.notifications_for(tx, user)]
    columns = ("created_at", "event", "request_id", "body", "read_at")
    rows = [[message[name] for name in columns] for message in found]
    cli.emit({"notifications": found}, lambda: plain_table(columns, rows, f"no messages for {user}"))


def _short(name: str, value: object) -> object:
    """A table shows the beginning of a delivery's long id, which is enough for `retry`."""
    return str(value)[:12] if name == "id" else value
