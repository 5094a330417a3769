"""Deliveries for operators: what went out to whom, what became of it, and one more try."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.context import Cli
from commands.options import Tenant, Text, option
from domain.errors import InvalidInput

ID_SHOWN = 12
"""Characters of a delivery's long id in a table: enough to name it by."""

Delivery = Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, or how it begins.")]
OptionalDelivery = Annotated[
    str | None, typer.Argument(metavar="[DELIVERY]", help="Its id, or how it begins.", show_default=False)
]
_COLUMNS = (
    "id",
    "request_id",
    "kind",
    "channel",
    "recipient",
    "state",
    "attempt",
    "due_at",
    "fallback_of",
    "note",
    "error",
)
OnChannel = Annotated[Text, option("--channel", "Only over this channel.", "NAME")]


async def list_deliveries(
    cli: Cli,
    request: Annotated[Text, option("--request", "Only this request's.", "ID")] = None,
    state: Annotated[Text, option("--state", "Only in this state, such as dead.")] = None,
    channel: OnChannel = None,
    recipient: Annotated[Text, option("--recipient", "Only to this user or group.", "NAME")] = None,
    since: Annotated[Text, option("--since", "Only due since then: 2026-03-01T08:00Z.", "TIME")] = None,
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
        found = await reads.deliveries(
            tx,
            (await find_request(tx, request)).request.id if request else None,
            state=DeliveryState(state) if state else None,
            channel=channel,
            recipient=recipient,
            since=_moment(since) if since else None,
        )
    documents = [plain(delivery.model_dump()) for delivery in found]
    rows = [[_short(name, document[name]) for name in _COLUMNS] for document in documents]
    cli.emit({"deliveries": documents}, lambda: plain_table(_COLUMNS, rows, "no deliveries"))


async def show(cli: Cli, delivery: Delivery) -> None:
    """Show one delivery with its attempts, its provider's reports and what was sent in its place."""
    from commands.documents import plain
    from commands.render import plain_fields, plain_table
    from db.reads.delivery import delivery as read_delivery

    async with cli.transaction() as tx:
        found = await read_delivery(tx, delivery)
    document = plain(found.model_dump())
    lists = ("attempts", "receipts", "fallbacks")

    def print_all() -> None:
        plain_fields({name: value for name, value in document.items() if name not in lists})
        for name in lists:
            if lines := document[name]:
                columns = tuple(lines[0])
                plain_table(columns, [[line[column] for column in columns] for line in lines], "")

    cli.emit(document, print_all)


async def retry(
    cli: Cli,
    delivery: OptionalDelivery = None,
    all_dead: Annotated[bool, option("--all-dead", "Every dead delivery of the tenant.")] = False,
    channel: OnChannel = None,
    tenant: Tenant = None,
) -> None:
    """Give dead deliveries one more attempt; what nobody needs any more is skipped then."""
    from db.reads.delivery import delivery as read_delivery
    from db.writes import deliveries

    if all_dead == (delivery is not None) or (channel and not all_dead):
        raise InvalidInput("name one delivery, or say --all-dead, with --channel for one channel", "delivery")
    now = datetime.now(UTC)
    if delivery is not None:
        async with cli.transaction() as tx:
            found = (await read_delivery(tx, delivery)).id
            await deliveries.retry_dead(tx, id=found, at=now)
        cli.emit({"id": found, "state": "pending"}, lambda: f"delivery {found} is tried again")
        return
    async with cli.transaction() as tx:
        ids = await deliveries.retry_all_dead(tx, tenant=cli.tenant(tenant), channel=channel, at=now)
    cli.emit({"ids": ids}, lambda: f"{len(ids)} dead deliveries are tried again")


def _moment(given: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise InvalidInput(f"{given!r} is no time such as 2026-03-01T08:00Z", "since") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _short(name: str, value: object) -> object:
    return str(value)[:ID_SHOWN] if value and name in ("id", "fallback_of") else value
