"""What people do in a run: submit, submit again, approve, approve again, reject."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stellar_sdk import Keypair
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from benchmarks.chaos.plan import Ask, Course
from benchmarks.desk import Desk
from db import reads
from db.writes import dictionaries
from domain.amounts import Asset
from domain.approvals import ApprovalRule, SignedDecision, Verdict, match_rule
from domain.errors import IdempotencyConflict, NotOpen, Unavailable
from domain.escalation import EscalationPolicy
from domain.ledger_options import LedgerOptions
from domain.mint_request import MintRequest, request_id_for_key, workflow_id
from domain.steps import MintOrder, MintResult
from starter import decisions
from starter.ids import new_decision_id
from starter.requests import RequestHandle, start_request

Answer = TypeVar("Answer")

AGAIN_SECONDS = 0.3
_PASSING = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.UNKNOWN,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.RESOURCE_EXHAUSTED,
    }
)
APPROVERS = ("alice", "carol")
"""One of each tier; the second signs where the rule wants two."""


@dataclass
class Case:
    """A request of the run, and when what happened to it; moments of the local monotonic clock."""

    ask: Ask
    request: MintRequest
    handle: RequestHandle | None = None
    signed: list[tuple[Verdict, SignedDecision]] = field(default_factory=list)
    """Every decision on it."""
    approved_at: float | None = None
    """The last approval that its rule wants was accepted by Temporal."""
    ended_at: float | None = None
    """It was first seen to have ended."""


@dataclass
class Clients:
    """Everybody who asks and decides; none of them gives up because a server is away."""

    desk: Desk
    keys: dict[str, Ed25519PrivateKey]
    policy: EscalationPolicy
    rules: Sequence[ApprovalRule]
    cases: list[Case] = field(default_factory=list)
    conflicts: int = 0
    """Other content under a key that was taken: how often it was refused."""
    accepted_conflicts: list[str] = field(default_factory=list)
    """Other content under a key that was taken, and nobody objected."""

    def case(self, seed: int, ask: Ask, begun: datetime) -> Case:
        """The request of an ask in a run that began then: the same id for the same seed."""
        deadline = begun + timedelta(seconds=ask.at + ask.deadline)
        demo = self.desk.stack.demo
        request = MintRequest(
            id=request_id_for_key(demo.tenant, f"chaos {seed} {ask.number}"),
            tenant=demo.tenant,
            network_passphrase=self.desk.stack.addresses.network_passphrase,
            asset=Asset.parse(demo.asset),
            amount=ask.amount,
            destination=_stranger(seed, ask.number) if ask.course is Course.STRAY else demo.destination,
            topic="treasury-eu",
            requester="rita",
            ledger_deadline=deadline if ask.course is Course.HURRIED else None,
        )
        case = Case(ask, request)
        self.cases.append(case)
        return case

    async def use_tickets(self) -> None:
        """From now on the ledger itself shall refuse a second mint of a request."""
        await persist(self._switch_tickets_on)

    async def _switch_tickets_on(self) -> None:
        options, now = LedgerOptions(one_shot_ticket=True), datetime.now(UTC)
        async with self.desk.database.transaction() as tx:
            await dictionaries.set_ledger_options(
                tx, tenant=self.desk.stack.demo.tenant, options=options, actor="adam", at=now
            )

    async def see_through(self, case: Case) -> None:
        """Submit and decide as planned, from now on."""
        await self._submit(self._order(case))
        case.handle = workflow_of(self.desk.client, case.request.id)
        case.signed = list(self._decisions(case))
        async with asyncio.TaskGroup() as group:
            for delay in case.ask.submissions:
                group.create_task(self._submit_again(case, delay))
            if case.ask.other_content:
                group.create_task(self._ask_for_more(case))
            for verdict, signed in case.signed:
                for delay in case.ask.approvals:
                    group.create_task(self._decide(case, verdict, signed, delay))

    async def decide_again(self, case: Case) -> None:
        """The same decisions once more, from people who see that the request still waits."""
        for verdict, signed in case.signed:
            await self._decide(case, verdict, signed, 0.0)

    async def _submit(self, order: MintOrder) -> RequestHandle:
        return await persist(lambda: start_request(self.desk.client, order, keyed=True))

    def _order(self, case: Case) -> MintOrder:
        request = case.request
        rule = match_rule(self.rules, request.tenant, request.asset, request.amount)
        return MintOrder(request=request, policy=self.policy, rule=rule)

    async def _submit_again(self, case: Case, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._submit(self._order(case))

    async def _ask_for_more(self, case: Case) -> None:
        more = case.request.model_copy(update={"amount": case.request.amount + 1})
        order = self._order(case).model_copy(update={"request": more})
        try:
            await self._submit(order)
        except IdempotencyConflict:
            self.conflicts += 1
            return
        self.accepted_conflicts.append(case.request.id)

    def _decisions(self, case: Case) -> Iterator[tuple[Verdict, SignedDecision]]:
        wanted = self._order(case).rule.approvals
        if case.ask.course is not Course.REJECTED:
            for approver in APPROVERS[:wanted]:
                yield Verdict.APPROVE, self._signed(case.request, Verdict.APPROVE, approver)
        if case.ask.course in (Course.REJECTED, Course.CONTESTED):
            yield Verdict.REJECT, self._signed(case.request, Verdict.REJECT, "bob")

    def _signed(self, request: MintRequest, verdict: Verdict, approver: str) -> SignedDecision:
        decision = decisions.make_decision(
            decision_id=new_decision_id(),
            request_id=request.id,
            digest=request.digest(),
            verdict=verdict,
            approver=approver,
            reason="" if verdict is Verdict.APPROVE else "not today",
            issued_at=datetime.now(UTC),
        )
        return decisions.sign_decision(decision, self.keys[approver])

    async def _decide(self, case: Case, verdict: Verdict, signed: SignedDecision, delay: float) -> None:
        await asyncio.sleep(delay)
        try:
            await persist(lambda: decisions.send_signal(self.desk.client, case.request.id, verdict, signed))
        except NotOpen:
            # a later copy of a decision that has done its work
            return
        if delay == case.ask.approvals[0] and verdict is Verdict.APPROVE:
            case.approved_at = time.monotonic()


async def open_office(desk: Desk, keys: dict[str, Ed25519PrivateKey]) -> Clients:
    """The clients of a desk, with the tenant's rules and policy."""
    tenant = desk.stack.demo.tenant
    async with desk.database.transaction() as tx:
        policy = await reads.current_policy(tx, tenant)
        rules = await reads.rules(tx, tenant)
    if policy is None:
        raise RuntimeError(f"tenant {tenant} has no policy")
    return Clients(desk, keys, policy, rules)


def workflow_of(client: Client, request_id: str) -> RequestHandle:
    """A request's newest run, whichever that is: what was started may not be what ends."""
    return client.get_workflow_handle(workflow_id(request_id), result_type=MintResult)


async def persist(action: Callable[[], Awaitable[Answer]]) -> Answer:
    """Do it again, exactly the same, until a server answers; raises what a server refuses."""
    while True:
        try:
            return await action()
        except RPCError as error:
            if error.status not in _PASSING:
                raise
        except Unavailable:
            pass
        await asyncio.sleep(AGAIN_SECONDS)


def _stranger(seed: int, number: int) -> str:
    """An account that does not exist, the same for the same seed."""
    return Keypair.from_raw_ed25519_seed(
        hashlib.sha256(f"stray {seed} {number}".encode()).digest()
    ).public_key
