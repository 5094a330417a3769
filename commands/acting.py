"""Acting on a request: decide, resolve, claim, release, comment, re-submit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import AsSignal, AsUser, DecisionId, Id, KeyFile, Reason, Wait, option

ANSWER_SECONDS = 15.0


class Resolution(StrEnum):
    """What an admin found out about a request in ANOMALY."""

    CONFIRMED = "confirmed"
    FAILED = "failed"
    TIMEOUT_FAILED = "timeout_failed"


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    for function in (approve, reject, cancel, resolve, claim, release, comment, resubmit):
        command(app, function.__name__)(function)


async def approve(
    cli: Cli,
    request_id: Id,
    user: AsUser,
    reason: Reason = "",
    key_file: KeyFile = None,
    decision_id: DecisionId = None,
    signal: AsSignal = False,
    wait: Wait = ANSWER_SECONDS,
    code: Annotated[
        str | None, option("--code", "One-time code, for amounts above the rule's; see 'code request'.")
    ] = None,
) -> None:
    """Approve a request, signed with the approver's key."""
    from commands.deciding import Order, decide

    if code is not None:
        from commands.codes import confirm

        await confirm(cli, request_id, user, code)
    await decide(cli, Order(request_id, "approve", user, reason, key_file, decision_id, signal, wait))


async def reject(
    cli: Cli,
    request_id: Id,
    user: AsUser,
    reason: Reason,
    key_file: KeyFile = None,
    decision_id: DecisionId = None,
    signal: AsSignal = False,
    wait: Wait = ANSWER_SECONDS,
) -> None:
    """Reject a request; one valid rejection ends it."""
    from commands.deciding import Order, decide

    await decide(cli, Order(request_id, "reject", user, reason, key_file, decision_id, signal, wait))


async def cancel(
    cli: Cli,
    request_id: Id,
    user: AsUser,
    reason: Reason = "",
    key_file: KeyFile = None,
    decision_id: DecisionId = None,
    signal: AsSignal = False,
    wait: Wait = ANSWER_SECONDS,
) -> None:
    """Cancel a PENDING request, as its requester or as an admin."""
    from commands.deciding import Order, decide

    await decide(cli, Order(request_id, "cancel", user, reason, key_file, decision_id, signal, wait))


async def resolve(
    cli: Cli,
    request_id: Id,
    user: AsUser,
    outcome: Annotated[
        Resolution, typer.Option("--outcome", help="What the ledger shows.", show_default=False)
    ],
    reason: Reason,
    evidence: Annotated[
        Path | None,
        option("--evidence", "Sign what 'ledger inspect --save' kept; a new look unless said.", "FILE"),
    ] = None,
    key_file: KeyFile = None,
    decision_id: DecisionId = None,
    signal: AsSignal = False,
    wait: Wait = ANSWER_SECONDS,
) -> None:
    """Resolve a request in ANOMALY, as an admin: look at the ledger, and sign what it shows."""
    from commands.deciding import Order
    from commands.resolving import resolve_request

    order = Order(request_id, outcome.value, user, reason, key_file, decision_id, signal, wait)
    await resolve_request(cli, order, evidence)


async def claim(cli: Cli, request_id: Id, user: AsUser) -> None:
    """Say that you work on a request now; approves nothing."""
    from commands.assigning import assign_request

    await assign_request(cli, request_id, "claim", actor=user, assignee=user)


async def release(cli: Cli, request_id: Id, user: AsUser) -> None:
    """Say that nobody works on a request any more."""
    from commands.assigning import assign_request

    await assign_request(cli, request_id, "release", actor=user, assignee=None)


async def comment(
    cli: Cli, request_id: Id, user: AsUser, text: Annotated[str, typer.Argument(help="What to say.")]
) -> None:
    """Add a comment; it counts as activity for the inactivity clock."""
    from commands.assigning import comment_request

    await comment_request(cli, request_id, author=user, text=text)


async def resubmit(
    cli: Cli,
    request_id: Id,
    user: AsUser,
    key: Annotated[str | None, option("--key", "Idempotency key of the new request.")] = None,
    deadline: Annotated[
        str | None, option("--deadline", "No transaction may land after it; the old one's unless said.")
    ] = None,
) -> None:
    """Ask again for what ended without a mint: a new request with fresh approvals."""
    from commands.resubmitting import resubmit_request

    receipt = await resubmit_request(cli, request_id, requester=user, key=key, deadline=deadline)
    cli.emit({**receipt.document(), "resubmission_of": receipt.request.resubmission_of}, receipt.text)
