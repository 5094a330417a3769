"""A family of channel accounts: a mnemonic phrase, a funding account, and the activities over both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import text
from stellar_sdk import Keypair
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.stellar.activities import StellarActivities
from activities.stellar.channel_accounts import ChannelAccountActivities
from activities.stellar.horizon import Horizon
from activities.stellar.rules import SubmissionRules
from activities.stellar.signers import KeyFamily, LocalSigner, Wallet
from db.reads.stellar_channels import channel_accounts
from db.session import Database
from domain.channel_accounts import (
    ACCOUNTS_PER_TRANSACTION,
    BatchStep,
    ChannelRecord,
    ChannelState,
    CreateOrder,
    TopUpOrder,
    TopUpStep,
)
from domain.errors import Unavailable
from tests.support.ledger import MintLedger, mint_ledger
from tests.support.mortal import Killed
from tests.support.postgres import Seeded
from worker import maintenance_worker, stellar_worker

ATTEMPTS = 1000
"""So often an activity may be tried again before a test gives up."""

Answer = TypeVar("Answer")


@dataclass
class Family:
    """One ledger, one database, one phrase, one funding account with friendbot's 10,000 units."""

    ledger: MintLedger
    seeded: Seeded
    horizon: Horizon
    phrase: str = field(default_factory=Keypair.generate_mnemonic_phrase)
    funder: Keypair = field(default_factory=Keypair.random)

    @property
    def database(self) -> Database:
        return self.seeded.database

    def account(self, index: int) -> str:
        """The account of a key index, as any SEP-5 wallet derives it."""
        return Keypair.from_mnemonic_phrase(self.phrase, index=index).public_key

    def wallet(self) -> Wallet:
        issuer, funder = LocalSigner(self.ledger.issuer), LocalSigner(self.funder)
        return Wallet(issuer, [], KeyFamily(self.phrase), funder)

    def activities(
        self,
        *,
        horizon: Any = None,
        database: Any = None,
        wallet: Wallet | None = None,
        rules: SubmissionRules | None = None,
    ) -> ChannelAccountActivities:
        """A worker's activities."""
        return ChannelAccountActivities(
            database or self.database,
            horizon or self.horizon,
            wallet or self.wallet(),
            rules or self.ledger.rules(),
        )

    async def create(
        self, count: int, worker: ChannelAccountActivities | None = None, balance: int = 50_000_000
    ) -> None:
        """What the workflow does; where `worker` dies another one goes on with the same activity."""
        order = CreateOrder(count=count, balance=balance)
        async with self.ledger.closing():
            planned = await self._survive(lambda crew: crew.plan_channels, order, worker)
            for start in range(0, len(planned), ACCOUNTS_PER_TRANSACTION):
                batch = planned[start : start + ACCOUNTS_PER_TRANSACTION]
                step = BatchStep(channels=batch, balance=balance)
                while signed := await self._survive(lambda crew: crew.fund_channels, step, worker):
                    delivered = await self._survive(lambda crew: crew.deliver_funding, signed, worker)
                    step = step.model_copy(update={"at_ledger": delivered.ledger})

    async def top_up(
        self, order: TopUpOrder, worker: ChannelAccountActivities | None = None
    ) -> dict[str, int]:
        """What the workflow does; answers what was paid to whom."""
        paid: dict[str, int] = {}
        step = TopUpStep(order=order)
        async with self.ledger.closing():
            while True:
                answer = await self._survive(lambda crew: crew.top_up_channels, step, worker)
                if answer.funding is None:
                    return paid
                delivered = await self._survive(lambda crew: crew.deliver_funding, answer.funding, worker)
                step = step.model_copy(update={"at_ledger": delivered.ledger})
                for payment in answer.funding.payments if delivered.landed else ():
                    paid[payment.account] = paid.get(payment.account, 0) + payment.amount

    async def _survive(
        self,
        choose: Callable[[ChannelAccountActivities], Callable[[Any], Awaitable[Answer]]],
        argument: Any,
        worker: ChannelAccountActivities | None,
    ) -> Answer:
        member = worker or self.activities()
        for _ in range(ATTEMPTS):
            try:
                return await ActivityEnvironment().run(choose(member), argument)
            except Killed:
                # another worker goes on
                member = self.activities()
            except Unavailable:
                # as Temporal does
                await asyncio.sleep(0.02)
        raise AssertionError(f"still failing after {ATTEMPTS} attempts")

    async def channels(self) -> list[ChannelRecord]:
        """Every channel account that the database knows."""
        async with self.database.transaction() as tx:
            return await channel_accounts(tx)

    async def states(self) -> dict[int | None, ChannelState]:
        """State by key index."""
        return {channel.key_index: channel.state for channel in await self.channels()}

    async def run(self, statement: str, **params: Any) -> None:
        """Type SQL."""
        async with self.database.transaction() as tx:
            await tx.execute(text(statement), params)

    async def on_ledger(self, account: str) -> dict[str, Any]:
        """Horizon's account document."""
        return await self.ledger.server.accounts().account_id(account).call()

    async def native(self, account: str) -> int:
        """Native stroops that an account holds."""
        balances = (await self.on_ledger(account))["balances"]
        [line] = [line for line in balances if line["asset_type"] == "native"]
        return int(line["balance"].replace(".", ""))

    async def creations(self) -> list[str]:
        """Accounts that the funding account has created, in order."""
        page = await self.ledger.server.operations().for_account(self.funder.public_key).limit(200).call()
        return [
            record["account"]
            for record in page["_embedded"]["records"]
            if record["type"] == "create_account" and record["funder"] == self.funder.public_key
        ]


@asynccontextmanager
async def family_on(seeded: Seeded, *, funded: bool = True, **options: Any) -> AsyncIterator[Family]:
    """A family over a ledger of its own; `options` as for `mint_ledger`."""
    async with mint_ledger(**options) as ledger:
        horizon = Horizon(ledger.url)
        family = Family(ledger, seeded, horizon)
        if funded:
            await ledger.fund(family.funder)
        try:
            yield family
        finally:
            await horizon.close()


@asynccontextmanager
async def crew_of(family: Family, client: Client) -> AsyncIterator[None]:
    """The workers of the queues `maintenance` and `stellar`, as worker.py builds them."""
    stellar = StellarActivities(family.database, family.horizon, family.wallet(), family.ledger.rules())
    async with (
        maintenance_worker(client, family.database),
        stellar_worker(client, stellar, family.activities()),
    ):
        yield
