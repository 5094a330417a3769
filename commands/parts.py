"""The stack as a whole and its single parts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commands.context import Cli, command

if TYPE_CHECKING:
    from starter.local.stack import RunningStack

DEMO_SLA_SCALE = 2000
"""4 h, 12 h and 24 h become 7, 22 and 43 seconds."""

Port = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")
]
SlaScale = Annotated[
    int, typer.Option("--sla-scale", min=1, max=100_000, help="Divides every delay of the escalation policy.")
]
DemoScale = Annotated[
    int,
    typer.Option(
        "--sla-scale",
        min=1,
        max=8000,
        help="Divides every delay of the SLA. 2000 turns reminder, escalation and expiry (4, 12 and 24 h) "
        "into 7, 22 and 43 s: fast to watch, and still slow enough for a busy laptop to act in between.",
    ),
]
Horizon = Annotated[
    str | None, typer.Option("--horizon", help="Use this Horizon instead of the sandbox ledger.")
]
Passphrase = Annotated[str | None, typer.Option("--network-passphrase", help="The network of that Horizon.")]


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    command(app, "up")(up)
    command(app, "demo")(demo)
    command(app, "worker", server=True)(worker)
    command(app, "web", server=True)(web)
    command(app, "migrate")(migrate)
    command(app, "sandbox", server=True)(sandbox)
    command(app, "providers", server=True)(providers)


async def up(
    cli: Cli, sla_scale: SlaScale = 1, horizon: Horizon = None, network_passphrase: Passphrase = None
) -> None:
    """Run the whole local stack until Ctrl-C: Temporal, PostgreSQL, ledger, providers, worker, web."""
    from starter.local.signals import ends_on_signal
    from starter.local.stack import StackOptions, running_stack

    if (horizon is None) != (network_passphrase is None):
        raise typer.BadParameter("--horizon and --network-passphrase belong together: give both or neither")
    options = StackOptions(cli.data_dir, sla_scale, horizon, network_passphrase)
    with ends_on_signal():
        async with running_stack(options, cli.note) as stack:
            cli.emit(stack.document(), lambda: _addresses(stack))
            sys.stdout.flush()
            await asyncio.Event().wait()


async def demo(
    cli: Cli,
    leave: Annotated[bool, typer.Option("--exit", help="Stop everything at the end.")] = False,
    sla_scale: DemoScale = DEMO_SLA_SCALE,
) -> None:
    """Play the life of six mint requests on a stack of its own, from the CSV file to the ledger."""
    from commands.demo.show import run_demo

    await run_demo(cli, sla_scale, leave=leave)


async def worker(
    cli: Cli,
    queues: Annotated[
        str, typer.Option("--queues", help="Task queues to serve, separated by commas; all by default.")
    ] = "",
) -> None:
    """Run a worker until SIGINT or SIGTERM; running activities finish first."""
    from domain.steps import QUEUES
    from starter.local.signals import stop_event
    from worker import run_worker

    chosen = [queue.strip() for queue in queues.split(",") if queue.strip()] or list(QUEUES)
    with stop_event() as stop:
        await run_worker(cli.settings(), queues=chosen, stop=stop)


async def web(
    cli: Cli,
    port: Port = 8080,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on: another one only inside a container.")
    ] = "127.0.0.1",
) -> None:
    """Run the web server until SIGINT or SIGTERM: pages, acknowledgements, API, figures."""
    from starter.local.signals import stop_event
    from web.server import serve

    settings = cli.settings().model_copy(update={"database_url": cli.database_url()})
    with stop_event() as stop:
        await serve(settings, port, lambda url: _say_ready(cli, url), stop, host)


def migrate(cli: Cli) -> None:
    """Bring the database's schema to the newest revision."""
    from db.migrate import upgrade

    revision = upgrade(cli.database_url())
    cli.emit({"revision": revision}, lambda: f"the database is at revision {revision}")


async def sandbox(
    cli: Cli,
    port: Port = 8000,
    network_passphrase: Annotated[
        str | None,
        typer.Option("--network-passphrase", help="The network it plays; a standalone one by default."),
    ] = None,
    interval: Annotated[
        float,
        typer.Option("--interval", min=0, help="Seconds between ledgers; 0 closes when there is something."),
    ] = 1.0,
    manual_close: Annotated[
        bool, typer.Option("--manual-close", help="Close only on POST /sandbox/close?at=<unix time>.")
    ] = False,
    queue_rule: Annotated[
        Literal["one", "many"],
        typer.Option("--queue-rule", help="Transactions that may wait for one source account."),
    ] = "one",
    ledger_capacity: Annotated[
        int, typer.Option("--ledger-capacity", min=1, help="Operations a ledger takes; more bid for a place.")
    ] = 1000,
    data: Annotated[Path | None, typer.Option("--data", help="Keep the ledger here; else in memory.")] = None,
) -> None:
    """Run the sandbox ledger alone: a test double that answers as Horizon does."""
    from domain.errors import Refused, Unavailable
    from sandbox.ledger.server import SandboxOptions, serve
    from sandbox.ledger.store import WrongNetworkError
    from starter.local.environment import SANDBOX_PASSPHRASE
    from starter.local.signals import stop_event

    options = SandboxOptions(
        network_passphrase=network_passphrase or SANDBOX_PASSPHRASE,
        port=port,
        interval=interval,
        manual_close=manual_close,
        queue_rule=queue_rule,
        ledger_capacity=ledger_capacity,
        data=data,
    )
    with stop_event() as stop:
        try:
            await serve(options, lambda url: _say_ready(cli, url), stop)
        except WrongNetworkError as error:
            raise Refused(f"{data}: {error}") from error
        except OSError as error:
            raise Unavailable(f"the sandbox ledger cannot listen on port {port}: {error.strerror}") from error


async def providers(
    cli: Cli,
    port: Port = 0,
    sendgrid_events: Annotated[
        str, typer.Option("--sendgrid-events", metavar="URL", help="Where SendGrid's signed events go.")
    ] = "",
    slack_interactions: Annotated[
        str,
        typer.Option(
            "--slack-interactions",
            metavar="URL",
            help="Where presses of Slack's buttons go, signed with MINTKEEPER_SLACK_SIGNING_SECRET.",
        ),
    ] = "",
) -> None:
    """Run the provider console alone: stands in for Slack, SendGrid, Telegram, PagerDuty and a webhook."""
    from sandbox.providers.server import serve
    from starter.local.signals import stop_event

    secret = cli.settings().slack_signing_secret
    with stop_event() as stop:
        await serve(port, lambda url: _say_ready(cli, url), stop, sendgrid_events, slack_interactions, secret)


def _say_ready(cli: Cli, url: str) -> None:
    cli.emit({"url": url}, lambda: f"ready {url}")
    sys.stdout.flush()


def _addresses(stack: RunningStack) -> str:
    rows = [
        ("Temporal Web UI", stack.addresses.temporal_ui_url),
        ("Web UI", stack.addresses.web_url),
        ("Provider console", stack.addresses.providers_url),
        ("Horizon", stack.addresses.horizon_url),
        ("Temporal", stack.addresses.temporal_address),
        ("Database", stack.addresses.database_url),
        ("Asset", stack.demo.asset),
        ("Destination", stack.demo.destination),
        ("Sign in", f"alice (or bob, carol, dave, rita, adam, lena), password {stack.demo.password}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join([*(f"{name:<{width}}  {value}" for name, value in rows), "ready"])
