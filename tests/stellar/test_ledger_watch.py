"""What a process remembers: shared reads, the pace of ledgers, requests between two activities."""

import asyncio
from datetime import UTC, datetime

from activities.stellar.answers import Answer, Meaning
from activities.stellar.handover import MOST, Handover, Sent
from activities.stellar.ledger_watch import LONGEST_PAUSE, SHORTEST_PAUSE, LedgerWatch
from activities.stellar.recent import Recent
from domain.approvals import ApprovalRule
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from tests.support.mints import a_request
from tests.support.postgres import POLICY

TAKEN = Answer(Meaning.TAKEN, "PENDING")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Counter:
    """Answers how often it was asked, a moment later."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> int:
        self.asked += 1
        await asyncio.sleep(0.01)
        return self.asked


async def test_many_readers_share_one_read():
    """Whoever asks while somebody reads takes that answer."""
    recent = Recent(Counter())
    assert await asyncio.gather(*(recent.get(60) for _ in range(20))) == [1] * 20


async def test_a_value_that_is_too_old_is_read_again():
    """Each caller says how old an answer may be."""
    recent = Recent(Counter())
    assert [await recent.get(60), await recent.get(60), await recent.get(0)] == [1, 1, 2]


async def test_a_failed_read_is_not_remembered():
    """The next caller asks again."""
    answers = iter([OSError("away"), 7])

    async def read() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    recent = Recent(read)
    first = await asyncio.gather(recent.get(60), return_exceptions=True)
    assert (type(first[0]), await recent.get(60)) == (OSError, 7)


async def test_the_pause_is_never_too_short_nor_too_long(ledger, horizon):
    """A few looks a ledger, at most one a second however slow ledgers are."""
    watch = LedgerWatch(horizon, ledger.issuer.public_key)
    before = watch.pause()
    for _ in range(3):
        await ledger.close()
        await watch.newest(0)
        assert SHORTEST_PAUSE <= watch.pause() <= LONGEST_PAUSE
    assert before == SHORTEST_PAUSE


async def test_the_highest_ledger_never_falls(ledger, horizon):
    """An answer from a node behind does not make the process forget what it has seen."""
    watch = LedgerWatch(horizon, ledger.issuer.public_key)
    newest = await watch.newest(0)
    watch.saw(newest.sequence - 2)
    assert watch.highest == newest.sequence
    watch.saw(newest.sequence + 2)
    assert watch.highest == newest.sequence + 2


def a_sent_request(number: int) -> Sent:
    """A request of that number whose envelope was taken."""
    record = RequestRecord(
        request=a_request(id=f"mr_{number:026d}"),
        policy=POLICY,
        rule=ApprovalRule(tenant="acme", position=1, approvals=1),
        status=MintStatus.SUBMITTING,
        status_since=NOW,
        version=3,
        created_at=NOW,
        expires_at=NOW,
        last_activity_at=NOW,
    )
    return Sent(record, TAKEN)


def test_a_handed_over_request_is_taken_once():
    """A second attempt of `settle` reads the database."""
    handover, sent = Handover(), a_sent_request(1)
    handover.put(sent)
    assert [handover.take(sent.record.request.id) for _ in range(2)] == [sent, None]


def test_the_handover_forgets_the_oldest():
    """Requests that settle elsewhere must not pile up."""
    handover = Handover()
    sent = [a_sent_request(number) for number in range(MOST + 1)]
    for each in sent:
        handover.put(each)
    assert handover.take(sent[0].record.request.id) is None
    assert handover.take(sent[-1].record.request.id) is sent[-1]
