"""Sponsorship: who carries which reserve, and what a broken sandwich is called."""

from __future__ import annotations

import pytest
from stellar_sdk import (
    AccountMerge,
    Asset,
    BeginSponsoringFutureReserves,
    ChangeTrust,
    Claimant,
    CreateAccount,
    CreateClaimableBalance,
    EndSponsoringFutureReserves,
    ManageData,
    Payment,
    RevokeSponsorship,
    SetOptions,
    Signer,
    SignerKey,
)

XLM = Asset.native()
OK = ["tx_success"]


@pytest.fixture
async def world(ledger):
    """A ledger with a funder and a helper, and a key that has no account yet."""
    funder, helper, new = ledger.key("funder"), ledger.key("helper"), ledger.key("new")
    await ledger.fund(funder, helper)
    return ledger, funder, helper, new


def sponsored(sponsored_key, *operations, sponsor=None):
    """The operations inside a sandwich."""
    begin = BeginSponsoringFutureReserves(
        sponsored_key.public_key, source=sponsor.public_key if sponsor else None
    )
    return [begin, *operations, EndSponsoringFutureReserves(source=sponsored_key.public_key)]


def numbers(account):
    """What counts for the minimum balance."""
    return account["subentry_count"], account["num_sponsoring"], account["num_sponsored"]


async def create(ledger, funder, new, balance="0", **kwargs):
    """A sponsored account, as a channel account is made."""
    wanted = sponsored(new, CreateAccount(new.public_key, balance))
    return await ledger.run(funder, *wanted, signers=[funder, new], **kwargs)


async def test_an_account_without_a_stroop(world):
    """Its two reserves are the funder's; it lives with balance 0 and may be source of others' fees."""
    ledger, funder, _, new = world
    assert await create(ledger, funder, new) == OK
    made, payer = await ledger.account(new), await ledger.account(funder)
    assert made["balances"][-1]["balance"] == "0.0000000"
    assert (numbers(made), made["sponsor"]) == ((0, 0, 2), funder.public_key)
    assert numbers(payer) == (0, 2, 0)
    assert "sponsor" not in payer


async def test_fee_bump_pays_for_a_sponsored_channel(world):
    """A channel without balance carries a transaction whose fee somebody else pays."""
    ledger, funder, helper, new = world
    await create(ledger, funder, new)
    payment = Payment(helper.public_key, XLM, "1", source=funder.public_key)
    inner = await ledger.build(new, payment, signers=[new, funder])
    assert await ledger.codes(inner) == ["tx_insufficient_balance"]
    bump = ledger.bump(funder, inner, 200)
    assert await ledger.offer(bump) == "PENDING"
    await ledger.close()
    assert await ledger.codes(bump) == OK


async def test_sponsor_needs_the_reserves_and_the_balance(world):
    """Low reserve where the sponsor cannot carry two reserves; underfunded where it then cannot pay."""
    ledger, funder, helper, new = world
    poor = ledger.key("poor")
    await ledger.run(helper, CreateAccount(poor.public_key, "1.9"))
    failed = ["tx_failed", "op_success", "op_low_reserve", "op_success"]
    # The end finds its source account missing, because nothing created it.
    codes = await create(ledger, poor, new)
    assert codes == [*failed[:3], "op_no_source_account"]
    assert await create(ledger, funder, new, "9998.9999") == [
        "tx_failed",
        "op_success",
        "op_underfunded",
        "op_no_source_account",
    ]
    assert await create(ledger, funder, new, "9990") == OK


async def test_sandwich_codes(world):
    """Every wrong nesting has its own code; a sandwich left open undoes the transaction."""
    ledger, funder, helper, new = world
    begin = BeginSponsoringFutureReserves
    end = EndSponsoringFutureReserves
    signers = [funder, helper]
    assert await ledger.run(funder, begin(helper.public_key)) == ["tx_bad_sponsorship"]
    assert await ledger.run(funder, begin(funder.public_key)) == ["tx_failed", "op_malformed"]
    assert await ledger.run(funder, end()) == ["tx_failed", "op_not_sponsored"]
    twice = [begin(new.public_key), begin(new.public_key, source=helper.public_key)]
    assert await ledger.run(funder, *twice, signers=signers) == [
        "tx_failed",
        "op_success",
        "op_already_sponsored",
    ]
    back = [begin(helper.public_key), begin(new.public_key, source=helper.public_key)]
    assert (await ledger.run(funder, *back, signers=signers))[-1] == "op_recursive"
    chain = [begin(new.public_key), begin(funder.public_key, source=helper.public_key)]
    assert (await ledger.run(funder, *chain, signers=signers))[-1] == "op_recursive"
    assert numbers(await ledger.account(funder)) == (0, 0, 0)


async def test_everything_an_account_owns_can_be_sponsored(world):
    """Trustline, data, signer and claimable balance name their sponsor, and give the reserve back."""
    ledger, funder, helper, _ = world
    asset = Asset("EURT", funder.public_key)
    signer = Signer.ed25519_public_key(ledger.key("other").public_key, 1)
    own = {"source": helper.public_key}
    wanted = [
        ChangeTrust(asset, **own),
        ManageData("note", b"x", **own),
        SetOptions(signer=signer, **own),
        CreateClaimableBalance(XLM, "1", [Claimant(funder.public_key), Claimant(helper.public_key)], **own),
    ]
    assert await ledger.run(funder, *sponsored(helper, *wanted), signers=[funder, helper]) == OK
    account = await ledger.account(helper)
    assert numbers(account) == (3, 0, 3)
    assert numbers(await ledger.account(funder)) == (0, 5, 0)
    assert account["balances"][0]["sponsor"] == funder.public_key
    assert [item.get("sponsor") for item in account["signers"] if item["key"] != helper.public_key] == [
        funder.public_key
    ]
    _, data = await ledger.get(f"/accounts/{helper.public_key}/data/note")
    assert data == {"value": "eA==", "sponsor": funder.public_key}
    _, balances = await ledger.get("/claimable_balances", sponsor=funder.public_key)
    assert len(balances["_embedded"]["records"]) == 1
    gone = [
        ChangeTrust(asset, "0"),
        ManageData("note", None),
        SetOptions(signer=Signer.ed25519_public_key(ledger.key("other").public_key, 0)),
    ]
    assert await ledger.run(helper, *gone) == OK
    assert numbers(await ledger.account(helper)) == (0, 0, 0)
    assert numbers(await ledger.account(funder)) == (0, 2, 0)


async def test_a_sponsored_account_can_be_merged_and_its_sponsor_cannot(world):
    """The reserves go back to the sponsor; who sponsors, or is about to, must stay."""
    ledger, funder, helper, new = world
    await create(ledger, funder, new, "5")
    assert await ledger.run(funder, AccountMerge(helper.public_key)) == ["tx_failed", "op_is_sponsor"]
    assert await ledger.run(new, AccountMerge(funder.public_key)) == OK
    assert numbers(await ledger.account(funder)) == (0, 0, 0)
    waiting = [BeginSponsoringFutureReserves(new.public_key), AccountMerge(helper.public_key)]
    assert (await ledger.run(funder, *waiting))[-1] == "op_is_sponsor"


async def test_revoked_sponsorship_falls_back_to_the_owner(world):
    """Only who carries a reserve may give it up, and only to an owner who can carry it."""
    ledger, funder, helper, new = world
    await create(ledger, funder, new)
    revoke = RevokeSponsorship.revoke_account_sponsorship(new.public_key)
    assert await ledger.run(helper, revoke) == ["tx_failed", "op_not_sponsor"]
    assert await ledger.run(funder, revoke) == ["tx_failed", "op_low_reserve"]
    assert await ledger.run(funder, Payment(new.public_key, XLM, "1")) == OK
    assert await ledger.run(funder, revoke) == OK
    assert numbers(await ledger.account(new)) == (0, 0, 0)
    assert "sponsor" not in await ledger.account(new)
    missing = RevokeSponsorship.revoke_account_sponsorship(ledger.key("nobody").public_key)
    assert await ledger.run(funder, missing) == ["tx_failed", "op_does_not_exist"]


async def test_sponsorship_can_be_handed_over(world):
    """Inside a sandwich the sponsor's sponsor takes the reserve over: account, signer, claimable balance."""
    ledger, funder, helper, new = world
    await create(ledger, funder, new, "5")
    extra = ledger.key("other").public_key
    wanted = SetOptions(signer=Signer.ed25519_public_key(extra, 1), source=new.public_key)
    assert await ledger.run(funder, *sponsored(new, wanted), signers=[funder, new]) == OK
    balance = await ledger.build(funder, CreateClaimableBalance(XLM, "1", [Claimant(new.public_key)]))
    await ledger.offer(balance)
    await ledger.close()
    balance_id = balance.transaction.get_claimable_balance_id(0)
    revoke_balance = RevokeSponsorship.revoke_claimable_balance_sponsorship(balance_id)
    assert await ledger.run(funder, revoke_balance) == ["tx_failed", "op_only_transferable"]
    assert numbers(await ledger.account(funder)) == (0, 4, 0)
    handed = [
        RevokeSponsorship.revoke_account_sponsorship(new.public_key, source=funder.public_key),
        RevokeSponsorship.revoke_signer_sponsorship(
            new.public_key, SignerKey.ed25519_public_key(extra), source=funder.public_key
        ),
        RevokeSponsorship.revoke_claimable_balance_sponsorship(balance_id, source=funder.public_key),
    ]
    assert await ledger.run(helper, *sponsored(funder, *handed), signers=[funder, helper]) == OK
    assert numbers(await ledger.account(funder)) == (0, 0, 0)
    assert numbers(await ledger.account(helper)) == (0, 4, 0)
    assert numbers(await ledger.account(new)) == (1, 0, 3)
    assert (await ledger.account(new))["sponsor"] == helper.public_key


async def test_sponsorship_survives_a_restart(drive, tmp_path):
    """Sponsors and their counts are kept with the entries."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data) as ledger:
        funder, new = ledger.key("funder"), ledger.key("new")
        await ledger.fund(funder)
        inside = [CreateAccount(new.public_key, "0"), ManageData("a", b"b", source=new.public_key)]
        signer = Signer.ed25519_public_key(funder.public_key, 1)
        inside.append(SetOptions(signer=signer, source=new.public_key))
        assert await ledger.run(funder, *sponsored(new, *inside), signers=[funder, new]) == OK
        before = await ledger.account(new), await ledger.account(funder)
    async with drive(data=data) as ledger:
        after = await ledger.account(new), await ledger.account(funder)
        for old, now in zip(before, after, strict=True):
            assert {**old, "_links": 0} == {**now, "_links": 0}


async def test_operations_name_sponsor_and_sponsored(world):
    """Begin tells who is sponsored, end who began."""
    ledger, funder, _, new = world
    await create(ledger, funder, new)
    _, page = await ledger.get(f"/accounts/{new.public_key}/operations")
    begin, made, end = page["_embedded"]["records"]
    assert begin["type"] == "begin_sponsoring_future_reserves"
    assert begin["sponsored_id"] == new.public_key
    assert made["type"] == "create_account"
    assert end["begin_sponsor"] == funder.public_key
