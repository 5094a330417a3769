"""200 requests whose stage falls due in the instant in which somebody acknowledges or decides them."""

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
from sqlalchemy import text

from db.writes import publication
from domain.ack import AckReceipt
from domain.approvals import DecisionOutcome, Verdict
from domain.errors import AckRefused
from domain.escalation import EscalationPolicy
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from sandbox.providers import running_providers
from starter import acks
from tests.support.acks import AUTHORITY, token_for
from tests.support.desk import Desk, Ticket
from tests.support.outbox import Outbox

RACES = 200
LEAD = timedelta(seconds=6)
"""From a request's submission to the moment of its race."""

APART = 0.08
"""Seconds between two races: each is about the same instant, not all of them about one."""

JITTER = timedelta(milliseconds=50)
GRACE = timedelta(seconds=1)
"""The promise: after so long nobody is told of a request that somebody is on."""

SLOW = 0.3
"""Seconds that the mail provider takes for an answer."""

PATIENCE = 60.0
SEED = 20261122
SETTLED = {"accepted", "delivered", "skipped"}
DELAYS = (int(LEAD.total_seconds()), 4 * 3600)
"""Seconds after which the stage is due: its message is written in that instant, or waits for it already."""


@dataclass
class Race:
    """One request, what was said to it, and when the answer had come."""

    ticket: Ticket
    token: str
    ack: AckReceipt | AckRefused | None = None
    decision: DecisionOutcome | None = None
    answered: list[datetime] = field(default_factory=list)
    """When those had their answer that have taken effect."""


async def publish(desk: Desk, delay_seconds: int) -> EscalationPolicy:
    """A policy whose second stage comes after that delay; it grants nobody anything here."""
    first, second, _ = desk.seeded.policy.stages
    stages = [first, second.model_copy(update={"delay_seconds": delay_seconds})]
    policy = desk.seeded.policy.model_copy(update={"id": f"race-{delay_seconds}", "stages": stages})
    async with desk.seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor="adam", at=datetime.now(UTC))
    return policy


async def run_race(desk: Desk, policies: list[EscalationPolicy], number: int, moments: random.Random) -> Race:
    """Submit; then acknowledge (even), or decide (odd), and every fourth time both."""
    policy = policies[number // 4 % len(policies)]
    due = datetime.now(UTC) + LEAD
    created_at = due - timedelta(seconds=policy.stages[1].delay_seconds)
    ticket = await desk.submit(policy=policy, created_at=created_at)
    await desk.until(ticket, lambda record: record.next_stage >= 1)
    race = Race(ticket, await token_for(desk.seeded.database, ticket.id))
    sides = [_acknowledge] if number % 2 == 0 else [_decide]
    if number % 4 == 3:
        sides = [_acknowledge, _decide]
    await asyncio.gather(*(_at(due + JITTER * moments.uniform(-1, 1), side, desk, race) for side in sides))
    return race


async def _at(moment: datetime, side, desk: Desk, race: Race) -> None:
    await asyncio.sleep(max((moment - datetime.now(UTC)).total_seconds(), 0))
    await side(desk, race)


async def _acknowledge(desk: Desk, race: Race) -> None:
    """As web server and command line do."""

    async def connect():
        return desk.client

    try:
        # None, left for later, would be no answer: it is asked with patience
        race.ack = await acks.acknowledge(connect, desk.seeded.database, AUTHORITY, race.token, PATIENCE)
    except AckRefused as refusal:
        race.ack = refusal
        return
    assert race.ack is not None
    race.answered.append(datetime.now(UTC))


async def _decide(desk: Desk, race: Race) -> None:
    race.decision = await desk.decide(race.ticket, "alice", Verdict.REJECT)
    race.answered.append(datetime.now(UTC))


def check_answers(race: Race, record: RequestRecord) -> None:
    """Nobody's word is lost: each has taken effect, or was refused with what is recorded."""
    if race.decision is not None:
        assert race.decision.accepted
    assert record.status is (MintStatus.PENDING if race.decision is None else MintStatus.REJECTED)
    if isinstance(race.ack, AckReceipt):
        assert (record.acknowledged_at, record.acknowledged_by) == (race.ack.acknowledged_at, "#mint")
        return
    assert record.acknowledged_at is None
    if race.ack is not None:
        assert (race.ack.reason, race.ack.recorded["status"]) == ("over", "REJECTED")


def check_message(race: Race, row, arrived: datetime | None) -> None:
    """Received once if it was sent, and not after somebody was told that nobody would be told."""
    assert (arrived is not None) == (row.state != "skipped"), row
    # that a request does not move is told the leads although somebody is on it
    if arrived is not None and (race.decision is not None or row.kind != "stalled"):
        assert arrived <= min(race.answered) + GRACE, (row, arrived, race)


async def stage_messages(desk: Desk) -> dict[str, list]:
    """By request every message of the stage in question, once nobody is about to send any of them."""
    query = "SELECT id, request_id, kind, state FROM deliveries WHERE stage = 1 AND channel_kind <> 'in-app'"
    async with asyncio.timeout(PATIENCE):
        while True:
            async with desk.seeded.database.transaction() as tx:
                rows = (await tx.execute(text(query))).all()
            if all(row.state in SETTLED for row in rows):
                break
            await asyncio.sleep(0.2)
    found = defaultdict(list)
    for row in rows:
        found[row.request_id].append(row)
    return found


async def test_a_stage_in_the_instant_of_an_ack_or_a_decision(desk):
    """Nobody is told a second after the answer, nothing is sent or run twice, and no word is lost."""
    moments = random.Random(SEED)
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        outbox = Outbox(desk.seeded, url, http)
        mail = {"sendgrid_host": f"{url}/sendgrid", "email_from": "mint@acme.example"}
        clients = outbox.channels(sendgrid_api_key="SG.local", **mail)
        # mails wait for each other for seconds, and most of them for somebody's answer
        await outbox.fault(provider="sendgrid", kind="slow", seconds=SLOW, count=100_000)
        policies = [await publish(desk, delay) for delay in DELAYS]
        async with desk.worker(), outbox.relay(clients).running():
            # one that fails ends the others, who would else wait for a worker that is gone
            async with asyncio.TaskGroup() as group:
                racing = []
                for number in range(RACES):
                    racing.append(group.create_task(run_race(desk, policies, number, moments)))
                    await asyncio.sleep(APART)
            races = [race.result() for race in racing]
            written = await stage_messages(desk)
            arrived = [message for message in await outbox.received() if not message["updates"]]
        await outbox.close()
    at = {message["delivery_id"]: datetime.fromisoformat(message["at"]) for message in arrived}
    assert len(at) == len(arrived), "a message was sent twice"
    outcomes = Counter()
    for race in races:
        record = await desk.record(race.ticket)
        check_answers(race, record)
        kinds = Counter(await desk.kinds(race.ticket))
        assert max(kinds.values()) == 1, (race.ticket.id, kinds)
        for row in written[race.ticket.id]:
            outcomes[row.state] += 1
            check_message(race, row, at.get(row.id))
    assert outcomes["accepted"], "no stage was faster than any answer: nothing was raced"
    assert outcomes["skipped"], "no answer was faster than any message: nothing was raced"
    await check_runs(desk)


async def check_runs(desk: Desk) -> None:
    """Temporal has run each request's workflow once."""
    runs = Counter()
    async with asyncio.timeout(PATIENCE):
        # the list lags a little behind
        while len(runs) < RACES:
            listed = desk.client.list_workflows("WorkflowType = 'MintRequest'")
            ours = {ticket.handle.id for ticket in desk.tickets}
            runs = Counter([found.id async for found in listed if found.id in ours])
    assert set(runs.values()) == {1}
