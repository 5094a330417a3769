"""Channel accounts: created once each, whatever dies or gets lost, and topped up once."""

import pytest
import pytest_asyncio
from stellar_sdk import Asset as LedgerAsset
from stellar_sdk import Keypair, Payment
from temporalio.testing import ActivityEnvironment

from activities.stellar.signers import KeyFamily, LocalSigner, Wallet
from domain.amounts import STROOPS_PER_UNIT
from domain.channel_accounts import (
    MOST_CHANNELS,
    BatchStep,
    ChannelState,
    CreateOrder,
    TopUpOrder,
    TopUpStep,
)
from domain.errors import ConfigurationError, Refused
from tests.support.channels import Family, family_on
from tests.support.mortal import Life, MortalDatabase, MortalHorizon

MOST_STEPS = 80
"""More than any of these runs takes, so that the loops below end."""

LOW, FULL = 2 * STROOPS_PER_UNIT, 5 * STROOPS_PER_UNIT


@pytest_asyncio.fixture(loop_scope="session")
async def family(seeded):
    """A funded family whose ledger closes by hand."""
    async with family_on(seeded) as running:
        yield running


async def run(activity, *arguments):
    """One attempt of an activity."""
    return await ActivityEnvironment().run(activity, *arguments)


async def test_accounts_are_created_sponsored_and_free(family: Family):
    """Each has its starting balance whole to spend: the funding account keeps the reserves."""
    await family.create(3)
    accounts = [family.account(index) for index in range(3)]
    assert [channel.account for channel in await family.channels()] == accounts
    assert set((await family.states()).values()) == {ChannelState.FREE}
    document = await family.on_ledger(accounts[0])
    assert document["num_sponsored"] == 2
    assert await family.native(accounts[0]) == FULL
    assert (await family.on_ledger(family.funder.public_key))["num_sponsoring"] == 6


async def test_more_than_one_transaction_takes(family: Family):
    """Twenty signatures fit a transaction: the twentieth account comes with the next."""
    await family.create(20)
    assert await family.creations() == [family.account(index) for index in range(20)]
    assert len(await family.states()) == 20


async def test_a_second_creation_goes_on_where_the_first_stopped(family: Family):
    """Key indexes follow on; none is used twice, none left out."""
    await family.create(2)
    await family.create(2)
    assert sorted(await family.states()) == [0, 1, 2, 3]
    assert len(await family.creations()) == 4


async def test_what_was_planned_comes_first(family: Family):
    """A run that was given up left plans: the next one makes those before it takes new indexes."""
    await run(family.activities().plan_channels, CreateOrder(count=3))
    await family.create(2)
    assert await family.states() == {
        0: ChannelState.FREE,
        1: ChannelState.FREE,
        2: ChannelState.PLANNED,
    }
    await family.create(2)
    assert sorted(await family.states()) == [0, 1, 2, 3]
    assert len(await family.creations()) == 4


async def test_an_account_that_exists_counts_as_created(family: Family):
    """Somebody has sent something there already: the others of its batch are made all the same."""
    await family.ledger.fund(Keypair.from_mnemonic_phrase(family.phrase, index=1))
    await family.create(3)
    assert set((await family.states()).values()) == {ChannelState.FREE}
    assert await family.creations() == [family.account(0), family.account(2)]


async def test_death_at_every_step_makes_each_account_once(family: Family):
    """Before and after each question, each send and each transaction: N accounts, no index twice."""
    deaths: list[str] = []
    for number in range(MOST_STEPS):
        life = Life(number)
        doomed = family.activities(
            horizon=MortalHorizon(family.horizon, life), database=MortalDatabase(family.database, life)
        )
        await family.create(2, doomed)
        made = 2 * (number + 1)
        assert await family.states() == dict.fromkeys(range(made), ChannelState.FREE), life.steps[-1]
        assert (await family.on_ledger(family.funder.public_key))["num_sponsoring"] == 2 * made
        if not life.over:
            break
        deaths.append(life.steps[number])
    else:
        raise AssertionError("no worker survived: the steps do not end")
    assert {"before send", "after send", "before commit", "after commit", "before transaction"} <= set(deaths)


@pytest.mark.parametrize(
    "kind",
    ["drop_after_accept", "timeout_then_land", "timeout_never_land", "ingestion_lag", "try_again_later"],
)
async def test_a_lost_answer_is_looked_up(family: Family, kind):
    """Whatever becomes of the answer, each account is created once."""
    await family.ledger.fault(kind)
    await family.create(2)
    assert await family.creations() == [family.account(0), family.account(1)]


async def test_a_transaction_that_never_lands_is_signed_anew(family: Family):
    """Only after its time bound has passed by the ledger's clock, and with the proof."""
    worker = family.activities(rules=family.ledger.rules(window_seconds=30))
    [key] = await run(worker.plan_channels, CreateOrder(count=1))
    step = BatchStep(channels=(key,), balance=FULL)
    await family.ledger.fault("timeout_never_land", count=10_000)
    signed = await run(worker.fund_channels, step)
    async with family.ledger.closing():
        delivered = await run(worker.deliver_funding, signed)
    assert not delivered.landed
    await family.ledger.clear_faults()
    await family.create(1)
    assert len(await family.creations()) == 1


async def test_two_transactions_of_one_sequence_pay_once(family: Family):
    """A worker that was given up for dead still sends: its transaction and the new one exclude each other."""
    await family.create(1)
    await _empty(family, 0)
    worker, step = family.activities(), TopUpStep(order=TopUpOrder(below=LOW, to=FULL))
    signed = [(await run(worker.top_up_channels, step)).funding for _ in range(2)]
    async with family.ledger.closing():
        for funding in signed:
            await run(worker.deliver_funding, funding)
    assert await family.native(family.account(0)) == FULL


async def test_low_accounts_are_topped_up_to_the_mark_and_once(family: Family):
    """Only those below get something, exactly what they lack; a second run pays nothing."""
    await family.create(3)
    await _empty(family, 1)
    had = await family.native(family.account(1))
    order = TopUpOrder(below=LOW, to=FULL)
    assert await family.top_up(order) == {family.account(1): FULL - had}
    assert await family.native(family.account(1)) == FULL
    assert await family.top_up(order) == {}


async def _empty(family: Family, index: int) -> None:
    """Let a channel account pay nearly everything away."""
    key = Keypair.from_mnemonic_phrase(family.phrase, index=index)
    await family.ledger.run(key, Payment(family.ledger.holder.public_key, LedgerAsset.native(), "4.5"))


async def test_death_at_every_step_of_a_top_up_pays_once(family: Family):
    """Wherever the worker dies, the account gets to the mark and not above it."""
    await family.create(1)
    for number in range(MOST_STEPS):
        await _empty(family, 0)
        life = Life(number)
        doomed = family.activities(
            horizon=MortalHorizon(family.horizon, life), database=MortalDatabase(family.database, life)
        )
        await family.top_up(TopUpOrder(below=LOW, to=FULL), doomed)
        assert await family.native(family.account(0)) == FULL, life.steps[-1]
        if not life.over:
            return
    raise AssertionError("no worker survived: the steps do not end")


async def test_a_channel_account_that_is_gone_is_named(family: Family):
    """It is not paid, since that would fail the whole transaction."""
    await family.create(1)
    await family.run("INSERT INTO stellar_channels (account, state) VALUES (:a, 'FREE')", a=family.account(7))
    step = TopUpStep(order=TopUpOrder(below=LOW, to=FULL))
    answer = await run(family.activities().top_up_channels, step)
    assert (answer.funding, answer.missing) == (None, (family.account(7),))


async def test_an_account_that_nobody_can_sign_for_gets_nothing(family: Family):
    """Its signer was taken out of the configuration: it carries no mint any more."""
    await family.ledger.fund(stranger := Keypair.random())
    await family.run(
        "INSERT INTO stellar_channels (account, state) VALUES (:a, 'FREE')", a=stranger.public_key
    )
    assert await family.top_up(TopUpOrder(below=LOW * 10_000, to=FULL * 10_000)) == {}


async def test_views_at_different_heights_do_no_harm(family: Family):
    """A balancer before two nodes, one behind: each account is made once, and paid once."""
    # both nodes have seen the funding account come into being
    await family.ledger.close(3)
    await family.ledger.fault("two_views", ledgers=3)
    await family.create(21)
    await family.ledger.clear_faults()
    assert await family.states() == dict.fromkeys(range(21), ChannelState.FREE)
    assert (await family.on_ledger(family.funder.public_key))["num_sponsoring"] == 42
    await _empty(family, 0)
    await family.ledger.close(3)
    await family.ledger.fault("two_views", ledgers=3)
    await family.top_up(TopUpOrder(below=LOW, to=FULL))
    await family.ledger.clear_faults()
    assert await family.native(family.account(0)) == FULL


async def test_the_ledger_is_looked_at(family: Family):
    """Balance and sequence of each, and of the funding account; a planned one does not exist yet."""
    await family.create(1)
    await run(family.activities().plan_channels, CreateOrder(count=1))
    live = await run(family.activities().look_at_channels)
    first, second = live.channels
    assert (first.balance, first.sequence > 0) == (FULL, True)
    assert (second.balance, second.sequence) == (None, None)
    assert live.funding.account == family.funder.public_key


async def test_looking_at_many_takes_few_questions(family: Family):
    """A public Horizon counts them: sponsored accounts come in pages, not one by one."""
    await family.create(38)
    await family.ledger.forget_requests()
    live = await run(family.activities().look_at_channels)
    assert {account.balance for account in live.channels} == {FULL}
    assert sum((await family.ledger.requests_served()).values()) == 2


async def test_an_empty_funding_account_is_one_clear_error(family: Family):
    """Nothing is signed, and the line says what to pay to whom."""
    await family.ledger.drain(family.funder)
    with pytest.raises(Refused, match=f"{family.funder.public_key} can spend.*fund it with at least"):
        await family.create(2)
    assert set((await family.states()).values()) == {ChannelState.PLANNED}
    await family.ledger.pay(family.ledger.holder, family.funder)
    await family.create(2)
    assert set((await family.states()).values()) == {ChannelState.FREE}


async def test_a_funding_account_that_does_not_exist_is_named(seeded):
    """Before anything is planned."""
    async with family_on(seeded, funded=False) as family:
        with pytest.raises(Refused, match=f"{family.funder.public_key} does not exist.*fund it"):
            await family.create(1)
        assert await family.channels() == []


async def test_no_more_accounts_than_a_ledger_holds(family: Family):
    """The thousandth and first is refused, and nothing of the order is planned."""
    await run(family.activities().plan_channels, CreateOrder(count=MOST_CHANNELS))
    async with family.database.transaction() as tx:
        from db.writes.stellar_channels import open_channels

        await open_channels(tx, [channel.account for channel in await family.channels()])
    with pytest.raises(Refused, match="1000 is the most"):
        await run(family.activities().plan_channels, CreateOrder(count=1))


async def test_another_phrase_is_noticed(family: Family):
    """Accounts on record can't be signed for with it: nothing is planned from it."""
    await family.create(1)
    issuer, funder = LocalSigner(family.ledger.issuer), LocalSigner(family.funder)
    other = Wallet(issuer, [], KeyFamily(Keypair.generate_mnemonic_phrase()), funder)
    with pytest.raises(ConfigurationError, match="another mnemonic phrase"):
        await run(family.activities(wallet=other).plan_channels, CreateOrder(count=1))


async def test_a_former_channel_account_can_t_be_the_funding_account(family: Family):
    """A request of before may still have reserved its next sequence number."""
    await family.run(
        "INSERT INTO stellar_channels (account, state) VALUES (:a, 'FREE')", a=family.funder.public_key
    )
    with pytest.raises(ConfigurationError, match="is a channel account too"):
        await run(family.activities().plan_channels, CreateOrder(count=1))


@pytest.mark.parametrize(
    ("missing", "setting"), [("family", "CHANNEL_SIGNER"), ("funding", "FUNDING_SIGNER")]
)
async def test_what_the_worker_lacks_is_named(family: Family, missing, setting):
    """A worker without phrase or funding account says which setting it needs."""
    means = {"family": KeyFamily(family.phrase), "funding": LocalSigner(family.funder)} | {missing: None}
    wallet = Wallet(LocalSigner(family.ledger.issuer), [], **means)
    with pytest.raises(ConfigurationError, match=f"MINTKEEPER_{setting}"):
        await run(family.activities(wallet=wallet).plan_channels, CreateOrder(count=1))
