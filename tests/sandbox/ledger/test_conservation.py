"""Whatever is submitted: nothing is lost or made, numbers only rise, a failure costs fee and number."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import (
    Account,
    AccountMerge,
    Asset,
    BumpSequence,
    ChangeTrust,
    Claimant,
    CreateAccount,
    CreateClaimableBalance,
    Keypair,
    ManageData,
    Payment,
    TransactionBuilder,
)

from sandbox.ledger.chain import Chain
from sandbox.ledger.entries import Account as AccountEntry
from sandbox.ledger.entries import ClaimableBalance, Trustline, load_account
from sandbox.ledger.envelopes import decode, network_id
from sandbox.ledger.genesis import root_keypair
from sandbox.ledger.pending import TransactionQueue
from sandbox.ledger.rules import TOTAL_COINS
from sandbox.ledger.validity import Moment

PASSPHRASE = "Conservation"
NETWORK = network_id(PASSPHRASE)
KEYS = [Keypair.from_raw_ed25519_seed(hashlib.sha256(bytes([number])).digest()) for number in range(4)]
XLM = Asset.native()
ASSET = Asset("EURT", KEYS[0].public_key)

people = st.sampled_from(KEYS)
assets = st.sampled_from([XLM, ASSET])
amounts = st.integers(1, 3 * 10**11).map(lambda stroops: f"{stroops // 10**7}.{stroops % 10**7:07d}")


def other(builder, *strategies):
    """An operation towards somebody."""
    return st.builds(lambda person, *rest: builder(person.public_key, *rest), people, *strategies)


operations = st.one_of(
    other(Payment, assets, amounts),
    other(CreateAccount, amounts),
    other(AccountMerge),
    st.builds(lambda amount: ChangeTrust(ASSET, amount), amounts),
    st.builds(lambda value: ManageData("note", value), st.sampled_from([None, b"a"])),
    st.builds(lambda number: BumpSequence(number), st.integers(0, 1 << 36)),
    st.builds(
        lambda asset, amount, person: CreateClaimableBalance(asset, amount, [Claimant(person.public_key)]),
        assets,
        amounts,
        people,
    ),
)
transactions = st.tuples(
    people, st.lists(operations, min_size=1, max_size=4), st.integers(0, 4), st.booleans()
)


class World:
    """A chain with four funded accounts and what was seen of it."""

    def __init__(self):
        self.chain = Chain(PASSPHRASE)
        self.queue = TransactionQueue("many")
        self.time = 1_700_000_000
        self.close()
        root = root_keypair(PASSPHRASE)
        self.offer(root, [CreateAccount(key.public_key, "10000") for key in KEYS], number=1)
        self.close()

    def offer(self, owner, operations, number, payer=None):
        builder = TransactionBuilder(Account(owner.public_key, number - 1), PASSPHRASE).add_time_bounds(0, 0)
        for operation in operations:
            builder.append_operation(operation)
        envelope = builder.build()
        envelope.sign(owner)
        if payer is not None:
            envelope = TransactionBuilder.build_fee_bump_transaction(payer, 200, envelope, PASSPHRASE)
            envelope.sign(payer)
        moment = Moment(self.chain.last.sequence + 1, self.time, 0, 10)
        return self.queue.add(decode(envelope.to_xdr(), NETWORK), self.chain.state, moment)

    def close(self):
        self.time += 5
        return self.chain.close(self.queue, self.time, 10)

    def sequence(self, owner):
        account = load_account(self.chain.state, owner.public_key)
        return account.sequence if account else 0

    def entries(self):
        return {key: self.chain.state.get(key) for key in self.chain.state.keys()}  # noqa: SIM118


def native_total(world):
    """All native stroops: balances, claimable balances, fees taken."""
    entries = world.entries().values()
    held = sum(entry.balance for entry in entries if isinstance(entry, AccountEntry))
    waiting = sum(
        entry.amount for entry in entries if isinstance(entry, ClaimableBalance) and entry.asset == "native"
    )
    return held + waiting + world.chain.last.fee_pool


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(transactions, max_size=4), max_size=5))
def test_ledger_conserves(ledgers):
    """Native total constant, sequence numbers of an account never fall, no balance outside its bounds."""
    world = World()
    for batch in ledgers:
        before = {key.public_key: world.sequence(key) for key in KEYS}
        for owner, wanted, offset, bumped in batch:
            payer = KEYS[1] if bumped else None
            world.offer(owner, wanted, world.sequence(owner) + offset, payer)
        world.close()
        assert native_total(world) == TOTAL_COINS
        for key in KEYS:
            account = load_account(world.chain.state, key.public_key)
            assert account is None or account.sequence >= before[key.public_key]
        for entry in world.entries().values():
            if isinstance(entry, Trustline):
                assert 0 <= entry.balance <= entry.limit
            if isinstance(entry, AccountEntry):
                assert entry.balance >= 0
                assert min(entry.subentries, entry.sponsoring) >= 0


@settings(max_examples=80, deadline=None)
@given(transactions)
def test_failed_transaction_changes_only_fee_and_sequence(transaction):
    """After a failure every entry is as before, but for the fee and the number of the source account."""
    owner, wanted, _, _ = transaction
    world = World()
    impossible = Payment(KEYS[2].public_key, XLM, "99999999")
    source = load_account(world.chain.state, owner.public_key)
    before = world.entries()
    world.offer(owner, [*wanted, impossible], source.sequence + 1)
    closed = world.close()
    for record in closed.transactions:
        if record.successful:
            return
        changed = {key: entry for key, entry in world.entries().items() if before.get(key) != entry}
        assert set(changed) == {("account", owner.public_key)}
        account = changed["account", owner.public_key]
        assert account.balance == source.balance - record.fee_charged
        expected = replace(
            source,
            balance=account.balance,
            sequence=source.sequence + 1,
            sequence_ledger=closed.ledger.sequence,
            sequence_time=closed.ledger.closed_at,
            modified=closed.ledger.sequence,
        )
        assert account == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(transactions, max_size=6))
def test_older_views_are_exact(batch):
    """The view of an earlier ledger is what the entries were then, whatever closed since."""
    world = World()
    snapshots = {}
    for owner, wanted, _, _ in batch:
        snapshots[world.chain.last.sequence] = world.entries()
        world.offer(owner, wanted, world.sequence(owner) + 1)
        world.close()
    for sequence, entries in snapshots.items():
        view = world.chain.state.view(sequence)
        known = set(entries) | set(world.entries())
        assert {key: view.get(key) for key in known} == {key: entries.get(key) for key in known}
        assert len(list(view)) == len(entries)
