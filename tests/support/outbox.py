"""A tenant's outbox with the provider console behind it."""

import asyncio
from datetime import UTC, datetime, timedelta

from aiohttp import ClientSession
from sqlalchemy import text
from ulid import ULID

from activities.notifications.asking import Asker
from activities.notifications.channels import ChannelSettings, build_channels
from activities.notifications.letter import Links
from activities.notifications.relay import Relay
from activities.notifications.sending import Sender
from db import reads
from db.writes import deliveries
from db.writes.requests import change_status, open_request
from domain.approvals import match_rule
from domain.errors import Unavailable
from domain.mint_request import MintStatus
from tests.domain.factories import make_request
from tests.support.postgres import Seeded

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; never an expectation about speed."""


class Outbox:
    """A tenant's outbox, the console its messages go to, and relays between them."""

    def __init__(self, seeded: Seeded, url: str, http: ClientSession):
        self.seeded, self.url, self.http = seeded, url, http
        self.database = seeded.database
        self.clients = []

    @property
    def slack_url(self):
        return f"{self.url}/slack/api/"

    def channels(self, **changed):
        settings = {"slack_bot_token": "xoxb-local", "slack_base_url": self.slack_url}
        built = build_channels(ChannelSettings(**settings | changed))
        self.clients += built.values()
        return built

    async def close(self):
        for client in self.clients:
            await client.close()

    def relay(self, channels=None, database=None, **options):
        return Relay(
            database or self.database,
            self.channels() if channels is None else channels,
            public_url="http://127.0.0.1:8080",
            temporal_url="http://127.0.0.1:8233",
            **options,
        )

    def sender(self):
        """A relay's inner part alone, so that a delivery can be as old as a test wants."""
        return Sender(self.channels(), Links("", "", "default"), Asker(self.database))

    async def open(self, count=1):
        """Open requests; each has one message for Slack and some in-app notices that are there already."""
        now = datetime.now(UTC)
        async with self.database.transaction() as tx:
            rules = await reads.rules(tx, self.seeded.tenant)
        requests = [make_request(id=f"mr_{ULID()}") for _ in range(count)]
        for request in requests:
            async with self.database.transaction() as tx:
                await open_request(
                    tx,
                    request=request,
                    policy=self.seeded.policy,
                    rule=match_rule(rules, request.tenant, request.asset, request.amount),
                    sla_scale=1,
                    created_at=now,
                    expires_at=now + timedelta(days=1),
                    run_id="run",
                )
        return requests

    async def cancel(self, request):
        async with self.database.transaction() as tx:
            record = await reads.lock_request(tx, request.id)
            await change_status(
                tx,
                record=record,
                to=MintStatus.CANCELLED,
                step="cancelled",
                kind="request.cancelled",
                actor="rita",
                at=datetime.now(UTC),
            )

    async def claim(self, lease_seconds=60):
        """Claim as a relay that then does nothing more."""
        async with self.database.transaction() as tx:
            return await deliveries.claim_due(
                tx, limit=100, lease_seconds=lease_seconds, now=datetime.now(UTC)
            )

    async def run(self, statement):
        """Run it, and again if it met a deadlock: relays write batches of rows, and try again too."""
        while True:
            try:
                async with self.database.transaction() as tx:
                    await tx.execute(text(statement))
                return
            except Unavailable as error:
                if "deadlock detected" not in error.message:
                    raise

    async def hasten(self):
        """Let the time of every retry and the end of every lease be now.

        Not while a relay is at work: what it has under way would be sent twice.
        """
        await self.run("UPDATE deliveries SET lease_until = now() WHERE lease_until IS NOT NULL")
        await self.hasten_retries()

    async def hasten_retries(self):
        """Let the time of every retry be now; what is under way goes on."""
        await self.run("UPDATE deliveries SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")
        await self.run("NOTIFY mintkeeper_deliveries")

    async def rows(self):
        """The rows for Slack."""
        async with self.database.transaction() as tx:
            found = await tx.execute(
                text("SELECT * FROM deliveries WHERE channel_kind = 'slack' ORDER BY id")
            )
            return found.all()

    async def until(self, state, attempt=1):
        """Wait until every row for Slack is in a state after so many attempts."""
        async with asyncio.timeout(PATIENCE):
            while True:
                rows = await self.rows()
                if all((row.state, row.attempt) == (state, attempt) for row in rows):
                    return rows
                await asyncio.sleep(0.02)

    async def attempts(self):
        """Outcome and detail of every attempt for Slack, in order."""
        async with self.database.transaction() as tx:
            query = (
                "SELECT a.* FROM delivery_attempts a JOIN deliveries d ON d.id = delivery_id "
                "WHERE channel_kind = 'slack' ORDER BY delivery_id, a.attempt"
            )
            return (await tx.execute(text(query))).all()

    async def fault(self, **fault):
        async with self.http.post("/faults", json={"provider": "slack"} | fault) as response:
            assert response.status == 201, await response.text()

    async def until_fault_met(self):
        """Wait until a call has run into the fault."""
        async with asyncio.timeout(PATIENCE):
            while True:
                async with self.http.get("/faults") as response:
                    if not await response.json():
                        return
                await asyncio.sleep(0.02)

    async def received(self):
        async with self.http.get("/messages") as response:
            return await response.json()

    async def received_ids(self):
        return [message["delivery_id"] for message in await self.received()]

    async def until_listening(self):
        """Wait until a connection to this database listens."""
        query = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query = 'LISTEN mintkeeper_deliveries'"
        )
        async with asyncio.timeout(PATIENCE):
            while True:
                # within one transaction PostgreSQL shows the same activity again
                async with self.database.transaction() as tx:
                    if await tx.scalar(query):
                        return
                await asyncio.sleep(0.02)

    async def break_connections(self):
        """Let the server end every connection to this database but the test's own."""
        await self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
