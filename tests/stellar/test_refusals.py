"""What ends a request other than the ledger's yes: failed pre-checks, included failures, anomalies."""

from datetime import UTC, datetime

from stellar_sdk import Asset, Keypair, Payment

from activities.stellar import envelope
from db.writes import submissions
from domain.mint_request import MintStatus
from domain.submission import Outcome
from settings import PUBLIC_PASSPHRASE
from tests.support.ledger import MintLedger
from tests.support.minting import tried


def deadline(ledger: MintLedger, seconds: int) -> datetime:
    """A deadline so many seconds of ledger time from now."""
    return datetime.fromtimestamp(ledger.now + seconds, UTC)


async def refused(minting, words, **changes):
    """The request fails its pre-check: nothing signed, nothing sent, the channel not kept."""
    request = await minting.approved(**changes)
    answer = await minting.submit(request)
    record = await minting.record(request)
    assert (answer.status, record.status) == (MintStatus.FAILED, MintStatus.FAILED)
    assert words in answer.reason
    assert words in record.reason
    assert record.submission is None
    assert record.result.proof.kind == "precheck"
    assert "RESERVED" not in (await minting.channel_states()).values()
    assert await minting.settle(request) == record.result
    assert await minting.ledger.payments() == []


async def test_a_missing_destination_fails_before_signing(minting):
    """A payment of an issued asset can't create an account."""
    await refused(minting, "does not exist on the ledger", destination=Keypair.random().public_key)


async def test_a_destination_without_trustline_fails_before_signing(minting, ledger):
    """The holder must trust the asset first."""
    stranger = Keypair.random()
    await ledger.fund(stranger)
    await refused(minting, "has no trustline", destination=stranger.public_key)


async def test_an_unauthorised_trustline_fails_before_signing(minting, ledger):
    """An issuer that requires authorisation must have given it."""
    await ledger.require_authorisation()
    newcomer = Keypair.random()
    await ledger.fund(newcomer)
    await ledger.trust(newcomer)
    await refused(minting, "not authorised", destination=newcomer.public_key)


async def test_a_full_trustline_fails_before_signing(minting, ledger):
    """The amount must fit under the line's limit."""
    await ledger.trust(ledger.holder, "2499.9999999")
    await refused(minting, "has room for 2499.9999999 only")


async def test_another_network_fails_before_signing(minting):
    """The request says for which network it was approved."""
    await refused(minting, "network", network_passphrase=PUBLIC_PASSPHRASE)


async def test_a_deadline_in_the_past_fails_before_signing(minting, ledger):
    """Past by the ledger's clock, whatever the local one says."""
    await refused(minting, "is past by the ledger's clock", ledger_deadline=deadline(ledger, 0))


async def test_the_time_bound_is_the_deadline_if_that_is_sooner(minting, ledger):
    """No transaction of the request may land after its deadline, so none can."""
    request = await minting.approved(ledger_deadline=deadline(ledger, 30))
    await ledger.fault("timeout_never_land", count=1000)
    result = await minting.mint(request)
    assert result.outcome is Outcome.TIMEOUT_FAILED
    assert result.proof.max_time == int(request.ledger_deadline.timestamp())


async def test_the_bound_counts_from_ledger_time(minting, ledger):
    """Newest close time plus the window: the wall clock is decades away from this ledger's."""
    request = await minting.approved()
    answer = await minting.submit(request, minting.hurried())
    assert answer.max_time == ledger.now + 30


async def test_a_trustline_removed_after_the_check_fails_on_the_ledger(minting, ledger):
    """Included and refused: FAILED with the operation's code; fee and sequence are spent."""
    request = await minting.approved()
    await ledger.fault("timeout_never_land", count=1)
    await minting.submit(request)
    await ledger.trust(ledger.holder, "0")
    result = await minting.mint(request)
    assert result.outcome is Outcome.FAILED
    assert "op_no_trust" in result.reason
    assert result.proof.landed.result_codes["operations"] == ["op_no_trust"]
    assert await ledger.payments() == []
    assert set((await minting.channel_states()).values()) == {"FREE"}


async def test_an_authorisation_withdrawn_after_the_check_fails_on_the_ledger(minting, ledger):
    """The ledger judges at its own time."""
    await ledger.require_authorisation()
    request = await minting.approved()
    await ledger.fault("timeout_never_land", count=1)
    await minting.submit(request)
    await ledger.withdraw_authorisation(ledger.holder)
    result = await minting.mint(request)
    assert (result.outcome, result.proof.landed.result_codes["operations"]) == (
        Outcome.FAILED, ["op_not_authorized"],
    )  # fmt: skip


async def somebody_else_uses(minting, answer):
    """Another program spends the number that belongs to the request."""
    [channel] = [key for key in minting.ledger.channels if key.public_key == answer.channel]
    await minting.ledger.run(channel, Payment(minting.ledger.holder.public_key, Asset.native(), "1"))


async def test_a_sequence_used_by_somebody_else_is_an_anomaly(minting, ledger):
    """Neither a time-out nor a failure may be claimed: the channel is frozen and people decide."""
    request = await minting.approved()
    await ledger.fault("timeout_never_land", count=1)
    answer = await minting.submit(request, minting.hurried())
    await somebody_else_uses(minting, answer)
    result = await minting.mint(request)
    record = await minting.record(request)
    assert (result.outcome, record.status) == (Outcome.ANOMALY, MintStatus.ANOMALY)
    assert result.proof.kind == "sequence_consumed"
    assert result.proof.account_sequence == result.proof.transaction_sequence
    assert (await minting.channel_states())[answer.channel] == "FROZEN"
    assert await minting.settle(request) == result


async def test_a_frozen_channel_serves_nobody(minting, ledger):
    """The next request takes another channel account."""
    request = await minting.approved("first")
    await ledger.fault("timeout_never_land", count=1)
    answer = await minting.submit(request, minting.hurried())
    await somebody_else_uses(minting, answer)
    await minting.mint(request)
    second = await minting.approved("second")
    result = await minting.mint(second)
    assert result.outcome is Outcome.CONFIRMED
    assert (await minting.record(second)).submission.channel != answer.channel


async def test_a_view_that_lags_is_no_anomaly(minting, ledger):
    """It landed, but every other answer comes from a node that does not know it yet: look again."""
    request = await minting.approved()
    await minting.submit(request, minting.hurried())
    await ledger.close(8)
    await ledger.fault("two_views", ledgers=8)
    async with ledger.closing():
        result = await tried(lambda: minting.settle(request))
    assert result.outcome is Outcome.CONFIRMED


async def test_a_view_that_lags_fails_no_precheck(minting, ledger):
    """The trustline is there, but every other answer comes from a node that does not know it yet."""
    newcomer = Keypair.random()
    await ledger.fund(newcomer)
    await ledger.close(3)
    await ledger.trust(newcomer)
    await ledger.fault("two_views", ledgers=3)
    request = await minting.approved(destination=newcomer.public_key)
    async with ledger.closing(every=0.5):
        answer = await tried(lambda: minting.submit(request))
    await ledger.clear_faults()
    assert answer.status is MintStatus.SUBMITTING
    assert (await minting.mint(request)).outcome is Outcome.CONFIRMED


async def test_a_landed_payment_that_was_not_asked_for_is_an_anomaly(minting, ledger):
    """Amount, asset, destination and memo of the stored envelope are compared before CONFIRMED."""
    request = await minting.approved()
    other = request.model_copy(update={"amount": request.amount + 1})
    async with minting.database.transaction() as tx:
        channel = await submissions.reserve(tx, request_id=request.id, accounts=ledger.wallet().channels)
        view = await minting.horizon.account(channel)
        foreign = envelope.sign_mint(
            other, ledger.wallet(), channel=channel, sequence=view.sequence + 1,
            max_time=ledger.now + 120, signed_at_ledger=view.ledger,
        )  # fmt: skip
        record = await minting.record(request)
        await submissions.store_submission(tx, record=record, submission=foreign, at=datetime.now(UTC))
    result = await minting.mint(request)
    assert result.outcome is Outcome.ANOMALY
    assert "another amount" in result.reason
    assert (await minting.channel_states())[channel] == "FROZEN"


async def test_a_locked_issuer_fails_before_signing(minting, ledger):
    """A key without weight can't issue; the reason names it."""
    await ledger.lock(ledger.issuer)
    await refused(minting, "has weight 0")
