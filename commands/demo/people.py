"""What the people of the demo do, through the same functions as the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from temporalio.client import Client

from commands.context import Cli
from commands.submitting import Submitter, prepare
from db import reads
from db.session import Database
from domain.approvals import DecisionOutcome, Verdict
from domain.errors import Refused
from domain.mint_request import MintRequest, MintStatus
from domain.records import RequestRecord
from domain.steps import AssignMessage
from settings import Settings
from starter import decisions
from starter.ids import new_decision_id, new_message_id
from starter.keys import load_key
from starter.requests import Wanted

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class People:
    """Everybody who acts in the demo, and their view of the requests."""

    cli: Cli
    settings: Settings
    database: Database
    client: Client
    submitter: Submitter

    async def submit(self, wanted: Wanted) -> MintRequest:
        """Ask for a mint."""
        request = prepare(wanted, self.settings)
        await self.submitter.submit(request, keyed=wanted.key is not None)
        return request

    async def resubmit(self, wanted: Wanted, ended: MintRequest) -> MintRequest:
        """Ask again for what has ended without a payment: a new request with fresh approvals."""
        return await self.submit(replace(wanted, key=None, resubmission_of=ended.id))

    async def approve(self, request: MintRequest, approvers: tuple[str, ...]) -> list[str]:
        """Let approvers sign, one after the other, until nothing is missing; answers who did."""
        signed = []
        for approver in approvers:
            outcome = await self._decide(request, Verdict.APPROVE, approver, "")
            signed.append(approver)
            if outcome.missing == 0 and outcome.missing_tier is None:
                break
        return signed

    async def reject(self, request: MintRequest, approver: str, reason: str) -> None:
        """Let an approver refuse; raises Refused."""
        await self._decide(request, Verdict.REJECT, approver, reason)

    async def claim(self, request: MintRequest, approver: str) -> None:
        """Let an approver take the request over."""
        message = AssignMessage(actor=approver, assignee=approver, message_id=new_message_id())
        await decisions.send_assignment(self.client, request.id, "claim", message)

    async def until(self, request: MintRequest, reached: Callable[[RequestRecord], bool]) -> RequestRecord:
        """Wait until the request has got so far; the caller bounds the time."""
        while True:
            record = await self.look(request)
            if record is not None and reached(record):
                return record
            await asyncio.sleep(_LOOK_SECONDS)

    async def until_status(self, request: MintRequest, status: MintStatus) -> None:
        """Wait until the request is in this state; raises Refused when it ends in another one."""
        record = await self.until(request, lambda found: found.status is status or found.ended_at is not None)
        if record.status is not status:
            raise Refused(f"ended as {record.status} instead of {status}: {record.reason}")

    async def look(self, request: MintRequest) -> RequestRecord | None:
        """The request as the database stands."""
        async with self.database.transaction() as tx:
            return await reads.request(tx, request.id)

    async def _decide(
        self, request: MintRequest, verdict: Verdict, approver: str, reason: str
    ) -> DecisionOutcome:
        decision = decisions.make_decision(
            decision_id=new_decision_id(),
            request_id=request.id,
            digest=request.digest(),
            verdict=verdict,
            approver=approver,
            reason=reason,
            issued_at=datetime.now(UTC),
        )
        signed = decisions.sign_decision(decision, load_key(self.cli.key_file(approver)))
        outcome = await decisions.decide(self.client, request.id, signed, decision.decision_id)
        if not outcome.accepted:
            raise Refused(f"{approver}'s decision was refused: {outcome.message}")
        return outcome
