"""Submitting mint requests: check everything, pin rule and policy, start, and wait until it is open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.client import Client

from commands.context import Cli
from commands.documents import Document
from db import reads
from db.session import Database, Transaction
from domain.approvals import ApprovalRule, match_rule
from domain.errors import ConfigurationError, InvalidInput, NotFound, Refused
from domain.escalation import EscalationPolicy
from domain.mint_request import MintRequest, MintStatus, utc_text, workflow_id
from domain.records import RequestRecord
from domain.steps import MintOrder
from settings import Settings
from starter.requests import Wanted, build_request, conflict, start_request, until_opened
from starter.temporal import reachable, worker_polls

OPEN_SECONDS = 5.0
"""How long `submit` waits for the workflow to open the request."""


@dataclass(frozen=True)
class Receipt:
    """What the submitter gets."""

    request: MintRequest
    status: MintStatus
    opened: bool
    """False: durable, but no worker has opened it yet."""

    def document(self) -> Document:
        """As `submit --json` gives it."""
        return {
            "id": self.request.id,
            "track_number": self.request.track_number,
            "workflow_id": workflow_id(self.request.id),
            "status": self.status.value,
            "opened": self.opened,
            "summary": self.request.summary,
        }

    def text(self) -> str:
        """The same for people."""
        lines = [
            f"{self.request.id}  {self.status}  {self.request.summary}",
            f"track number {self.request.track_number}, workflow {workflow_id(self.request.id)}",
        ]
        if not self.opened:
            lines.append("accepted and durable; it will be opened when a worker runs ('mintkeeper worker')")
        return "\n".join(lines)


def prepare(wanted: Wanted, settings: Settings) -> MintRequest:
    """Check what needs no database; raises InvalidInput, ConfigurationError."""
    request = build_request(wanted, settings.network_passphrase)
    if not settings.network_passphrase:
        raise ConfigurationError(
            "no network is configured: set MINTKEEPER_NETWORK_PASSPHRASE, or run 'mintkeeper up'"
        )
    return request


@asynccontextmanager
async def open_submitter(cli: Cli) -> AsyncIterator[Submitter]:
    """A submitter on the CLI's database and Temporal; raises ConfigurationError, Unavailable."""
    async with cli.database() as database:
        # asked first: what is down is said before anything starts
        await database.ping()
        yield Submitter(database, await cli.temporal(), cli.settings())


class Submitter:
    """Submits any number of requests over one database pool and one Temporal client."""

    def __init__(self, database: Database, client: Client, settings: Settings) -> None:
        self._database = database
        self._client = client
        self._settings = settings

    async def submit(self, request: MintRequest, *, keyed: bool) -> Receipt:
        """Start the request, or find the one that its key stands for.

        Raises NotFound for an unknown tenant, topic or user; Refused when no rule or policy allows it;
        IdempotencyConflict; Unavailable; and whatever the workflow refuses when it opens the request.
        """
        async with self._database.transaction() as tx:
            found = await reads.request(tx, request.id) if keyed else None
            if found is not None:
                return _same(found, request)
            check_deadline(request, datetime.now(UTC))
            await check_names(tx, request)
            rule, policy = await terms(tx, request)
        order = MintOrder(request=request, policy=policy, rule=rule, sla_scale=self._settings.sla_scale)
        async with reachable(self._client):
            handle = await start_request(self._client, order, keyed=keyed)
            limit = OPEN_SECONDS if await worker_polls(self._client) else 0.0
            opened = await until_opened(handle, lambda: self._written(request), limit)
        return Receipt(request, MintStatus.PENDING, opened)

    async def _written(self, request: MintRequest) -> bool:
        """Tell whether it is written; raises IdempotencyConflict when something else took its id."""
        async with self._database.transaction() as tx:
            found = await reads.request(tx, request.id)
        return found is not None and _same(found, request).opened


def _same(found: RequestRecord, request: MintRequest) -> Receipt:
    if found.request.content_hash() != request.content_hash():
        raise conflict(request)
    return Receipt(found.request, found.status, opened=True)


def check_deadline(request: MintRequest, now: datetime) -> None:
    """Raise InvalidInput for a deadline that is past: nobody should be asked to approve in vain."""
    deadline = request.ledger_deadline
    if deadline is not None and deadline <= now:
        raise InvalidInput(
            f"deadline {utc_text(deadline)} is past: give a later one with --deadline", "deadline"
        )


async def check_names(tx: Transaction, request: MintRequest) -> None:
    """Raise NotFound for an unknown tenant, topic or requester, Refused for one that is not active."""
    tenants = [tenant.code for tenant in await reads.tenants(tx) if tenant.active]
    if request.tenant not in tenants:
        raise NotFound(f"unknown tenant {request.tenant!r}: there are {_list(tenants)}")
    topics = [topic.code for topic in await reads.topics(tx, request.tenant) if topic.active]
    if request.topic not in topics:
        raise NotFound(
            f"unknown topic {request.topic!r} of tenant {request.tenant}: there are {_list(topics)}"
        )
    user = await reads.signer(tx, request.tenant, request.requester)
    if user is None:
        raise NotFound(
            f"unknown user {request.requester!r} of tenant {request.tenant}: see 'mintkeeper user list'"
        )
    if not user.active:
        raise Refused(f"{request.requester} is not active")


async def terms(tx: Transaction, request: MintRequest) -> tuple[ApprovalRule, EscalationPolicy]:
    """The rule and the policy that this request is pinned to; raises Refused when there is none."""
    rule = match_rule(await reads.rules(tx, request.tenant), request.tenant, request.asset, request.amount)
    policy = await reads.current_policy(tx, request.tenant)
    if policy is None:
        raise Refused(
            f"tenant {request.tenant} has no escalation policy: publish one with 'mintkeeper policy publish'"
        )
    return rule, policy


def _list(names: list[str]) -> str:
    return ", ".join(sorted(names)) or "none yet"
