"""The two activities as Temporal sees them: errors to try again, heartbeats, shutdown, cancellation."""

import asyncio

import pytest
from stellar_sdk import Asset, Keypair, Payment
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from activities.stellar.horizon import Horizon
from activities.stellar.rules import SubmissionRules
from domain.mint_request import MintStatus
from domain.steps import SETTLE, SUBMIT, SubmitStep
from domain.submission import Outcome
from settings import PUBLIC_PASSPHRASE, TESTNET_PASSPHRASE, Settings
from tests.support.minting import minting_on, tried


async def error_of(attempt) -> ApplicationError:
    """The error of an attempt that Temporal will repeat."""
    with pytest.raises(ApplicationError) as caught:
        await attempt
    assert not caught.value.non_retryable
    return caught.value


def test_the_activities_have_the_names_the_workflow_calls(minting):
    """Names are part of the contract between workflow and activities."""
    worker = minting.activities()
    names = [
        getattr(method, "__temporal_activity_definition").name for method in (worker.submit, worker.settle)
    ]
    assert names == [SUBMIT, SETTLE]


async def test_without_a_free_channel_temporal_tries_again_soon(seeded):
    """Expected and short: benign, with a delay of its own, spread between half a second and one."""
    async with minting_on(seeded, channels=1) as minting:
        await minting.submit(await minting.approved("first"))
        second = await minting.approved("second")
        error = await error_of(minting.submit(second))
        assert error.type == "no_channel_free"
        assert error.category is ApplicationErrorCategory.BENIGN
        assert 0.5 <= error.next_retry_delay.total_seconds() <= 1.0
        assert (await minting.record(second)).status is MintStatus.APPROVED


async def test_an_unreachable_horizon_is_tried_again(minting):
    """Nothing was signed: the request stays APPROVED until Horizon answers."""
    request = await minting.approved()
    away = Horizon("http://127.0.0.1:1")
    error = await error_of(minting.submit(request, minting.activities(horizon=away)))
    await away.close()
    assert error.type == "unavailable"
    assert (await minting.record(request)).status is MintStatus.APPROVED
    assert (await minting.mint(request)).outcome is Outcome.CONFIRMED


async def test_a_rate_limit_sets_the_delay(minting, ledger):
    """Temporal waits as long as the server asked."""
    request = await minting.approved()
    await ledger.fault("rate_limit", count=3, retry_after=9)
    error = await error_of(minting.submit(request))
    assert (error.type, error.next_retry_delay.total_seconds()) == ("unavailable", 9.0)


async def test_a_horizon_of_another_network_is_a_configuration_error(minting):
    """Signing for one network and asking another would prove nothing; an operator must look."""
    rules = SubmissionRules(PUBLIC_PASSPHRASE, 120, 100_000)
    request = await minting.approved(network_passphrase=PUBLIC_PASSPHRASE)
    error = await error_of(minting.submit(request, minting.activities(rules=rules)))
    assert error.type == "configuration"
    assert (await minting.record(request)).submission is None


@pytest.mark.parametrize("reads_before", [0, 1])
async def test_a_used_sequence_is_never_signed_again(seeded, reads_before):
    """An account read from a node that lags shows a number that has landed: read again, then sign."""
    async with minting_on(seeded, channels=1) as minting:
        first = await minting.approved("first")
        await minting.ledger.close(9)
        await minting.mint(first)
        await minting.ledger.fault("two_views", ledgers=9)
        await shift_views(minting, reads_before)
        second = await minting.approved("second")
        async with minting.ledger.closing(every=0.3):
            await tried(lambda: minting.submit(second))
        await minting.ledger.clear_faults()
        result = await minting.mint(second)
        before, after = (await minting.record(first)).submission, (await minting.record(second)).submission
        assert result.outcome is Outcome.CONFIRMED
        assert after.sequence == before.sequence + 1
        assert len(await minting.ledger.payments()) == 2


@pytest.mark.parametrize("reads_before", [0, 1])
async def test_an_older_ledger_than_the_known_one_is_read_again(seeded, reads_before):
    """What a worker has seen closed, every later read of a channel account must know of."""
    async with minting_on(seeded, channels=1) as minting:
        ledger, worker = minting.ledger, minting.activities()
        await minting.mint(await minting.approved("first"), worker)
        await ledger.close(3)
        await ledger.run(ledger.channels[0], Payment(ledger.holder.public_key, Asset.native(), "1"))
        elsewhere = Keypair.random().public_key
        await minting.submit(await minting.approved("refused", destination=elsewhere), worker)
        await ledger.fault("two_views", ledgers=2)
        await shift_views(minting, reads_before)
        request = await minting.approved("second")
        await tried(lambda: minting.submit(request, worker))
        await ledger.clear_faults()
        assert (await minting.mint(request, worker)).outcome is Outcome.CONFIRMED


async def shift_views(minting, reads: int) -> None:
    """Every other read comes from the node behind: shift which ones."""
    for _ in range(reads):
        await minting.horizon.newest_ledger()


async def test_an_unknown_request_is_named(minting, seeded):
    """A step for a request that the database does not have is tried again, with a clear line."""
    worker, unknown = minting.activities(), SubmitStep(request_id="mr_" + "Z" * 26)
    for activity in (worker.submit, worker.settle):
        error = await error_of(ActivityEnvironment().run(activity, unknown))
        assert (error.type, "mr_ZZZ" in error.message) == ("not_found", True)


async def test_settle_without_a_submission_is_refused(minting):
    """There is nothing to look for before an envelope is stored."""
    request = await minting.approved()
    assert (await error_of(minting.settle(request))).type == "refused"


async def test_settle_heartbeats_what_it_waits_for(minting, ledger):
    """The details are short: the step, the newest ledger, how often it has looked."""
    request = await minting.approved()
    await minting.submit(request)
    beats = asyncio.Queue()
    environment = ActivityEnvironment()
    environment.on_heartbeat = beats.put_nowait
    settling = asyncio.create_task(
        environment.run(minting.activities().settle, SubmitStep(request_id=request.id))
    )
    beat = await beats.get()
    await ledger.close()
    await settling
    assert (beat["step"], set(beat)) == ("waiting for ledger", {"step", "newest", "looks"})
    assert beat["newest"] == (await minting.record(request)).result.ledger - 1


async def test_a_payment_that_lands_at_once_needs_one_activity(minting, ledger):
    """`submit` looks for as long as a ledger or two take, and answers how it ended."""
    request = await minting.approved()
    async with ledger.closing():
        answer = await minting.submit(request, minting.activities(first_looks=60))
    record = await minting.record(request)
    assert (answer.status, answer.result) == (MintStatus.CONFIRMED, record.result)
    assert answer.hash == record.submission.hash
    assert await minting.settle(request) == record.result


async def test_a_payment_that_takes_longer_is_left_to_settle(minting, ledger):
    """That the first looks found nothing says nothing: the request stays SUBMITTING."""
    request = await minting.approved()
    answer = await minting.submit(request, minting.activities(first_looks=0.2))
    assert (answer.status, answer.result) == (MintStatus.SUBMITTING, None)
    async with ledger.closing():
        assert (await minting.settle(request)).outcome is Outcome.CONFIRMED


async def test_a_stopping_worker_hands_over(minting, ledger):
    """It stops between two steps with an error that Temporal repeats elsewhere at once."""
    request = await minting.approved()
    await minting.submit(request)
    environment = ActivityEnvironment()
    settling = asyncio.create_task(
        environment.run(minting.activities().settle, SubmitStep(request_id=request.id))
    )
    await asyncio.sleep(0.2)
    environment.worker_shutdown()
    error = await error_of(settling)
    assert (error.type, error.category) == ("worker_stopping", ApplicationErrorCategory.BENIGN)
    async with ledger.closing():
        assert (await minting.settle(request)).outcome is Outcome.CONFIRMED


async def test_a_cancelled_activity_loses_nothing(minting, ledger):
    """Cancelled while it waits; the next attempt finds the envelope and concludes."""
    request = await minting.approved()
    await minting.submit(request)
    environment = ActivityEnvironment()
    settling = asyncio.create_task(
        environment.run(minting.activities().settle, SubmitStep(request_id=request.id))
    )
    await asyncio.sleep(0.2)
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert (await minting.record(request)).status is MintStatus.SUBMITTING
    async with ledger.closing():
        assert (await minting.settle(request)).outcome is Outcome.CONFIRMED


def test_the_rules_come_from_the_configuration():
    """Window, cap and network are settings."""
    settings = Settings(
        network_passphrase=TESTNET_PASSPHRASE, submission_window_seconds=60, max_fee_stroops=500
    )
    assert SubmissionRules.of(settings) == SubmissionRules(TESTNET_PASSPHRASE, 60, 500)
