"""Escalation runs: list, show, cancel, resume; and the rules that start them at events."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.context import Cli, command
from commands.options import Actor, AsUser, KeyFile, Reason, Tenant, option
from domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from domain.commands import CommandAction
    from domain.runs import EventKind

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Its id; a mint request's own has the request's.")]
Event = Annotated[
    str,
    typer.Argument(metavar="EVENT", help="request.anomaly, submission.stalled or sla.overdue."),
]


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    escalation = typer.Typer(no_args_is_help=True, help="Runs of escalation policies.")
    for function in (list_runs, show, cancel, resume):
        command(escalation, function.__name__.removesuffix("_runs"))(function)
    app.add_typer(escalation, name="escalation")
    rules = typer.Typer(no_args_is_help=True, help="What operational events lead to.")
    command(rules, "list")(list_rules)
    command(rules, "show")(show_rule)
    command(rules, "set")(set_rule)
    command(rules, "remove")(remove_rule)
    app.add_typer(rules, name="event-rule")


async def list_runs(
    cli: Cli,
    every: Annotated[bool, option("--all", "Also those that are over.")] = False,
    tenant: Tenant = None,
) -> None:
    """List the runs that are not over, the newest first, at most 200."""
    from commands.lookup import check_tenant
    from commands.render import plain_table
    from commands.runs import LIST_COLUMNS, listed
    from db.reads.escalations import run_views

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        await check_tenant(tx, code)
        found = [listed(run) for run in await run_views(tx, code, every=every)]
    rows = [[run[name] for name in LIST_COLUMNS] for run in found]
    cli.emit({"escalations": found}, lambda: plain_table(LIST_COLUMNS, rows, "no runs"))


async def show(cli: Cli, run: RunId) -> None:
    """Show a run: its stages, every attempt to tell somebody, and who acknowledged."""
    from commands.runs import print_run, run_document

    async with cli.transaction() as tx:
        document = await run_document(tx, run)
    cli.emit(document, lambda: print_run(document))


async def cancel(cli: Cli, run: RunId, user: AsUser, reason: Reason, key_file: KeyFile = None) -> None:
    """Stop a run's stages; a mint request itself goes on, and still expires."""
    from domain.commands import CommandAction

    await _command(cli, CommandAction.CANCEL_ESCALATION, run, user, reason, key_file)


async def resume(cli: Cli, run: RunId, user: AsUser, reason: Reason, key_file: KeyFile = None) -> None:
    """Let a run's stages go on: takes an acknowledgement back, or the cancel of a mint request's own run."""
    from domain.commands import CommandAction

    await _command(cli, CommandAction.RESUME_ESCALATION, run, user, reason, key_file)


async def _command(
    cli: Cli,
    action: CommandAction,
    run: str,
    user: str,
    reason: str,
    key_file: Path | None,
) -> None:
    from commands.runs import run_document
    from commands.signing import signed_command
    from starter.escalations import examine_command, send_command
    from starter.temporal import reachable

    async with cli.database() as database:
        async with database.transaction() as tx:
            found = await run_document(tx, run)
        run_id, tenant = found["id"], found["tenant"]
        envelope = signed_command(cli, user, action, run_id, {"reason": reason}, tenant, key_file)
        document = envelope.model_dump_json(by_alias=True).encode()
        envelope, told, _ = await examine_command(database, document, action=action, run_id=run_id)
        async with reachable(await cli.temporal()) as client:
            outcome = await send_command(client, run_id, envelope, told.id)
    answer = {"id": run_id, "message": outcome.message, "by": user}
    cli.emit(answer, lambda: f"{run_id}: {outcome.message}")


async def list_rules(cli: Cli, tenant: Tenant = None) -> None:
    """List what the tenant wants to happen at events; without a rule the leads get one message."""
    from commands.lookup import check_tenant
    from commands.render import plain_table
    from db.reads.escalations import event_rules

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        await check_tenant(tx, code)
        found = [rule.model_dump(mode="json") for rule in await event_rules(tx, code)]
    columns = ("event_kind", "action", "policy_id", "urgent")
    rows = [[rule[name] for name in columns] for rule in found]
    cli.emit({"event_rules": found}, lambda: plain_table(columns, rows, "no rules: the leads are informed"))


async def show_rule(cli: Cli, event: Event, tenant: Tenant = None) -> None:
    """Show the rule for an event."""
    from commands.render import plain_fields
    from db.reads.escalations import event_rule

    kind, code = _kind(event), cli.tenant(tenant)
    async with cli.transaction() as tx:
        rule = await event_rule(tx, code, kind)
    if rule is None:
        raise NotFound(f"tenant {code} has no rule for {kind}: its leads get one message")
    document = rule.model_dump(mode="json")
    cli.emit(document, lambda: plain_fields(document))


async def set_rule(
    cli: Cli,
    event: Event,
    action: Annotated[str, option("--action", "escalate, inform or ignore.")],
    policy: Annotated[str | None, option("--policy", "Of the policy that escalates it.", "POLICY")] = None,
    quiet: Annotated[bool, option("--not-urgent", "In quiet hours one message, and no run.")] = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create or replace the rule for an event; runs in flight keep what they started with."""
    from db.writes.event_rules import set_event_rule
    from domain.runs import EventAction, EventRule

    if action not in set(EventAction):
        raise InvalidInput(f"unknown action {action!r}: there are {', '.join(EventAction)}", "action")
    if (policy is not None) != (action == EventAction.ESCALATE):
        raise InvalidInput("--policy goes with --action escalate, and only with it", "policy")
    rule = EventRule(
        tenant=cli.tenant(tenant),
        event_kind=_kind(event),
        action=EventAction(action),
        policy_id=policy,
        urgent=not quiet,
    )
    async with cli.transaction() as tx:
        await set_event_rule(tx, rule=rule, actor=cli.actor(actor), at=datetime.now(UTC))
    cli.emit(rule.model_dump(mode="json"), lambda: f"{event} now leads to: {action} {policy or ''}".rstrip())


async def remove_rule(cli: Cli, event: Event, tenant: Tenant = None, actor: Actor = None) -> None:
    """Remove the rule for an event: its leads get one message then."""
    from db.writes.event_rules import remove_event_rule

    kind, code = _kind(event), cli.tenant(tenant)
    async with cli.transaction() as tx:
        await remove_event_rule(tx, tenant=code, kind=kind, actor=cli.actor(actor), at=datetime.now(UTC))
    cli.emit({"event_kind": kind, "removed": True}, lambda: f"the rule for {kind} is removed")


def _kind(event: str) -> EventKind:
    from domain.runs import EventKind

    if event not in set(EventKind):
        raise InvalidInput(f"unknown event {event!r}: there are {', '.join(EventKind)}", "event")
    return EventKind(event)
