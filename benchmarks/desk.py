"""Submitting and approving as clients do, in bulk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.client import Client

from db import reads
from db.session import Database
from domain.amounts import Asset
from domain.approvals import Verdict, match_rule
from domain.escalation import EscalationPolicy
from domain.mint_request import MintRequest
from domain.steps import MintOrder
from starter import decisions
from starter.ids import new_decision_id, new_request_id
from starter.keys import load_key
from starter.local.layout import DataDir
from starter.local.stack import RunningStack
from starter.requests import RequestHandle, start_request
from starter.temporal import connect


@dataclass(frozen=True)
class Desk:
    """A running stack, with what is needed to submit to it and decide."""

    stack: RunningStack
    client: Client
    database: Database
    alice: Ed25519PrivateKey

    async def orders(
        self, count: int, policy: EscalationPolicy | None = None, created_at: datetime | None = None
    ) -> list[MintOrder]:
        """So many different requests of one unit each, with the tenant's terms pinned."""
        demo = self.stack.demo
        asset = Asset.parse(demo.asset)
        async with self.database.transaction() as tx:
            rule = match_rule(await reads.rules(tx, demo.tenant), demo.tenant, asset, 10_000_000)
            chosen = policy or await reads.current_policy(tx, demo.tenant)
        assert chosen is not None
        return [
            MintOrder(
                request=MintRequest(
                    id=new_request_id(),
                    tenant=demo.tenant,
                    network_passphrase=self.stack.addresses.network_passphrase,
                    asset=asset,
                    amount=10_000_000,
                    destination=demo.destination,
                    topic="treasury-eu",
                    requester="rita",
                ),
                policy=chosen,
                rule=rule,
                created_at=created_at,
            )
            for _ in range(count)
        ]

    async def submit(self, order: MintOrder) -> RequestHandle:
        """Start one request."""
        return await start_request(self.client, order, keyed=False)

    async def approve(self, request: MintRequest) -> None:
        """Send alice's signed approval as the durable signal."""
        decision = decisions.make_decision(
            decision_id=new_decision_id(),
            request_id=request.id,
            digest=request.digest(),
            verdict=Verdict.APPROVE,
            approver="alice",
            reason="",
            issued_at=datetime.now(UTC),
        )
        signed = decisions.sign_decision(decision, self.alice)
        await decisions.send_signal(self.client, request.id, Verdict.APPROVE, signed)


@asynccontextmanager
async def open_desk(stack: RunningStack, data_dir: Path) -> AsyncIterator[Desk]:
    """A desk on a running stack."""
    client = await connect(address=stack.addresses.temporal_address)
    database = Database(stack.addresses.database_url)
    try:
        yield Desk(stack, client, database, load_key(DataDir(data_dir).key("alice")))
    finally:
        await database.close()


async def at_once(jobs: Iterable[Callable[[], Awaitable[None]]], in_flight: int) -> None:
    """Run all jobs, at most so many at the same time."""
    gate = asyncio.Semaphore(in_flight)

    async def gated(job: Callable[[], Awaitable[None]]) -> None:
        async with gate:
            await job()

    await asyncio.gather(*(gated(job) for job in jobs))
