"""Asking for a mint: from the caller's words to a started workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from domain.amounts import Asset, parse_amount
from domain.errors import IdempotencyConflict, InvalidInput
from domain.escalation import EscalationRun
from domain.mint_request import MintRequest, request_id_for_key, workflow_id
from domain.steps import MINT_QUEUE, MintOrder, MintResult
from domain.strkey import check_destination
from domain.text import check_text
from starter.failures import domain_error
from starter.ids import new_request_id
from workflows.search_attributes import at_start

WORKFLOW_TYPE = "MintRequest"
MAX_KEY = 255
"""Characters in an idempotency key."""

_POLL_SECONDS = 0.05

RequestHandle = WorkflowHandle[object, MintResult]


@dataclass(frozen=True)
class Wanted:
    """What a caller asks for, as it was typed or sent."""

    tenant: str
    asset: str
    amount: str
    destination: str
    topic: str
    requester: str
    memo: str = ""
    deadline: str | None = None
    """ISO 8601 with a zone: no transaction of the request may land after it."""
    key: str | None = None
    """The caller's idempotency key: always leads to the same request."""
    resubmission_of: str | None = None


def build_request(wanted: Wanted, network_passphrase: str) -> MintRequest:
    """Check everything that can be checked without a database; raises InvalidInput."""
    asset = Asset.parse(wanted.asset)
    amount = parse_amount(wanted.amount)
    destination = check_destination(wanted.destination.strip(), asset.issuer)
    check_text(wanted.memo, "memo")
    try:
        return MintRequest(
            id=_request_id(wanted),
            tenant=wanted.tenant,
            network_passphrase=network_passphrase,
            asset=asset,
            amount=amount,
            destination=destination,
            topic=wanted.topic,
            requester=wanted.requester,
            memo=wanted.memo,
            resubmission_of=wanted.resubmission_of,
            ledger_deadline=_moment(wanted.deadline),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{where} {first.get('input')!r} is not valid: {first['msg']}", where) from error


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInput(
            f"deadline {text!r} is no moment with a zone, such as 2026-12-01T17:00:00Z", "deadline"
        )
    return moment.astimezone(UTC)


def _request_id(wanted: Wanted) -> str:
    if wanted.key is None:
        return new_request_id()
    check_text(wanted.key, "key")
    if not 0 < len(wanted.key) <= MAX_KEY:
        raise InvalidInput(f"an idempotency key has 1 to {MAX_KEY} characters", "key")
    return request_id_for_key(wanted.tenant, wanted.key)


async def start_request(client: Client, order: MintOrder, *, keyed: bool) -> RequestHandle:
    """Start the request's workflow, or find the one that runs or ran already.

    `keyed`: the id came from an idempotency key, so another content may have taken it; that raises
    IdempotencyConflict, even before the first one is written to the database. Raises RPCError.
    """
    request = order.request
    expires_at = EscalationRun(order.policy, datetime.now(UTC), order.sla_scale).expires_at
    try:
        handle: RequestHandle = await client.start_workflow(
            WORKFLOW_TYPE,
            order,
            id=workflow_id(request.id),
            task_queue=MINT_QUEUE,
            result_type=MintResult,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            memo={"content_hash": request.content_hash(), "network": request.network_passphrase},
            static_summary=request.summary,
            search_attributes=at_start(request, expires_at),
        )
    except WorkflowAlreadyStartedError:
        handle = client.get_workflow_handle(workflow_id(request.id), result_type=MintResult)
    if keyed:
        await _check_same_content(handle, request)
    return handle


async def _check_same_content(handle: RequestHandle, request: MintRequest) -> None:
    found = await (await handle.describe()).memo_value("content_hash", default="", type_hint=str)
    if found != request.content_hash():
        raise conflict(request)


def conflict(request: MintRequest) -> IdempotencyConflict:
    """The refusal of a key that is taken by other content."""
    return IdempotencyConflict(
        f"this key already stands for {request.id}, which asks for something else: "
        "use another key, or the same content"
    )


async def until_opened(
    handle: RequestHandle, is_written: Callable[[], Awaitable[bool]], limit_seconds: float
) -> bool:
    """Wait until the workflow has written the request; raises its refusal as one of our errors.

    Answers False when nobody did within the limit: the request is durable and will be opened later.
    """
    ending = asyncio.create_task(handle.result())
    try:
        async with asyncio.timeout(limit_seconds):
            while not await is_written():
                if ending.done():
                    await ending
                    return True
                await asyncio.sleep(_POLL_SECONDS)
            return True
    except TimeoutError:
        return False
    except WorkflowFailureError as error:
        raise domain_error(error.cause) from error
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
