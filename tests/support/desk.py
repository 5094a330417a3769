"""A desk: submits mint requests to a real Temporal server, signs decisions, looks at what came of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from ulid import ULID

from activities.stellar.activities import StellarActivities
from activities.stellar.channel_accounts import ChannelAccountActivities
from activities.stellar.horizon import Horizon
from db import reads
from domain.approvals import Decision, SignedDecision, Verdict, match_rule
from domain.escalation import EscalationPolicy
from domain.mint_request import MintRequest, MintStatus
from domain.records import RequestRecord
from domain.steps import MintOrder, RequestView, Standing
from settings import TESTNET_PASSPHRASE
from starter import decisions
from starter.requests import start_request
from tests.domain.factories import make_request
from tests.support.acks import AUTHORITY
from tests.support.ledger import MintLedger, mint_ledger
from tests.support.postgres import Seeded
from tests.support.temporal import lasting_server
from worker import mint_worker, stellar_worker

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; never an expectation about speed."""


@dataclass
class Ticket:
    """A submitted request and its workflow."""

    request: MintRequest
    handle: WorkflowHandle

    @property
    def id(self) -> str:
        return self.request.id


@dataclass
class Desk:
    """Everything a test needs of one tenant."""

    env: WorkflowEnvironment
    client: Client
    seeded: Seeded
    tickets: list[Ticket] = field(default_factory=list)

    ledger: MintLedger | None = None
    window_seconds: int = 120

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """The workers of the queue `mint` and, if there is a ledger, `stellar`, as worker.py builds them."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(mint_worker(self.client, self.seeded.database, AUTHORITY))
            if self.ledger is not None:
                horizon = Horizon(self.ledger.url)
                stack.push_async_callback(horizon.close)
                rules = self.ledger.rules(window_seconds=self.window_seconds)
                means = (self.seeded.database, horizon, self.ledger.wallet(), rules)
                stellar, accounts = StellarActivities(*means), ChannelAccountActivities(*means)
                await stack.enter_async_context(stellar_worker(self.client, stellar, accounts))
            yield

    async def order(
        self, policy: EscalationPolicy | None = None, sla_scale: int = 1, created_at=None, **changes
    ) -> MintOrder:
        request = make_request(**({"id": f"mr_{ULID()}"} | self._ledger_values() | changes))
        async with self.seeded.database.transaction() as tx:
            rules = await reads.rules(tx, request.tenant)
        return MintOrder(
            request=request,
            policy=policy or self.seeded.policy,
            rule=match_rule(rules, request.tenant, request.asset, request.amount),
            sla_scale=sla_scale,
            created_at=created_at,
        )

    def _ledger_values(self) -> dict[str, Any]:
        if self.ledger is None:
            return {}
        return {
            "asset": self.ledger.asset,
            "destination": self.ledger.holder.public_key,
            "network_passphrase": TESTNET_PASSPHRASE,
        }

    async def submit(self, **changes) -> Ticket:
        """Start a request's workflow as the CLI does."""
        return await self.start(await self.order(**changes))

    async def start(self, order: MintOrder) -> Ticket:
        handle = await start_request(self.client, order, keyed=False)
        ticket = Ticket(order.request, handle)
        self.tickets.append(ticket)
        return ticket

    def decision(self, ticket: Ticket, by: str, verdict: Verdict = Verdict.APPROVE, **changes) -> Decision:
        values = {
            "decision_id": f"dc_{ULID()}",
            "request_id": ticket.id,
            "request_digest": ticket.request.digest(),
            "verdict": verdict,
            "approver": by,
            "reason": "" if verdict is Verdict.APPROVE else "because",
            "issued_at": datetime.now(UTC),
        }
        return Decision(**(values | changes))

    def sign(self, ticket: Ticket, by: str, verdict: Verdict = Verdict.APPROVE, **changes) -> SignedDecision:
        """A decision signed by `by`'s own key, or by `key_of`'s."""
        key = self.seeded.keys[changes.pop("key_of", by)]
        return decisions.sign_decision(self.decision(ticket, by, verdict, **changes), key)

    async def decide(self, ticket: Ticket, by: str, verdict: Verdict = Verdict.APPROVE, **changes):
        """Send a decision by update and return its outcome."""
        decision_id = changes.setdefault("decision_id", f"dc_{ULID()}")
        signed = self.sign(ticket, by, verdict, **changes)
        return await decisions.decide(self.client, ticket.id, signed, decision_id, PATIENCE)

    async def view(self, ticket: Ticket) -> RequestView:
        return await ticket.handle.query("view", result_type=RequestView)

    async def record(self, ticket: Ticket) -> RequestRecord | None:
        async with self.seeded.database.transaction() as tx:
            return await reads.request(tx, ticket.id)

    async def audit(self, ticket: Ticket) -> list[dict[str, Any]]:
        """The audit events of a request, oldest first, as what they say."""
        async with self.seeded.database.transaction() as tx:
            rows = await tx.execute(
                text("SELECT body FROM audit_events WHERE request_id = :id ORDER BY seq"), {"id": ticket.id}
            )
            return [json.loads(row.body) for row in rows]

    async def kinds(self, ticket: Ticket) -> list[str]:
        return [event["kind"] for event in await self.audit(ticket)]

    async def refusals(self, ticket: Ticket) -> list[str]:
        """The reasons of refused decisions."""
        events = await self.audit(ticket)
        return [event["details"]["reason"] for event in events if event["kind"] == "decision.refused"]

    async def until(self, ticket: Ticket, reached: Callable[[RequestRecord], bool]) -> RequestRecord:
        """Wait until the database shows what is wanted."""
        async with asyncio.timeout(PATIENCE):
            while True:
                record = await self.record(ticket)
                if record is not None and reached(record):
                    return record
                await asyncio.sleep(0.05)

    async def until_status(self, ticket: Ticket, status: MintStatus) -> RequestRecord:
        return await self.until(ticket, lambda record: record.status is status)

    async def until_refused(self, ticket: Ticket, count: int = 1) -> list[str]:
        """Wait for so many refused decisions and return their reasons."""
        async with asyncio.timeout(PATIENCE):
            while len(reasons := await self.refusals(ticket)) < count:
                await asyncio.sleep(0.05)
            return reasons

    async def standing(self, ticket: Ticket) -> Standing:
        record = await self.record(ticket)
        assert record is not None
        return Standing.of(record)

    async def close(self) -> None:
        """End what is still running: servers are shared by the tests of a session."""
        for ticket in self.tickets:
            try:
                await ticket.handle.terminate("the test is over")
            except RPCError:
                continue


@asynccontextmanager
async def _open_desk(
    env: WorkflowEnvironment, seeded: Seeded, ledger: MintLedger | None = None
) -> AsyncIterator[Desk]:
    desk = Desk(env, env.client, seeded, ledger=ledger)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(desk.close)
        yield desk


@pytest_asyncio.fixture
async def desk(temporal_server: WorkflowEnvironment, seeded: Seeded) -> AsyncIterator[Desk]:
    """A desk on the wall clock, without a worker."""
    async with _open_desk(temporal_server, seeded) as opened:
        yield opened


@pytest_asyncio.fixture
async def skipping_desk(temporal_time_skipping: WorkflowEnvironment, seeded: Seeded) -> AsyncIterator[Desk]:
    """A desk whose workflows' clocks can be moved, without a worker."""
    async with _open_desk(temporal_time_skipping, seeded) as opened:
        yield opened


@pytest_asyncio.fixture
async def minting_desk(temporal_server: WorkflowEnvironment, seeded: Seeded) -> AsyncIterator[Desk]:
    """A desk with a sandbox ledger that closes as soon as something waits, and three channel accounts."""
    async with mint_ledger(3, interval=0) as ledger, _open_desk(temporal_server, seeded, ledger) as opened:
        yield opened


@pytest_asyncio.fixture
async def deserted(seeded: Seeded, tmp_path: Path) -> AsyncIterator[tuple[Desk, Ticket]]:
    """A desk and its PENDING request, after Temporal was started anew: no worker has asked for anything."""
    file = tmp_path / "temporal.db"
    async with mint_ledger(3, interval=0) as ledger:
        async with lasting_server(file) as env:
            before = Desk(env, env.client, seeded, ledger=ledger)
            async with before.worker():
                ticket = await before.submit()
                await before.until_status(ticket, MintStatus.PENDING)
        async with lasting_server(file) as env:
            handle = env.client.get_workflow_handle(ticket.handle.id)
            yield Desk(env, env.client, seeded, ledger=ledger), Ticket(ticket.request, handle)


@pytest_asyncio.fixture
async def pending(desk: Desk) -> AsyncIterator[Ticket]:
    """A request that waits for its approvers, with its worker running."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        yield ticket
