"""Effects as Horizon derives them: of payments, of what an operation changed, of sponsorship."""

from __future__ import annotations

import pytest
from stellar_sdk import (
    AccountMerge,
    Asset,
    AuthorizationFlag,
    BeginSponsoringFutureReserves,
    BumpSequence,
    ChangeTrust,
    Claimant,
    ClaimClaimableBalance,
    ClaimPredicate,
    Clawback,
    CreateAccount,
    CreateClaimableBalance,
    EndSponsoringFutureReserves,
    ManageData,
    MuxedAccount,
    Payment,
    SetOptions,
    SetTrustLineFlags,
    Signer,
)
from stellar_sdk.operation.set_trust_line_flags import TrustLineFlags

XLM = Asset.native()


@pytest.fixture
async def pair(ledger):
    """A ledger with two funded accounts."""
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    return ledger, alice, bob


async def effects(ledger, path, **query):
    """Types of the effects under a path."""
    status, body = await ledger.get(f"{path}/effects", limit="200", **query)
    assert status == 200, body
    return [record["type"] for record in body["_embedded"]["records"]]


async def done(ledger, owner, *operations, **kwargs):
    """Run operations in one transaction; its path."""
    envelope = await ledger.build(owner, *operations, **kwargs)
    assert await ledger.offer(envelope) == "PENDING"
    await ledger.close()
    status, body = await ledger.get(f"/transactions/{envelope.hash_hex()}")
    assert status == 200, body
    assert body["successful"], await ledger.codes(envelope)
    return f"/transactions/{envelope.hash_hex()}"


async def test_mint_credits_and_debits(pair):
    """A mint credits the holder, muxed if it was addressed so, and debits the issuer."""
    ledger, issuer, holder = pair
    asset = Asset("EURT", issuer.public_key)
    path = await done(ledger, holder, ChangeTrust(asset, "100"))
    assert await effects(ledger, path) == ["trustline_created"]
    address = MuxedAccount(holder.public_key, 7)
    path = await done(ledger, issuer, Payment(address, asset, "5"))
    _, body = await ledger.get(f"{path}/effects")
    credited, debited = body["_embedded"]["records"]
    assert (credited["type"], credited["type_i"], credited["amount"]) == ("account_credited", 2, "5.0000000")
    assert (credited["account"], credited["account_muxed"]) == (holder.public_key, address.account_muxed)
    assert (credited["asset_code"], credited["asset_issuer"]) == ("EURT", issuer.public_key)
    assert (debited["type"], debited["account"]) == ("account_debited", issuer.public_key)
    operation, order = credited["paging_token"].split("-")
    assert credited["id"] == f"{int(operation):019d}-{int(order):010d}"


async def test_what_changed_decides(pair):
    """Created, updated or removed follows from the entry before and after; nothing bumped has no effect."""
    ledger, alice, bob = pair
    asset = Asset("EURT", bob.public_key)
    steps = [
        (ChangeTrust(asset, "5"), ["trustline_created"]),
        (ChangeTrust(asset, "6"), ["trustline_updated"]),
        (ChangeTrust(asset, "0"), ["trustline_removed"]),
        (ManageData("a", b"1"), ["data_created"]),
        (ManageData("a", b"2"), ["data_updated"]),
        (ManageData("a", None), ["data_removed"]),
        (BumpSequence(0), []),
        (SetOptions(signer=Signer.ed25519_public_key(bob.public_key, 1)), ["signer_created"]),
        (SetOptions(signer=Signer.ed25519_public_key(bob.public_key, 2)), ["signer_updated"]),
        (SetOptions(signer=Signer.ed25519_public_key(bob.public_key, 0)), ["signer_removed"]),
        (SetOptions(low_threshold=1, home_domain="a.b"),
         ["account_home_domain_updated", "account_thresholds_updated"]),
        (SetOptions(set_flags=AuthorizationFlag(3)), ["account_flags_updated"]),
    ]  # fmt: skip
    for operation, expected in steps:
        assert await effects(ledger, await done(ledger, alice, operation)) == expected
    target = await ledger.sequence(alice) + 50
    path = await done(ledger, alice, BumpSequence(target))
    _, body = await ledger.get(f"{path}/effects")
    assert body["_embedded"]["records"][0]["new_seq"] == str(target)


async def test_authorisation_and_clawback(pair):
    """Flags of a trustline show what was set and cleared; a clawback credits the issuer."""
    ledger, issuer, holder = pair
    asset = Asset("EURT", issuer.public_key)
    await done(ledger, issuer, SetOptions(set_flags=AuthorizationFlag(11)))
    await done(ledger, holder, ChangeTrust(asset))
    allow = SetTrustLineFlags(holder.public_key, asset, set_flags=TrustLineFlags.AUTHORIZED_FLAG)
    path = await done(ledger, issuer, allow, Payment(holder.public_key, asset, "5"))
    _, body = await ledger.get(f"{path}/effects")
    first = body["_embedded"]["records"][0]
    assert (first["type"], first["trustor"]) == ("trustline_flags_updated", holder.public_key)
    assert first["authorized_flag"] is True
    path = await done(ledger, issuer, Clawback(asset, holder.public_key, "2"))
    assert await effects(ledger, path) == ["account_credited", "account_debited"]


async def test_claimable_balance_effects(pair):
    """Creating names every claimant, claiming credits who claimed; the sponsorship comes last."""
    ledger, alice, bob = pair
    claimant = Claimant(bob.public_key, ClaimPredicate.predicate_before_relative_time(60))
    path = await done(ledger, alice, CreateClaimableBalance(XLM, "3", [claimant]))
    assert await effects(ledger, path) == [
        "claimable_balance_created",
        "claimable_balance_claimant_created",
        "account_debited",
        "claimable_balance_sponsorship_created",
    ]
    _, body = await ledger.get(f"{path}/effects")
    assert body["_embedded"]["records"][1]["predicate"] == {"rel_before": "60"}
    balance_id = body["_embedded"]["records"][0]["balance_id"]
    path = await done(ledger, bob, ClaimClaimableBalance(balance_id))
    assert await effects(ledger, path) == [
        "claimable_balance_claimed",
        "account_credited",
        "claimable_balance_sponsorship_removed",
    ]


async def test_history_of_a_claimable_balance(pair):
    """A claimable balance finds the transactions and operations that made it and paid it out, no failures."""
    ledger, alice, bob = pair
    create = CreateClaimableBalance(XLM, "3", [Claimant(bob.public_key)])
    made = await done(ledger, alice, Payment(bob.public_key, XLM, "1"), create)
    _, body = await ledger.get("/claimable_balances")
    balance_id = body["_embedded"]["records"][0]["id"]
    assert await ledger.run(alice, ClaimClaimableBalance(balance_id)) == ["tx_failed", "op_cannot_claim"]
    claimed = await done(ledger, bob, ClaimClaimableBalance(balance_id))

    async def shown(collection, name):
        _, page = await ledger.get(f"/claimable_balances/{balance_id}/{collection}", include_failed="true")
        return [record[name] for record in page["_embedded"]["records"]]

    assert await shown("transactions", "hash") == [made.split("/")[-1], claimed.split("/")[-1]]
    assert await shown("operations", "type") == ["create_claimable_balance", "claim_claimable_balance"]
    assert (await ledger.get(f"/claimable_balances/{'0' * 72}/transactions"))[0] == 404


async def test_sponsored_account_and_merge(pair):
    """A sponsored account is created, and its sponsorship; merging removes both."""
    ledger, alice, _ = pair
    new = ledger.key("new")
    sandwich = [
        BeginSponsoringFutureReserves(new.public_key),
        CreateAccount(new.public_key, "1"),
        EndSponsoringFutureReserves(source=new.public_key),
    ]
    path = await done(ledger, alice, *sandwich, signers=[alice, new])
    assert await effects(ledger, path) == [
        "account_created",
        "account_debited",
        "signer_created",
        "account_sponsorship_created",
    ]
    _, body = await ledger.get(f"{path}/operations")
    begin, create, end = body["_embedded"]["records"]
    assert create["sponsor"] == end["begin_sponsor"] == alice.public_key
    assert "sponsor" not in begin
    path = await done(ledger, new, AccountMerge(alice.public_key))
    assert await effects(ledger, path) == [
        "account_debited",
        "account_credited",
        "account_removed",
        "account_sponsorship_removed",
    ]


async def test_effects_are_paged_within_an_operation(pair):
    """A page may end between two effects of one operation, in both orders, and under every owner."""
    ledger, alice, bob = pair
    path = await done(ledger, alice, Payment(bob.public_key, XLM, "1"), Payment(bob.public_key, XLM, "2"))
    for order in ("asc", "desc"):
        _, whole = await ledger.get(f"{path}/effects", order=order)
        tokens = [record["paging_token"] for record in whole["_embedded"]["records"]]
        seen, cursor = [], ""
        while True:
            _, page = await ledger.get(f"{path}/effects", order=order, limit="1", cursor=cursor)
            if not page["_embedded"]["records"]:
                break
            cursor = page["_embedded"]["records"][0]["paging_token"]
            seen.append(cursor)
        assert seen == tokens
        assert len(seen) == 4
    operation = tokens[0].split("-")[0]
    assert len(await effects(ledger, f"/operations/{operation}")) == 2
    assert await effects(ledger, f"/accounts/{bob.public_key}", order="desc") == [
        "account_credited",
        "account_credited",
        "signer_created",
        "account_created",
    ]
    assert await effects(ledger, "", cursor="now") == []
    _, body = await ledger.get(f"/operations/{operation}")
    assert (body["id"], body["type"]) == (operation, "payment")


async def test_failed_transactions_have_no_effects(pair):
    """What was undone had no effect."""
    ledger, alice, bob = pair
    envelope = await ledger.build(alice, Payment(bob.public_key, XLM, "99999"))
    await ledger.offer(envelope)
    await ledger.close()
    assert await effects(ledger, f"/transactions/{envelope.hash_hex()}") == []


async def test_effects_survive_a_restart(drive, tmp_path):
    """What operations changed is kept with the transactions."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data) as ledger:
        alice = ledger.key("alice")
        await ledger.fund(alice)
        path = await done(ledger, alice, ManageData("a", b"1"), ManageData("a", None))
        before = await effects(ledger, path)
    async with drive(data=data) as ledger:
        assert await effects(ledger, path) == before == ["data_created", "data_removed"]
