"""The activity that verifies a signed command to a run and carries it out, or records why not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import rfc8785
from temporalio import activity

from activities import journal
from activities.held import Held, hold, in_log, request_standing, run_standing
from db.reads.escalations import skipped_messages
from db.session import Database, Transaction
from db.writes import audit, run_commands
from db.writes.authority_keys import register_authority_key
from db.writes.commands import accept_command
from db.writes.steps import step_done
from domain import dsse, steps
from domain.ack import NO_AUTHORITY, Authority
from domain.commands import (
    ADMINS_AND_APPROVERS,
    COMMAND_TYPE,
    Command,
    CommandAction,
    CommandRefusal,
    claimed,
    read_envelope,
)
from domain.errors import CommandRefused, InvalidInput, Refused
from domain.runs import EventRun
from domain.steps import CommandAnswer, CommandOutcome, CommandStep

_ACTIONS = (CommandAction.CANCEL_ESCALATION, CommandAction.RESUME_ESCALATION)

_DONE = {
    CommandAction.CANCEL_ESCALATION: "no further stage runs",
    CommandAction.RESUME_ESCALATION: "the stages to come run again",
}


class RunCommandActivities:
    """Judges a command in the transaction of its effect: it counts once, or not at all."""

    def __init__(self, database: Database, authority: Authority = NO_AUTHORITY) -> None:
        self._database, self._authority = database, authority

    @activity.defn(name=steps.COMMAND)
    async def command(self, step: CommandStep) -> CommandAnswer:
        """Carry a command out; a refusal is an answer and an audit event."""
        document = _document(step.signed)
        try:
            return await self._obey(step, document)
        except (Refused, InvalidInput) as refusal:
            return await self._refuse(step, document, refusal)

    async def _obey(self, step: CommandStep, document: bytes) -> CommandAnswer:
        action = claimed(read_envelope(document)).action
        if action not in _ACTIONS:
            raise CommandRefused(f"a run can't be told {action}", CommandRefusal.WRONG_ACTION)
        await self._register(step, document)
        async with self._database.transaction() as tx:
            held = await hold(tx, step.run_id)
            try:
                command = await accept_command(
                    tx,
                    document,
                    action=action,
                    target=step.run_id,
                    roles=ADMINS_AND_APPROVERS,
                    now=max(step.at, datetime.now(UTC)),
                    authority=self._authority.public_keys,
                )
            except CommandRefused as refusal:
                # an attempt whose answer was lost with its worker has carried it out already
                if refusal.reason != CommandRefusal.REPLAYED or not await _is_done(tx, document, held):
                    raise
                return _answer(True, _DONE[action], "", held)
            proof = {"envelope": read_envelope(document).model_dump(mode="json", by_alias=True)}
            held = await _carry_out(tx, held, command, step.at, proof)
            unsent = await skipped_messages(tx, step.run_id)
        if action is CommandAction.CANCEL_ESCALATION:
            journal.cancelled(in_log(held), held.next_stage, command.actor, unsent)
        return _answer(True, _DONE[action], "", held)

    async def _register(self, step: CommandStep, document: bytes) -> None:
        """Put the authority's key into the audit chain before a command that it has signed."""
        envelope = read_envelope(document)
        if not claimed(envelope).amr:
            return
        for public_key in self._authority.public_keys:
            with suppress(dsse.EnvelopeRefused):
                dsse.verify(envelope, COMMAND_TYPE, [public_key])
                async with self._database.transaction() as tx:
                    await register_authority_key(tx, tenant=step.tenant, public_key=public_key, at=step.at)
                return

    async def _refuse(
        self, step: CommandStep, document: bytes, refusal: Refused | InvalidInput
    ) -> CommandAnswer:
        """In a transaction of its own: the refused one was rolled back."""
        reason = str(getattr(refusal, "reason", "") or refusal.code)
        fingerprint = hashlib.sha256(document).hexdigest()
        async with self._database.transaction() as tx:
            held = await hold(tx, step.run_id)
            await audit.append(
                tx,
                tenant=step.tenant,
                request_id=_request_id(held),
                step=f"command.refused:{reason}:{fingerprint[:32]}",
                kind="escalation.refused",
                actor=_claimed_actor(document),
                at=step.at,
                details={
                    "runId": step.run_id,
                    "reason": reason,
                    "message": refusal.message,
                    "envelopeSha256": fingerprint,
                },
            )
        return _answer(False, refusal.message, reason, held)


async def _carry_out(
    tx: Transaction, held: Held, command: Command, at: datetime, proof: Mapping[str, Any]
) -> Held:
    tenant = held.tenant if isinstance(held, EventRun) else held.request.tenant
    if command.tenant != tenant:
        raise CommandRefused("this run is another tenant's", CommandRefusal.WRONG_TENANT)
    if isinstance(held, EventRun):
        return await run_commands.command_run(tx, run=held, command=command, at=at, proof=proof)
    return await run_commands.command_request(tx, record=held, command=command, at=at, proof=proof)


async def _is_done(tx: Transaction, document: bytes, held: Held) -> bool:
    key = f"command:{claimed(read_envelope(document)).id}"
    return await step_done(tx, _request_id(held), f"{held.id}:{key}" if isinstance(held, EventRun) else key)


def _document(signed: Any) -> bytes:
    """What came, as the bytes that are read and fingerprinted."""
    try:
        return rfc8785.dumps(signed)
    except rfc8785.CanonicalizationError:
        return b""


def _claimed_actor(document: bytes) -> str:
    """Who the sender says they are, for the audit event; nothing is decided by it."""
    try:
        return claimed(read_envelope(document)).actor
    except CommandRefused:
        return "unknown"


def _request_id(held: Held) -> str:
    return held.request_id if isinstance(held, EventRun) else held.request.id


def _answer(accepted: bool, message: str, reason: str, held: Held) -> CommandAnswer:
    outcome = CommandOutcome(accepted=accepted, message=message, reason=reason)
    return CommandAnswer(outcome=outcome, standing=request_standing(held), run=run_standing(held))
