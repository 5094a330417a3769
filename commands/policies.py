"""Escalation policies: check, publish for ever, switch, withdraw, and see what one will do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, option
from commands.simulating import Draft, MaybePolicy, simulate
from domain.errors import NotFound

if TYPE_CHECKING:
    from db.reads.catalogue import PublishedPolicy

PolicyId = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's id.")]


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    policy = typer.Typer(no_args_is_help=True, help="Escalation policies; immutable once published.")
    command(policy, "check")(check)
    command(policy, "simulate")(simulate)
    command(policy, "publish")(publish)
    command(policy, "list")(list_policies)
    command(policy, "show")(show)
    command(policy, "switch")(switch)
    command(policy, "delete")(delete)
    app.add_typer(policy, name="policy")


async def check(cli: Cli, policy_id: MaybePolicy = None, file: Draft = None) -> None:
    """Check a policy against today's people, channels and rules; changes nothing, 1 if it can't work."""
    from commands.drafts import read_policy
    from db.reads.circumstances import circumstances
    from domain.policy_checks import problems

    async with cli.transaction() as tx:
        policy = await read_policy(tx, policy_id, file)
        found = problems(policy, await circumstances(tx, policy.tenant))
    document = {"policy": policy.id, "tenant": policy.tenant, "problems": found}
    if not found:
        cli.emit(document, lambda: f"policy {policy.id} can work with what {policy.tenant} has today")
        return
    cli.emit(document, lambda: "\n".join(found))
    raise typer.Exit(1)


async def publish(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The policy's JSON.")],
    actor: Actor = None,
) -> None:
    """Publish a policy, after checking that it can work with today's people and channels."""
    from commands.drafts import read_draft
    from db.writes import publication

    policy = read_draft(file)
    async with cli.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor=cli.actor(actor), at=datetime.now(UTC))
    document = {"id": policy.id, "tenant": policy.tenant, "content_hash": policy.content_hash()}
    next_step = f"new requests get it after 'mintkeeper policy switch {policy.id}'"
    cli.emit(document, lambda: f"policy {policy.id} is published; {next_step}")


async def list_policies(
    cli: Cli,
    tenant: Tenant = None,
    every: Annotated[bool, option("--all", "Also those that are deleted.")] = False,
) -> None:
    """List the tenant's published policies, the oldest first."""
    from commands.render import plain_table
    from db.reads.catalogue import policies

    async with cli.transaction() as tx:
        found = await policies(tx, cli.tenant(tenant), deleted=every)
    columns = ("id", "name", "state", "published", "by", "content hash")
    cli.emit(
        {"policies": [policy.model_dump(mode="json") for policy in found]},
        lambda: plain_table(columns, [_line(policy) for policy in found], "no policies"),
    )


def _line(policy: PublishedPolicy) -> tuple[str, ...]:
    published = policy.published_at.strftime("%Y-%m-%d %H:%MZ")
    return (policy.id, policy.name, _state(policy), published, policy.published_by, policy.content_hash[:12])


def _state(policy: PublishedPolicy) -> str:
    if policy.deleted_at:
        return f"deleted {policy.deleted_at:%Y-%m-%d} by {policy.deleted_by}"
    return "current" if policy.current else ""


async def show(cli: Cli, policy_id: PolicyId) -> None:
    """Show a policy as it was published."""
    import json

    from commands.documents import policy_document
    from db import reads
    from db.reads.catalogue import published_policy

    async with cli.transaction() as tx:
        published, policy = await published_policy(tx, policy_id), await reads.policy(tx, policy_id)
    if published is None or policy is None:
        raise NotFound(f"there is no policy {policy_id!r}: see 'mintkeeper policy list'")
    body = json.dumps(policy.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False)
    facts = f"content hash {published.content_hash}" + (f"\n{_state(published)}" if _state(published) else "")
    cli.emit(policy_document(published, policy), lambda: f"{body}\n{facts}")


async def switch(cli: Cli, policy_id: PolicyId, tenant: Tenant = None, actor: Actor = None) -> None:
    """Give new requests this policy, after checking it again; open ones keep theirs."""
    from db.writes import publication

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        await publication.switch_policy(
            tx, tenant=code, policy_id=policy_id, actor=cli.actor(actor), at=datetime.now(UTC)
        )
    cli.emit({"tenant": code, "policy": policy_id}, lambda: f"new requests of {code} get policy {policy_id}")


async def delete(cli: Cli, policy_id: PolicyId, tenant: Tenant = None, actor: Actor = None) -> None:
    """Withdraw a policy for ever; refused while requests, events or runs in flight need it."""
    from db.writes import withdrawal

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        await withdrawal.delete_policy(
            tx, tenant=code, policy_id=policy_id, actor=cli.actor(actor), at=datetime.now(UTC)
        )
    cli.emit({"tenant": code, "policy": policy_id, "deleted": True}, lambda: f"policy {policy_id} is deleted")
