"""Messages: the deliveries to people, and what each finds in the app."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.context import Cli, command
from commands.delivering import list_deliveries, retry, show
from commands.options import Tenant, option
from commands.revoking import revoke


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    deliveries = typer.Typer(no_args_is_help=True, help="Messages to people over their channels.")
    command(deliveries, "list")(list_deliveries)
    command(deliveries, "show")(show)
    command(deliveries, "retry")(retry)
    command(deliveries, "revoke")(revoke)
    app.add_typer(deliveries, name="deliveries")
    notifications = typer.Typer(no_args_is_help=True, help="In-app messages.")
    command(notifications, "list")(list_notifications)
    app.add_typer(notifications, name="notifications")


async def list_notifications(
    cli: Cli, user: Annotated[str, option("--for", "Whose messages.", "USER")], tenant: Tenant = None
) -> None:
    """List what a user of a tenant finds in the app."""
    from commands.documents import plain
    from commands.lookup import only_tenant_of
    from commands.render import plain_table
    from db import reads

    async with cli.transaction() as tx:
        of_tenant = tenant or await only_tenant_of(tx, cli, user)
        messages = await reads.notifications_for(tx, user, of_tenant)
    found = [plain(message.model_dump()) for message in messages]
    columns = ("created_at", "event", "kind", "request_id", "body", "read_at")
    rows = [[message[name] for name in columns] for message in found]
    cli.emit({"notifications": found}, lambda: plain_table(columns, rows, f"no messages for {user}"))
