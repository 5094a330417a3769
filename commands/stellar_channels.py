"""Channel accounts: the Stellar accounts over which mints are submitted in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import option
from domain.errors import MintkeeperError

if TYPE_CHECKING:
    from domain.channel_accounts import ChannelRecord, LiveAccount, LiveAccounts, Progress

Count = Annotated[int, typer.Argument(metavar="N", help="How many accounts, 1 to 1000.")]
Balance = Annotated[
    str, option("--balance", "Native units each account gets for its fees; 5 unless said.", "XLM")
]
Below = Annotated[str, option("--below", "Top up what holds less native units; 2 unless said.", "XLM")]
To = Annotated[str, option("--to", "Native units to bring it to; 5 unless said.", "XLM")]

COLUMNS = ("account", "key", "state", "request", "balance", "sequence", "note")


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    channels = typer.Typer(
        no_args_is_help=True, help="Channel accounts: Stellar accounts that carry mints in parallel."
    )
    command(channels, "create")(create)
    command(channels, "list")(list_channels)
    command(channels, "top-up")(top_up)
    app.add_typer(channels, name="channels")


async def create(cli: Cli, count: Count, balance: Balance = "5") -> None:
    """Create N channel accounts; the funding account pays for them and keeps their reserves."""
    from commands.render import plain_table
    from domain.amounts import parse_amount
    from domain.channel_accounts import CreateOrder, Progress, check_count
    from starter.channel_accounts import create_channels
    from starter.temporal import reachable

    order = CreateOrder(count=check_count(count), balance=parse_amount(balance))
    async with reachable(await cli.temporal()) as client:
        with _progress("channel accounts", count) as show:
            report = await create_channels(client, order, tell=cli.note, show=show)
            show(Progress(done=count, total=count))
    made = {channel.account for channel in report.channels}
    rows = [_row(channel, None) for channel in await _known(cli) if channel.account in made]
    columns = COLUMNS[:3]
    cli.emit(
        {"channels": rows},
        lambda: plain_table(columns, [[row[name] for name in columns] for row in rows], "no accounts"),
    )


async def list_channels(cli: Cli) -> None:
    """List the channel accounts with their state, and their balances where the ledger can be asked."""
    from commands.render import plain_table
    from domain.amounts import format_amount
    from domain.channel_accounts import LOW_WATER

    known = await _known(cli)
    live = await _live(cli) if known else None
    by_account = {account.account: account for account in live.channels} if live else {}
    rows = [_row(channel, by_account.get(channel.account)) for channel in known]
    funding = _funding(live)
    cli.emit(
        {"channels": rows, "funding": funding, "low_water": format_amount(LOW_WATER)},
        lambda: plain_table(
            COLUMNS, [[row[name] for name in COLUMNS] for row in rows], "no channel accounts"
        ),
    )
    if funding is not None:
        cli.note(f"funding account {funding['account']} holds {funding['balance'] or 'nothing'}")
    _warn(cli, rows)


async def top_up(cli: Cli, below: Below = "2", to: To = "5") -> None:
    """Pay channel accounts that are low, up to a mark; doing it again pays nothing twice."""
    from commands.render import plain_table
    from domain.amounts import format_amount, parse_amount
    from domain.channel_accounts import TopUpOrder, check_marks
    from starter.channel_accounts import top_up_channels
    from starter.temporal import reachable

    order = TopUpOrder(below=parse_amount(below), to=parse_amount(to))
    check_marks(order.below, order.to)
    async with reachable(await cli.temporal()) as client:
        report = await top_up_channels(client, order, tell=cli.note)
    paid = [
        {"account": payment.account, "amount": format_amount(payment.amount)} for payment in report.payments
    ]
    rows = [[line["account"], line["amount"]] for line in paid]
    empty = f"no channel account holds less than {format_amount(order.below)}"
    cli.emit(
        {"payments": paid, "missing": list(report.missing)},
        lambda: plain_table(("account", "paid"), rows, empty),
    )
    for account in report.missing:
        cli.note(f"warning: channel account {account} does not exist on the ledger")


async def _known(cli: Cli) -> list[ChannelRecord]:
    from db.reads.stellar_channels import channel_accounts

    async with cli.transaction() as tx:
        return await channel_accounts(tx)


async def _live(cli: Cli) -> LiveAccounts | None:
    """What the ledger says, or None with a note why it could not be asked."""
    from starter.channel_accounts import look_at_channels
    from starter.temporal import reachable

    try:
        async with reachable(await cli.temporal()) as client:
            return await look_at_channels(client)
    except MintkeeperError as error:
        cli.note(f"balances are not known: {error.message}")
        return None


def _row(channel: ChannelRecord, live: LiveAccount | None) -> dict[str, Any]:
    from domain.amounts import format_amount

    balance = live.balance if live else None
    return {
        "account": channel.account,
        "key": channel.key_index,
        "state": channel.state.value,
        "request": channel.request_id,
        "balance": None if balance is None else format_amount(balance),
        "sequence": str(live.sequence) if live and live.sequence is not None else None,
        "note": _note(channel, live),
    }


def _note(channel: ChannelRecord, live: LiveAccount | None) -> str:
    from domain.channel_accounts import LOW_WATER, ChannelState

    if channel.state is ChannelState.PLANNED:
        return "planned"
    if live is None:
        return ""
    if live.balance is None:
        return "missing"
    return "low" if live.balance < LOW_WATER else ""


def _funding(live: LiveAccounts | None) -> dict[str, Any] | None:
    from domain.amounts import format_amount

    if live is None or live.funding is None:
        return None
    balance = live.funding.balance
    return {
        "account": live.funding.account,
        "balance": None if balance is None else format_amount(balance),
    }


def _warn(cli: Cli, rows: Iterable[dict[str, Any]]) -> None:
    advice = {
        "low": "low: run 'mintkeeper channels top-up'",
        "missing": "not on the ledger: nothing can be submitted over it",
        "planned": "planned but not made: unless they are being made now, run 'channels create {number}'",
    }
    notes = [row["note"] for row in rows]
    for note, text in advice.items():
        if number := notes.count(note):
            subject = "channel accounts are" if number > 1 else "channel account is"
            cli.note(f"warning: {number} {subject} {text.format(number=number)}")


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on stderr that takes what the workflow says."""
    from commands.render import progress

    with progress(what, total) as advance:
        shown = 0

        def show(said: Progress) -> None:
            nonlocal shown
            for _ in range(said.done - shown):
                advance()
            shown = max(shown, said.done)

        yield show
