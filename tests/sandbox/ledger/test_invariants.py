"""Whatever operations run, in whatever order: counts, sponsors and records agree with the entries."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stellar_sdk import (
    Account,
    AccountMerge,
    AllowTrust,
    Asset,
    AuthorizationFlag,
    BeginSponsoringFutureReserves,
    BumpSequence,
    ChangeTrust,
    Claimant,
    ClaimClaimableBalance,
    ClaimPredicate,
    Clawback,
    ClawbackClaimableBalance,
    CreateAccount,
    CreateClaimableBalance,
    EndSponsoringFutureReserves,
    Keypair,
    ManageData,
    MuxedAccount,
    Payment,
    RevokeSponsorship,
    SetOptions,
    SetTrustLineFlags,
    Signer,
    SignerKey,
    TransactionBuilder,
    xdr,
)
from stellar_sdk.operation.allow_trust import TrustLineEntryFlag
from stellar_sdk.operation.set_trust_line_flags import TrustLineFlags

from sandbox.ledger.chain import Chain
from sandbox.ledger.entries import Account as AccountEntry
from sandbox.ledger.entries import ClaimableBalance, DataEntry, Trustline, load_account
from sandbox.ledger.envelopes import decode, network_id
from sandbox.ledger.genesis import root_keypair
from sandbox.ledger.http.context import dump
from sandbox.ledger.http.effects import effects_of, render_effect
from sandbox.ledger.http.render_operations import operations_of, render_operation
from sandbox.ledger.pending import TransactionQueue
from sandbox.ledger.placement import Status
from sandbox.ledger.rules import TOTAL_COINS
from sandbox.ledger.validity import Moment

PASSPHRASE = "Invariants"
NETWORK = network_id(PASSPHRASE)
KEYS = [Keypair.from_raw_ed25519_seed(hashlib.sha256(bytes([number])).digest()) for number in range(5)]
BY_ID = {key.public_key: key for key in KEYS}
XLM = Asset.native()
ASSET = Asset("EURT", KEYS[0].public_key)

names = st.sampled_from([key.public_key for key in KEYS])
sources = st.none() | names
assets = st.sampled_from([XLM, ASSET])
amounts = st.sampled_from(["0.0000001", "0.5", "1", "3", "500", "9000"])
predicates = st.sampled_from(
    [
        ClaimPredicate.predicate_unconditional(),
        ClaimPredicate.predicate_before_relative_time(7),
        ClaimPredicate.predicate_not(ClaimPredicate.predicate_before_relative_time(7)),
        ClaimPredicate.predicate_before_absolute_time(-1),
    ]
)
line_flags = st.sampled_from([None, *(TrustLineFlags(number) for number in range(1, 8))])
account_flags = st.sampled_from([None, *(AuthorizationFlag(number) for number in range(1, 16))])
weights = st.sampled_from([None, 0, 1, 2, 255])
SIGNERS = [SignerKey.ed25519_public_key(key.public_key) for key in KEYS[3:]]
SIGNERS.append(SignerKey.sha256_hash(bytes(32)))


def claimants(people, predicate):
    """Claimants for some people, twice the same if so drawn."""
    return [Claimant(person, predicate) for person in people]


operations = st.one_of(
    st.builds(Payment, names, assets, amounts, sources),
    st.builds(CreateAccount, names, st.sampled_from(["0", "0.5", "1", "20"]), sources),
    st.builds(AccountMerge, names, sources),
    st.builds(ChangeTrust, st.just(ASSET), st.sampled_from(["0", "5", "1000"]), sources),
    st.builds(ManageData, st.sampled_from(["a", "b"]), st.sampled_from([None, b"", b"x"]), sources),
    st.builds(BumpSequence, st.sampled_from([0, 1 << 33, 1 << 34]), sources),
    st.builds(
        lambda asset, amount, people, predicate, source: CreateClaimableBalance(
            asset, amount, claimants(people, predicate), source
        ),
        assets,
        amounts,
        st.lists(names, min_size=1, max_size=3),
        predicates,
        sources,
    ),
    st.tuples(st.sampled_from([ClaimClaimableBalance, ClawbackClaimableBalance]), st.integers(0, 3), sources),
    st.builds(
        lambda key, weight, source: SetOptions(signer=Signer(key, weight), source=source),
        st.sampled_from(SIGNERS),
        st.sampled_from([0, 0, 1]),
        sources,
    ),
    st.builds(
        lambda set_, clear, home, source: SetOptions(
            set_flags=set_, clear_flags=clear, home_domain=home, source=source
        ),
        account_flags,
        account_flags,
        st.sampled_from([None, "", "a.b"]),
        sources,
    ),
    st.builds(lambda low, source: SetOptions(low_threshold=low, source=source), weights, sources),
    st.builds(SetTrustLineFlags, names, st.just(ASSET), line_flags, line_flags, st.just(KEYS[0].public_key)),
    st.builds(
        AllowTrust,
        names,
        st.just("EURT"),
        st.sampled_from([*TrustLineEntryFlag, False]),
        st.just(KEYS[0].public_key),
    ),
    st.builds(Clawback, st.just(ASSET), names, amounts, st.just(KEYS[0].public_key)),
    st.builds(BeginSponsoringFutureReserves, names, sources),
    st.builds(EndSponsoringFutureReserves, sources),
    st.builds(RevokeSponsorship.revoke_account_sponsorship, names, sources),
    st.builds(RevokeSponsorship.revoke_trustline_sponsorship, names, st.just(ASSET), sources),
    st.builds(RevokeSponsorship.revoke_data_sponsorship, names, st.just("a"), sources),
    st.builds(RevokeSponsorship.revoke_signer_sponsorship, names, st.sampled_from(SIGNERS), sources),
)


@st.composite
def sandwiches(draw):
    """Operations of somebody inside a sponsorship that begins and ends as it should."""
    sponsored, sponsor = draw(st.permutations(list(BY_ID)))[:2]
    inside = draw(st.lists(operations, min_size=1, max_size=3))
    for operation in inside:
        if not isinstance(operation, tuple) and draw(st.booleans()):
            operation.source = MuxedAccount.from_account(sponsored)
    begin = BeginSponsoringFutureReserves(sponsored, sponsor)
    return [begin, *inside, EndSponsoringFutureReserves(sponsored)]


contents = st.lists(operations, min_size=1, max_size=4) | sandwiches()
transactions = st.tuples(names, contents, st.none() | names)


class World:
    """A chain in which everybody signs what his operations need."""

    def __init__(self):
        self.chain = Chain(PASSPHRASE)
        self.queue = TransactionQueue("many")
        self.time = 1_700_000_000
        self.taken = 0
        self.close()
        root = root_keypair(PASSPHRASE)
        self.sign_and_offer(root, [CreateAccount(key.public_key, "10000") for key in KEYS[:4]], 1, None)
        self.close()
        self.offer(KEYS[1].public_key, [ChangeTrust(ASSET)], None)
        self.offer(KEYS[2].public_key, [ChangeTrust(ASSET, "1000")], None)
        self.close()

    def sequence(self, owner):
        account = load_account(self.chain.state, owner)
        return account.sequence if account else 0

    def offer(self, owner, wanted, payer):
        present = [self.known(item) if isinstance(item, tuple) else item for item in wanted]
        return self.sign_and_offer(BY_ID[owner], present, self.sequence(owner) + 1, payer)

    def known(self, wanted):
        """A claim of one of the balances there are, or of one there never was."""
        kind, number, source = wanted
        keys = [key for key in self.chain.state.keys() if key[0] == "claimable"]  # noqa: SIM118
        return kind(keys[number % len(keys)][1] if keys else "00" * 36, source)

    def sign_and_offer(self, owner, wanted, number, payer):
        builder = TransactionBuilder(Account(owner.public_key, number - 1), PASSPHRASE).add_time_bounds(0, 0)
        for operation in wanted:
            builder.append_operation(operation)
        envelope = builder.build()
        named = {owner.public_key, *(item.source.account_id for item in wanted if item.source)}
        for name in sorted(named):
            envelope.sign(BY_ID.get(name, owner))
        if payer is not None:
            envelope = TransactionBuilder.build_fee_bump_transaction(payer, 200, envelope, PASSPHRASE)
            envelope.sign(BY_ID[payer])
        moment = Moment(self.chain.last.sequence + 1, self.time, 0, 10)
        answer = self.queue.add(decode(envelope.to_xdr(), NETWORK), self.chain.state, moment)
        self.taken += answer.status is Status.PENDING
        if answer.result is not None:
            assert xdr.TransactionResult.from_xdr(answer.result.to_xdr()).to_xdr() == answer.result.to_xdr()
            assert answer.result.codes()
        return answer

    def close(self):
        self.time += 5
        return self.chain.close(self.queue, self.time, 10)

    def entries(self):
        return [self.chain.state.get(key) for key in self.chain.state.keys()]  # noqa: SIM118


def check_counts(world):
    """Subentries, sponsoring and sponsored are what the entries say."""
    subentries, sponsoring, sponsored = Counter(), Counter(), Counter()
    accounts = [entry for entry in world.entries() if isinstance(entry, AccountEntry)]
    for account in accounts:
        subentries[account.account_id] += len(account.signers)
        assert {key for key, _ in account.signer_sponsors} <= {key for key, _ in account.signers}
        sponsors = [(account.sponsor, 2), *((sponsor, 1) for _, sponsor in account.signer_sponsors)]
        for sponsor, reserves in sponsors:
            if sponsor:
                sponsoring[sponsor] += reserves
                sponsored[account.account_id] += reserves
    for entry in world.entries():
        if isinstance(entry, ClaimableBalance):
            sponsoring[entry.sponsor] += len(entry.claimants)
        elif isinstance(entry, Trustline | DataEntry):
            subentries[entry.account_id] += 1
            if entry.sponsor:
                sponsoring[entry.sponsor] += 1
                sponsored[entry.account_id] += 1
    for account in accounts:
        counted = (account.subentries, account.sponsoring, account.sponsored)
        name = account.account_id
        assert counted == (subentries[name], sponsoring[name], sponsored[name])
    assert set(sponsoring) <= {account.account_id for account in accounts}


def check_records(world, closed):
    """Every record of a ledger can be shown, and a success has changes for each operation."""
    for record in closed.transactions:
        result = xdr.TransactionResult.from_xdr(record.result_xdr)
        assert result.to_xdr() == record.result_xdr
        transaction = decode(record.envelope_xdr, NETWORK).transaction
        assert len(record.changes) == (len(transaction.operations) if record.successful else 0)
        for item in operations_of(record, transaction):
            dump(render_operation(item, ""))
            for effect in effects_of(item):
                dump(render_effect(effect, ""))


def native_total(world):
    """All native stroops there are."""
    balances = [entry for entry in world.entries() if isinstance(entry, ClaimableBalance)]
    waiting = sum(entry.amount for entry in balances if entry.asset == "native")
    held = sum(entry.balance for entry in world.entries() if isinstance(entry, AccountEntry))
    return held + waiting + world.chain.last.fee_pool


@pytest.mark.filterwarnings("ignore:Use .stellar_sdk.operation.set_trust_line_flags")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(transactions, max_size=4), min_size=1, max_size=5))
def test_ledger_is_consistent(ledgers):
    """After every ledger the counts fit the entries, nothing native was made or lost, records are whole."""
    world = World()
    for batch in ledgers:
        before = {name: world.sequence(name) for name in BY_ID}
        for owner, wanted, payer in batch:
            world.offer(owner, wanted, payer)
        closed = world.close()
        check_counts(world)
        check_records(world, closed)
        assert native_total(world) == TOTAL_COINS
        for name, number in before.items():
            assert not world.sequence(name) or world.sequence(name) >= number
