"""Operations beyond the recordings: their codes and what they leave behind, as the protocol has them."""

from __future__ import annotations

import hashlib

import pytest
from stellar_sdk import (
    AccountMerge,
    AllowTrust,
    Asset,
    AuthorizationFlag,
    BumpSequence,
    ChangeTrust,
    Claimant,
    ClaimClaimableBalance,
    ClaimPredicate,
    ClawbackClaimableBalance,
    CreateAccount,
    CreateClaimableBalance,
    Inflation,
    ManageData,
    Payment,
    SetOptions,
    SetTrustLineFlags,
    SignedPayloadSigner,
    Signer,
    SignerKey,
    TrustLineEntryFlag,
)
from stellar_sdk.operation.set_trust_line_flags import TrustLineFlags

XLM = Asset.native()
OK = ["tx_success"]


@pytest.fixture
async def pair(ledger):
    """A ledger with two funded accounts."""
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    return ledger, alice, bob


def native(account):
    """The native balance of a Horizon account."""
    return account["balances"][-1]["balance"]


async def test_create_account_codes(pair):
    """Too little for the reserve, already there, more than there is: each has its code."""
    ledger, alice, bob = pair
    new = ledger.key("new")
    assert await ledger.run(alice, CreateAccount(new.public_key, "0.9999999")) == [
        "tx_failed",
        "op_low_reserve",
    ]
    assert await ledger.run(alice, CreateAccount(bob.public_key, "5")) == ["tx_failed", "op_already_exists"]
    assert await ledger.run(alice, CreateAccount(new.public_key, "99999")) == ["tx_failed", "op_underfunded"]
    assert await ledger.run(alice, CreateAccount(alice.public_key, "5")) == ["tx_failed", "op_malformed"]
    assert await ledger.run(alice, CreateAccount(new.public_key, "1")) == OK
    assert native(await ledger.account(new)) == "1.0000000"


async def test_subentries_need_their_reserve(pair):
    """An account with no more than its minimum balance cannot open lines, keep data or add signers."""
    ledger, alice, _ = pair
    poor = ledger.key("poor")
    assert await ledger.run(alice, CreateAccount(poor.public_key, "1.01")) == OK
    signer = Signer.ed25519_public_key(alice.public_key, 1)
    refused = [
        ChangeTrust(Asset("EURT", alice.public_key)),
        ManageData("a", b"b"),
        SetOptions(signer=signer),
        CreateClaimableBalance(XLM, "0.0001", [Claimant(alice.public_key)]),
    ]
    for operation in refused:
        assert await ledger.run(poor, operation) == ["tx_failed", "op_low_reserve"]
    assert (await ledger.account(poor))["subentry_count"] == 0


async def test_merge_moves_everything(pair):
    """A merged account is gone, and its whole balance is with the other one."""
    ledger, alice, bob = pair
    envelope = await ledger.build(alice, AccountMerge(bob.public_key))
    await ledger.offer(envelope)
    await ledger.close()
    assert (await ledger.get(f"/accounts/{alice.public_key}"))[0] == 404
    assert native(await ledger.account(bob)) == "19999.9999900"
    assert await ledger.run(bob, Payment(alice.public_key, XLM, "1")) == ["tx_failed", "op_no_destination"]


async def test_merge_codes(pair):
    """Subentries, no destination, sponsored entries, a far sequence number: each forbids a merge."""
    ledger, alice, bob = pair
    gone = ledger.key("gone").public_key
    assert await ledger.run(alice, AccountMerge(gone)) == ["tx_failed", "op_no_account"]
    assert await ledger.run(alice, AccountMerge(alice.public_key)) == ["tx_failed", "op_malformed"]
    await ledger.run(alice, ManageData("a", b"b"))
    assert await ledger.run(alice, AccountMerge(bob.public_key)) == ["tx_failed", "op_has_sub_entries"]
    await ledger.run(bob, CreateClaimableBalance(XLM, "1", [Claimant(alice.public_key)]))
    assert await ledger.run(bob, AccountMerge(alice.public_key)) == ["tx_failed", "op_is_sponsor"]
    other = ledger.key("other")
    await ledger.fund(other)
    assert await ledger.run(other, BumpSequence(1 << 40)) == OK
    assert await ledger.run(other, AccountMerge(bob.public_key)) == ["tx_failed", "op_seq_num_too_far"]


async def test_account_with_signers_can_be_merged(pair):
    """Signers are the one kind of subentry that goes with the account."""
    ledger, alice, bob = pair
    await ledger.run(alice, SetOptions(signer=Signer.ed25519_public_key(bob.public_key, 1)))
    envelope = await ledger.build(alice, AccountMerge(bob.public_key))
    await ledger.offer(envelope)
    await ledger.close()
    assert (await ledger.get(f"/accounts/{alice.public_key}"))[0] == 404


async def test_change_trust_codes(pair):
    """A limit below the balance, a line to oneself, a missing issuer, a line that is not there."""
    ledger, issuer, holder = pair
    asset = Asset("EURT", issuer.public_key)
    nobody = Asset("EURT", ledger.key("nobody").public_key)
    assert await ledger.run(holder, ChangeTrust(asset, "0")) == ["tx_failed", "op_invalid_limit"]
    assert await ledger.run(holder, ChangeTrust(nobody)) == ["tx_failed", "op_no_issuer"]
    assert await ledger.run(issuer, ChangeTrust(asset)) == ["tx_failed", "op_malformed"]
    assert await ledger.run(holder, ChangeTrust(asset, "10")) == OK
    assert await ledger.run(issuer, Payment(holder.public_key, asset, "10.0000001")) == [
        "tx_failed",
        "op_line_full",
    ]
    assert await ledger.run(issuer, Payment(holder.public_key, asset, "5")) == OK
    assert await ledger.run(holder, ChangeTrust(asset, "4")) == ["tx_failed", "op_invalid_limit"]
    assert await ledger.run(holder, Payment(issuer.public_key, asset, "5"), ChangeTrust(asset, "0")) == OK
    assert (await ledger.account(holder))["subentry_count"] == 0


async def test_freezing_a_line(pair):
    """Authorised only to maintain liabilities: nothing in, nothing out; both flags at once cannot be."""
    ledger, issuer, holder = pair
    asset = Asset("EURT", issuer.public_key)
    await ledger.run(issuer, SetOptions(set_flags=AuthorizationFlag.AUTHORIZATION_REVOCABLE))
    await ledger.run(holder, ChangeTrust(asset))
    await ledger.run(issuer, Payment(holder.public_key, asset, "5"))
    maintain = TrustLineFlags.AUTHORIZED_TO_MAINTAIN_LIABILITIES_FLAG
    both = SetTrustLineFlags(holder.public_key, asset, set_flags=maintain)
    assert await ledger.run(issuer, both) == ["tx_failed", "op_invalid_state"]
    freeze = SetTrustLineFlags(
        holder.public_key, asset, clear_flags=TrustLineFlags.AUTHORIZED_FLAG, set_flags=maintain
    )
    assert await ledger.run(issuer, freeze) == OK
    line = (await ledger.account(holder))["balances"][0]
    assert (line["is_authorized"], line["is_authorized_to_maintain_liabilities"]) == (False, True)
    assert await ledger.run(issuer, Payment(holder.public_key, asset, "1")) == [
        "tx_failed",
        "op_not_authorized",
    ]
    assert await ledger.run(holder, Payment(issuer.public_key, asset, "1")) == [
        "tx_failed",
        "op_src_not_authorized",
    ]


async def test_allow_trust(pair):
    """The older operation authorises and, on a revocable issuer, takes it back."""
    ledger, issuer, holder = pair
    asset = Asset("EURT", issuer.public_key)
    required = AuthorizationFlag.AUTHORIZATION_REQUIRED
    await ledger.run(issuer, SetOptions(set_flags=required))
    with pytest.warns(DeprecationWarning, match="SetTrustLineFlags"):
        allow = AllowTrust(holder.public_key, "EURT", TrustLineEntryFlag.AUTHORIZED_FLAG)
    with pytest.warns(DeprecationWarning, match="SetTrustLineFlags"):
        revoke = AllowTrust(holder.public_key, "EURT", TrustLineEntryFlag.UNAUTHORIZED_FLAG)
    assert await ledger.run(issuer, allow) == ["tx_failed", "op_no_trust"]
    await ledger.run(holder, ChangeTrust(asset))
    assert await ledger.run(issuer, allow, Payment(holder.public_key, asset, "1")) == OK
    assert await ledger.run(issuer, revoke) == ["tx_failed", "op_cant_revoke"]
    await ledger.run(issuer, SetOptions(set_flags=AuthorizationFlag.AUTHORIZATION_REVOCABLE))
    assert await ledger.run(issuer, revoke) == OK
    assert (await ledger.account(holder))["balances"][0]["is_authorized"] is False


async def test_immutable_account_keeps_its_flags(pair):
    """Once immutable, an account can neither change its flags nor be merged."""
    ledger, alice, bob = pair
    assert await ledger.run(alice, SetOptions(set_flags=AuthorizationFlag.AUTHORIZATION_IMMUTABLE)) == OK
    change = SetOptions(set_flags=AuthorizationFlag.AUTHORIZATION_REQUIRED)
    assert await ledger.run(alice, change) == ["tx_failed", "op_cant_change"]
    assert await ledger.run(alice, AccountMerge(bob.public_key)) == ["tx_failed", "op_immutable_set"]


async def test_set_options_codes(pair):
    """Oneself as a signer, a threshold above 255, too many signers."""
    ledger, alice, _ = pair
    own = Signer.ed25519_public_key(alice.public_key, 1)
    assert await ledger.run(alice, SetOptions(signer=own)) == ["tx_failed", "op_bad_signer"]
    assert await ledger.run(alice, SetOptions(low_threshold=256)) == [
        "tx_failed",
        "op_threshold_out_of_range",
    ]
    signers = [Signer.ed25519_public_key(ledger.key(f"s{n}").public_key, 1) for n in range(21)]
    assert await ledger.run(alice, *(SetOptions(signer=signer) for signer in signers[:20])) == OK
    assert await ledger.run(alice, SetOptions(signer=signers[20])) == ["tx_failed", "op_too_many_signers"]
    removed = Signer.ed25519_public_key(ledger.key("s0").public_key, 0)
    assert await ledger.run(alice, SetOptions(signer=removed)) == OK
    assert (await ledger.account(alice))["subentry_count"] == 19


async def test_transaction_hash_as_a_signer_is_used_up(pair):
    """A transaction authorised beforehand by its hash needs no signature; its signer is gone afterwards."""
    ledger, alice, bob = pair
    number = await ledger.sequence(alice)
    later = await ledger.build(alice, Payment(bob.public_key, XLM, "1"), sequence=number + 2, signers=[])
    assert await ledger.run(alice, SetOptions(signer=Signer.pre_auth_tx(later.hash(), 1))) == OK
    assert await ledger.offer(later) == "PENDING"
    await ledger.close()
    assert await ledger.codes(later) == OK
    assert (await ledger.account(alice))["subentry_count"] == 0


async def test_hash_preimage_and_payload_signers(pair):
    """The preimage of a hash signs for it, and so does a key over a payload of its own."""
    ledger, alice, bob = pair
    preimage = b"open sesame"
    await ledger.run(alice, SetOptions(signer=Signer.sha256_hash(hashlib.sha256(preimage).digest(), 1)))
    envelope = await ledger.build(alice, Payment(bob.public_key, XLM, "1"), signers=[])
    envelope.sign_hashx(preimage)
    assert await ledger.offer(envelope) == "PENDING"
    await ledger.close()
    payload = SignerKey.ed25519_signed_payload(SignedPayloadSigner(bob.public_key, b"pay"))
    await ledger.run(alice, SetOptions(signer=Signer(payload, 1)))
    envelope = await ledger.build(alice, Payment(bob.public_key, XLM, "1"), signers=[])
    envelope.signatures.append(bob.sign_payload_decorated(b"pay"))
    assert await ledger.offer(envelope) == "PENDING"


async def test_claimable_balance_times(pair):
    """A relative time counts from the ledger that made the balance, and `not` turns it round."""
    ledger, alice, bob = pair
    early = Claimant(bob.public_key, ClaimPredicate.predicate_before_relative_time(20))
    late = Claimant(
        alice.public_key, ClaimPredicate.predicate_not(ClaimPredicate.predicate_before_relative_time(20))
    )
    envelope = await ledger.build(alice, CreateClaimableBalance(XLM, "5", [early, late]))
    await ledger.offer(envelope)
    await ledger.close()
    made = ledger.time
    balance_id = envelope.transaction.get_claimable_balance_id(0)
    _, body = await ledger.get(f"/claimable_balances/{balance_id}")
    assert body["claimants"][0]["predicate"]["abs_before_epoch"] == str(made + 20)
    assert (await ledger.account(alice))["num_sponsoring"] == 2
    assert await ledger.run(alice, ClaimClaimableBalance(balance_id)) == ["tx_failed", "op_cannot_claim"]
    await ledger.close(20)
    assert await ledger.run(bob, ClaimClaimableBalance(balance_id)) == ["tx_failed", "op_cannot_claim"]
    assert await ledger.run(alice, ClaimClaimableBalance(balance_id)) == OK
    assert (await ledger.account(alice))["num_sponsoring"] == 0
    assert await ledger.run(bob, ClaimClaimableBalance(balance_id)) == ["tx_failed", "op_does_not_exist"]


async def test_claimable_balance_can_be_clawed_back(pair):
    """Only by the issuer, and only if clawback was enabled when it was made."""
    ledger, issuer, holder = pair
    asset = Asset("EURT", issuer.public_key)

    async def make():
        envelope = await ledger.build(
            issuer, CreateClaimableBalance(asset, "5", [Claimant(holder.public_key)])
        )
        await ledger.offer(envelope)
        await ledger.close()
        return envelope.transaction.get_claimable_balance_id(0)

    before = await make()
    await ledger.run(issuer, SetOptions(set_flags=AuthorizationFlag(10)))
    after = await make()
    refused = ["tx_failed", "op_not_clawback_enabled"]
    assert await ledger.run(issuer, ClawbackClaimableBalance(before)) == refused
    assert await ledger.run(holder, ClawbackClaimableBalance(after)) == ["tx_failed", "op_no_issuer"]
    assert await ledger.run(issuer, ClawbackClaimableBalance(after)) == OK
    assert (await ledger.get(f"/claimable_balances/{after}"))[0] == 404


async def test_claimable_balances_are_listed_by_claimant(pair):
    """The list can be narrowed down to an asset, a claimant or a sponsor."""
    ledger, alice, bob = pair
    await ledger.run(alice, CreateClaimableBalance(XLM, "1", [Claimant(bob.public_key)]))
    await ledger.run(alice, CreateClaimableBalance(XLM, "2", [Claimant(alice.public_key)]))

    async def amounts(**query):
        return [
            item["amount"]
            for item in (await ledger.get("/claimable_balances", **query))[1]["_embedded"]["records"]
        ]

    assert await amounts() == ["1.0000000", "2.0000000"]
    assert await amounts(claimant=bob.public_key) == ["1.0000000"]
    assert await amounts(sponsor=bob.public_key) == []
    assert await amounts(asset="native", order="desc", limit="1") == ["2.0000000"]


async def test_unknown_operations_are_not_supported(pair):
    """What the sandbox ledger does not know is refused up front with op_not_supported."""
    ledger, alice, _ = pair
    assert await ledger.run(alice, Inflation()) == ["tx_failed", "op_not_supported"]
    assert await ledger.run(alice, ManageData("a", b"b")) == OK


async def test_names_must_be_printable(pair):
    """Names of data entries are printable ASCII."""
    ledger, alice, _ = pair
    assert await ledger.run(alice, ManageData("a\nb", b"b")) == ["tx_failed", "op_data_invalid_name"]


async def test_paying_oneself_changes_nothing(pair):
    """A native payment to oneself succeeds at once and costs the fee, even above the balance."""
    ledger, alice, _ = pair
    assert await ledger.run(alice, Payment(alice.public_key, XLM, "99999")) == OK
    assert native(await ledger.account(alice)) == "9999.9999900"
