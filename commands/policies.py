"""Escalation policies: publish for ever, and say which one new requests get."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant
from domain.errors import InvalidInput, NotFound

PolicyId = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's id.")]


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    policy = typer.Typer(no_args_is_help=True, help="Escalation policies; immutable once published.")
    command(policy, "publish")(publish)
    command(policy, "list")(list_policies)
    command(policy, "show")(show)
    command(policy, "switch")(switch)
    app.add_typer(policy, name="policy")


async def publish(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The policy's JSON.")],
    actor: Actor = None,
) -> None:
    """Publish a policy, after checking that the people and channels it needs exist."""
    from db.writes import publication
    from domain.escalation import EscalationPolicy

    try:
        policy = EscalationPolicy.parse(file.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{file} can't be read: {error.strerror}", "file") from error
    async with cli.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor=cli.actor(actor), at=datetime.now(UTC))
    document = {"id": policy.id, "tenant": policy.tenant, "content_hash": policy.content_hash()}
    next_step = f"new requests get it after 'mintkeeper policy switch {policy.id}'"
    cli.emit(document, lambda: f"policy {policy.id} is published; {next_step}")


async def list_policies(cli: Cli, tenant: Tenant = None) -> None:
    """List the tenant's published policies."""
    from commands.render import plain_table
    from db.reads.catalogue import policies

    async with cli.transaction() as tx:
        found = [policy.model_dump(mode="json") for policy in await policies(tx, cli.tenant(tenant))]
    columns = ("id", "name", "current", "published_at", "published_by", "content_hash")
    rows = [[policy[column] for column in columns] for policy in found]
    cli.emit({"policies": found}, lambda: plain_table(columns, rows, "no policies"))


async def show(cli: Cli, policy_id: PolicyId) -> None:
    """Show a policy as it was published."""
    import json

    from db import reads

    async with cli.transaction() as tx:
        policy = await reads.policy(tx, policy_id)
    if policy is None:
        raise NotFound(f"there is no policy {policy_id!r}: see 'mintkeeper policy list'")
    document = policy.model_dump(mode="json", by_alias=True)
    cli.emit(
        {**document, "contentHash": policy.content_hash()},
        lambda: f"{json.dumps(document, indent=2, ensure_ascii=False)}\ncontent hash {policy.content_hash()}",
    )


async def switch(cli: Cli, policy_id: PolicyId, tenant: Tenant = None, actor: Actor = None) -> None:
    """Give new requests this policy; open ones keep theirs."""
    from db.writes import publication

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        await publication.switch_policy(
            tx, tenant=code, policy_id=policy_id, actor=cli.actor(actor), at=datetime.now(UTC)
        )
    cli.emit({"tenant": code, "policy": policy_id}, lambda: f"new requests of {code} get policy {policy_id}")
