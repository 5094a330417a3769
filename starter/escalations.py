"""Sending a signed command to the workflow of a run, and waiting for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from db.reads.dictionaries import signer
from db.reads.escalations import RunView, run_view
from db.session import Database
from domain.commands import (
    ADMINS_AND_APPROVERS,
    Command,
    CommandAction,
    CommandRefusal,
    claimed,
    read_envelope,
    verify_command,
)
from domain.dsse import Envelope
from domain.errors import (
    CommandRefused,
    InvalidInput,
    MintkeeperError,
    NotFound,
    NotOpen,
    OutcomeUnknown,
    Refused,
)
from domain.runs import run_workflow_id
from domain.steps import CommandOutcome
from starter.answers import ANSWER_SECONDS, answers


async def examine_command(
    database: Database,
    document: bytes,
    *,
    action: CommandAction,
    run_id: str,
    authority: Sequence[bytes] = (),
) -> tuple[Envelope, Command, RunView]:
    """Check a command as far as that is possible without the workflow; changes nothing.

    The workflow's own activity judges it again: this keeps strangers from writing into the audit by
    sending garbage. `authority`: the server's public keys, where it has signed for somebody who had
    signed in. Raises CommandRefused, NotFound, NotOpen.
    """
    envelope = read_envelope(document)
    said = claimed(envelope)
    async with database.transaction() as tx:
        person = await signer(tx, said.tenant, said.actor)
        run = await run_view(tx, run_id)
    command = verify_command(
        envelope,
        person,
        action=action,
        target=run_id,
        roles=ADMINS_AND_APPROVERS,
        now=datetime.now(UTC),
        authority=authority,
    )
    if run is None:
        raise NotFound(f"there is no escalation run {run_id}: see 'mintkeeper escalation list'")
    if run.tenant != command.tenant:
        raise CommandRefused("this run is another tenant's", CommandRefusal.WRONG_TENANT)
    if not run.is_open:
        raise NotOpen(f"the escalation is over already: {run.state}, the request is {run.request_status}")
    return envelope, command, run


async def send_command(
    client: Client, run_id: str, envelope: Envelope, command_id: str, limit_seconds: float = ANSWER_SECONDS
) -> CommandOutcome:
    """Send a command and wait for the answer; the same one sent again gets the first answer.

    Raises CommandRefused, Refused or InvalidInput when it had no effect, NotOpen when the run is over,
    OutcomeUnknown when no answer comes: it may still take effect then. Raises RPCError for anything else.
    """
    handle = client.get_workflow_handle(run_workflow_id(run_id))
    unknown = OutcomeUnknown(
        f"no answer: the command may still take effect. Look with 'mintkeeper escalation show {run_id}'"
    )
    with answers(run_id, unknown):
        async with asyncio.timeout(limit_seconds):
            outcome: CommandOutcome = await handle.execute_update(
                "command",
                envelope,
                id=command_id,
                result_type=CommandOutcome,
                rpc_timeout=timedelta(seconds=limit_seconds),
            )
    if not outcome.accepted:
        raise _refusal(outcome)
    return outcome


def _refusal(outcome: CommandOutcome) -> MintkeeperError:
    """The error that the worker's activity met: a refusal of the command, or of what it asks for."""
    if outcome.reason in set(CommandRefusal):
        return CommandRefused(outcome.message, outcome.reason)
    rules = {error.code: error for error in (NotOpen, InvalidInput, Refused)}
    return rules.get(outcome.reason, MintkeeperError)(outcome.message)
