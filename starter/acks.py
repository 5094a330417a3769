"""Acknowledging with a token: checked here as far as possible, then told to the run's workflow.

The message that carried the token decides which run that is: the request's own, inside its workflow, or
that of an operational event.

The workflow's own activity verifies the token again, since anybody with access to the namespace can
send it one. The check here keeps strangers from writing into the audit log by sending garbage, and
answers for requests whose workflow has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError

from db import reads
from db.reads.escalations import event_run
from db.session import Database, Transaction
from domain.ack import (
    AckClaim,
    AckOutcome,
    AckReceipt,
    AckRefusal,
    AckSubject,
    Authority,
    check_addressee,
    check_open,
    check_subject,
    decode,
    parse_claim,
    token_sha256,
)
from domain.dsse import Envelope, EnvelopeRefused, unverified_payload
from domain.errors import AckRefused, NotOpen, Unavailable
from domain.records import RequestRecord
from domain.runs import run_workflow_id
from starter.answers import LOST, ended
from starter.ids import new_message_id
from starter.temporal import reachable, worker_polls

ANSWER_SECONDS = 10.0
"""How long the workflow's answer is waited for; then the ack is left with it as a signal."""

Connect = Callable[[], Awaitable[Client]]


@dataclass(frozen=True)
class Examined:
    """A token that may be used, and what it is about."""

    envelope: Envelope
    claim: AckClaim
    record: RequestRecord
    subject: AckSubject
    receipt: AckReceipt | None
    """Of its first use, if it was used."""

    @property
    def run_id(self) -> str:
        """The run's id; the request's own run has the request's."""
        return self.subject.run_id or self.subject.request_id

    @property
    def workflow_id(self) -> str:
        """Which workflow is told."""
        return run_workflow_id(self.run_id)


async def examine(database: Database, authority: Authority, token: str) -> Examined:
    """Check a token and change nothing; raises AckRefused, or Unavailable.

    Without keys the signature is left to the workflow's activity, and only a token whose hash is
    recorded counts as used.
    """
    envelope = decode(token)
    claim = authority.verify(envelope) if authority.has_keys else _unverified(envelope)
    now = datetime.now(UTC)
    async with database.transaction() as tx:
        record = await reads.request(tx, claim.request_id)
        if record is None:
            raise AckRefused("this link belongs to no request of ours", AckRefusal.WRONG_REQUEST)
        addressee = await reads.addressee(tx, claim)
        subject = await subject_of(tx, record, addressee.run_id if addressee else None, now)
        check_addressee(claim, subject, addressee)
        receipt = await reads.ack_receipt(tx, claim)
    if receipt is not None and not authority.has_keys and receipt.token_sha256 != token_sha256(envelope):
        receipt = None
    if receipt is None:
        check_open(claim, subject, now)
    return Examined(envelope, claim, record, subject, receipt)


async def subject_of(tx: Transaction, record: RequestRecord, run_id: str | None, now: datetime) -> AckSubject:
    """The run that a message belongs to: the request's own, or that of an event of it. Raises AckRefused."""
    if run_id is None:
        return AckSubject.of_request(record, now)
    run = await event_run(tx, run_id)
    if run is None:
        raise AckRefused("this link belongs to no run of ours", AckRefusal.WRONG_REQUEST)
    return AckSubject.of_run(run, now)


async def acknowledge(
    connect: Connect,
    database: Database,
    authority: Authority,
    token: str,
    limit_seconds: float = ANSWER_SECONDS,
) -> AckReceipt | None:
    """Use a token; the same one again gets the same receipt.

    None: no worker answered, so it was left with the workflow as a signal and takes effect later.
    Raises AckRefused, or Unavailable.
    """
    seen = await examine(database, authority, token)
    if seen.receipt is not None:
        return seen.receipt
    async with reachable(await connect()) as client:
        try:
            outcome = await _tell(client, seen, limit_seconds)
        except NotOpen:
            # it has ended since: what the database says now is the answer
            return await _answer_of_ended(database, authority, token)
    if outcome is None:
        return None
    if outcome.receipt is None:
        raise AckRefused(outcome.message, outcome.reason or AckRefusal.INTERNAL, outcome.recorded)
    return outcome.receipt


async def acknowledge_as(
    connect: Connect, database: Database, authority: Authority, record: RequestRecord, name: str
) -> AckReceipt | None:
    """A user of the request's tenant whom we know says that they are on it; again gets the same receipt.

    It is said with the newest message of a stage to them, else for an approver with that to a group, and
    goes the way of a token. None: as with `acknowledge`. Raises AckRefused, or Unavailable.
    """
    now = datetime.now(UTC)
    subject = AckSubject.of_request(record, now)
    if subject.over and now >= record.expires_at:
        # they have followed no link that could be too old
        check_subject(subject)
    async with database.transaction() as tx:
        press = await reads.message_for(
            tx,
            tenant=subject.tenant,
            request_id=subject.request_id,
            name=name,
            is_on_it=bool(subject.on_it) and record.acknowledged_by == name,
        )
    if press is None:
        check_subject(subject)
        raise AckRefused(
            f"no message of this request lets {name} say that: claim it instead", AckRefusal.WRONG_REQUEST
        )
    by = None if press.recipient == name else name
    token = authority.issue(AckClaim.for_button(subject, press, by, now))
    return await acknowledge(connect, database, authority, token)


async def _answer_of_ended(database: Database, authority: Authority, token: str) -> AckReceipt:
    seen = await examine(database, authority, token)
    if seen.receipt is None:
        raise Unavailable(
            f"the workflow of {seen.run_id} is not running and will be started again: "
            "try again in half an hour"
        )
    return seen.receipt


async def _tell(client: Client, seen: Examined, limit_seconds: float) -> AckOutcome | None:
    """The workflow's answer; None: it was left as a signal. An update that came through all the same
    and the signal do no harm to each other. Raises NotOpen, RPCError."""
    if await worker_polls(client):
        answer = await _ask(client, seen, limit_seconds)
        if answer is not None:
            return answer
    with ended(seen.run_id):
        await client.get_workflow_handle(seen.workflow_id).signal("ack", seen.envelope)
    return None


async def _ask(client: Client, seen: Examined, limit_seconds: float) -> AckOutcome | None:
    try:
        with ended(seen.run_id):
            async with asyncio.timeout(limit_seconds):
                outcome: AckOutcome = await client.get_workflow_handle(seen.workflow_id).execute_update(
                    "acknowledge",
                    seen.envelope,
                    id=new_message_id(),
                    result_type=AckOutcome,
                    rpc_timeout=timedelta(seconds=limit_seconds),
                )
                return outcome
    except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError):
        return None
    except WorkflowUpdateFailedError as error:
        # the handler itself never fails: the workflow has ended under it
        raise NotOpen(f"{seen.run_id} has ended") from error
    except RPCError as error:
        if error.status in LOST:
            return None
        raise


def _unverified(envelope: Envelope) -> AckClaim:
    """What a token says of itself, only to find out whom to ask."""
    try:
        return parse_claim(unverified_payload(envelope))
    except EnvelopeRefused:
        raise AckRefused("this is no acknowledgement link", AckRefusal.MALFORMED) from None
