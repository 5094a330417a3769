"""Approved requests in a real database, and the ledger activities run over them as Temporal would."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import text
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.stellar.activities import StellarActivities
from activities.stellar.horizon import Horizon
from activities.stellar.rules import SubmissionRules
from db import reads
from db.session import Database
from db.writes.decisions import record_approval
from db.writes.dictionaries import set_ledger_options
from db.writes.requests import open_request
from domain.approvals import Approval, Decision, Verdict, match_rule
from domain.ledger_options import LedgerOptions
from domain.mint_request import MintRequest, request_id_for_key
from domain.records import RequestRecord
from domain.steps import SubmitAnswer, SubmitStep
from domain.submission import SubmissionResult
from settings import TESTNET_PASSPHRASE
from starter.decisions import sign_decision
from tests.support.ledger import MintLedger, mint_ledger
from tests.support.postgres import Seeded

ATTEMPTS = 1000
"""So often a step may be tried again before a test gives up; no fault here lasts as long."""

Answer = TypeVar("Answer")


@dataclass
class Minting:
    """One ledger, one database, one Horizon client; activities as often as wanted."""

    ledger: MintLedger
    seeded: Seeded
    horizon: Horizon

    @property
    def database(self) -> Database:
        """The database of the demo tenant."""
        return self.seeded.database

    async def approved(self, key: str = "first", **changes: Any) -> MintRequest:
        """A request for 2500 EURT to the holder that rita made and alice has approved."""
        values = {
            "id": request_id_for_key(self.seeded.tenant, key),
            "tenant": self.seeded.tenant,
            "network_passphrase": TESTNET_PASSPHRASE,
            "asset": self.ledger.asset,
            "amount": 25_000_000_000,
            "destination": self.ledger.holder.public_key,
            "topic": "treasury-eu",
            "requester": "rita",
        }
        request = MintRequest(**values | changes)
        now = datetime.now(UTC)
        async with self.database.transaction() as tx:
            rules = await reads.rules(tx, request.tenant)
            record = await open_request(
                tx,
                request=request,
                policy=self.seeded.policy,
                rule=match_rule(rules, request.tenant, request.asset, request.amount),
                sla_scale=1,
                created_at=now,
                expires_at=now + timedelta(days=1),
                run_id=f"run-{key}",
            )
            decision = hashlib.sha256(request.id.encode()).hexdigest()[:32]
            approval = Approval(decision_id=decision, approver="alice", tier=1, at=now)
            await record_approval(
                tx,
                record=record,
                approval=approval,
                envelope=self._signed(request, decision, now),
                satisfied=True,
                at=now,
            )
        return request

    def _signed(self, request: MintRequest, decision_id: str, at: datetime) -> dict[str, Any]:
        """The envelope of alice's approval."""
        decision = Decision(
            decision_id=decision_id,
            request_id=request.id,
            request_digest=request.digest(),
            verdict=Verdict.APPROVE,
            approver="alice",
            issued_at=at,
        )
        return sign_decision(decision, self.seeded.keys["alice"]).model_dump(mode="json", by_alias=True)

    async def allow(self, **options: Any) -> None:
        """What the tenant allows on the ledger from now on, as its admin says."""
        async with self.database.transaction() as tx:
            await set_ledger_options(
                tx,
                tenant=self.seeded.tenant,
                options=LedgerOptions(**options),
                actor="adam",
                at=datetime.now(UTC),
            )

    def activities(
        self,
        *,
        horizon: Horizon | None = None,
        database: Database | None = None,
        rules: SubmissionRules | None = None,
        first_looks: float = 0.0,
        line: float = 0.0,
    ) -> StellarActivities:
        """A worker's activities, with nothing remembered from another worker.

        With `first_looks` seconds `submit` looks for the payment too; without, that is left to `settle`.
        With `line` seconds it waits that long for a channel account.
        """
        return StellarActivities(
            database or self.database,
            horizon or self.horizon,
            self.ledger.wallet(),
            rules or self.ledger.rules(),
            first_looks_seconds=first_looks,
            line_seconds=line,
        )

    def hurried(self) -> StellarActivities:
        """A worker whose envelopes are valid for half a minute of ledger time: six ledgers."""
        return self.activities(rules=self.ledger.rules(window_seconds=30))

    async def submit(self, request: MintRequest, worker: StellarActivities | None = None) -> SubmitAnswer:
        """One attempt of the activity `submit`."""
        chosen = worker or self.activities()
        return await ActivityEnvironment().run(chosen.submit, SubmitStep(request_id=request.id))

    async def settle(self, request: MintRequest, worker: StellarActivities | None = None) -> SubmissionResult:
        """One attempt of the activity `settle`."""
        chosen = worker or self.activities()
        return await ActivityEnvironment().run(chosen.settle, SubmitStep(request_id=request.id))

    async def mint(self, request: MintRequest, worker: StellarActivities | None = None) -> SubmissionResult:
        """Both activities to the end, each tried again as Temporal would, while ledgers close."""
        chosen = worker or self.activities()
        async with self.ledger.closing():
            await tried(lambda: self.submit(request, chosen))
            return await tried(lambda: self.settle(request, chosen))

    async def record(self, request: MintRequest) -> RequestRecord:
        """The request as the database stands."""
        async with self.database.transaction() as tx:
            record = await reads.request(tx, request.id)
        assert record is not None
        return record

    async def channel_states(self) -> dict[str, str]:
        """State of every channel account that the database knows."""
        async with self.database.transaction() as tx:
            rows = await tx.execute(text("SELECT account, state FROM stellar_channels"))
            return {row.account: row.state for row in rows}

    async def answers(self, request: MintRequest) -> list[str]:
        """The words that every submission of the request was answered with, in order."""
        async with self.database.transaction() as tx:
            rows = await tx.execute(
                text("SELECT answer FROM submission_attempts WHERE request_id = :id ORDER BY id"),
                {"id": request.id},
            )
            return [row.answer for row in rows]


async def tried(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    """Try again after every error that Temporal would retry."""
    for _ in range(ATTEMPTS):
        try:
            return await attempt()
        except ApplicationError as error:
            if error.non_retryable:
                raise
            await asyncio.sleep(0.05)
    raise AssertionError(f"still failing after {ATTEMPTS} attempts")


@asynccontextmanager
async def minting_on(seeded: Seeded, channels: int = 0, **options: Any) -> AsyncIterator[Minting]:
    """The activities over a ledger of one's own; `options` as for `mint_ledger`."""
    async with mint_ledger(channels, **options) as ledger:
        horizon = Horizon(ledger.url)
        try:
            yield Minting(ledger, seeded, horizon)
        finally:
            await horizon.close()
