"""Mints that are no plain payment, on a ledger: the sandwich and the claimable balance, to their end."""

from datetime import UTC, datetime

import pytest
from stellar_sdk import (
    AuthorizationFlag,
    ChangeTrust,
    ClaimClaimableBalance,
    Keypair,
    SetOptions,
    TransactionEnvelope,
)
from stellar_sdk.operation import SetTrustLineFlags
from stellar_sdk.operation.set_trust_line_flags import TrustLineFlags

from commands.documents import request_document
from domain.ledger_options import MintForm
from domain.mint_request import MintStatus, utc_text
from domain.submission import Outcome
from settings import TESTNET_PASSPHRASE
from tests.support.minting import minting_on

DAY = 86_400


@pytest.fixture
async def newcomer(ledger):
    """A funded account without a trustline."""
    account = Keypair.random()
    await ledger.fund(account)
    return account


async def line_of(ledger, holder):
    """The holder's trustline as Horizon shows it, or None."""
    account = await ledger.server.accounts().account_id(holder.public_key).call()
    lines = [line for line in account["balances"] if line.get("asset_issuer") == ledger.issuer.public_key]
    return lines[0] if lines else None


async def unauthorised(ledger, holder):
    """A trustline of an issuer that requires authorisation and has not given it."""
    await ledger.require_authorisation()
    await ledger.trust(holder)


def operations_of(submission):
    """What the stored envelope does, in order."""
    envelope = TransactionEnvelope.from_xdr(submission.envelope_xdr, TESTNET_PASSPHRASE)
    return [type(operation).__name__ for operation in envelope.transaction.operations]


async def test_the_sandwich_pays_and_leaves_the_line_as_it_was(minting, ledger, newcomer):
    """Authorise, pay, take it back, in one transaction: the holder has the amount and can't send it on."""
    await unauthorised(ledger, newcomer)
    await minting.allow(auth_sandwich=True)
    request = await minting.approved(destination=newcomer.public_key)
    result = await minting.mint(request)
    record, line = await minting.record(request), await line_of(ledger, newcomer)
    assert (result.outcome, record.status) == (Outcome.CONFIRMED, MintStatus.CONFIRMED)
    assert operations_of(record.submission) == ["SetTrustLineFlags", "Payment", "SetTrustLineFlags"]
    assert record.submission.plan.form is MintForm.AUTH_SANDWICH
    assert (line["balance"], line["is_authorized"]) == ("2500.0000000", False)
    assert not line["is_authorized_to_maintain_liabilities"]
    assert len(await ledger.payments(newcomer.public_key)) == 1


async def test_the_sandwich_restores_the_lesser_authorisation(minting, ledger, newcomer):
    """A line that may keep its liabilities may do so afterwards, and no more."""
    await unauthorised(ledger, newcomer)
    lesser = TrustLineFlags.AUTHORIZED_TO_MAINTAIN_LIABILITIES_FLAG
    keeps = SetTrustLineFlags(newcomer.public_key, ledger.ledger_asset, set_flags=lesser)
    await ledger.run(ledger.issuer, keeps)
    await minting.allow(auth_sandwich=True)
    result = await minting.mint(await minting.approved(destination=newcomer.public_key))
    line = await line_of(ledger, newcomer)
    assert result.outcome is Outcome.CONFIRMED
    assert line["balance"] == "2500.0000000"
    assert (line["is_authorized"], line["is_authorized_to_maintain_liabilities"]) == (False, True)


async def test_the_sandwich_is_refused_without_auth_revocable(minting, ledger, newcomer):
    """The ledger would refuse to take the authorisation back, so nothing is signed."""
    await ledger.run(ledger.issuer, SetOptions(set_flags=AuthorizationFlag.AUTHORIZATION_REQUIRED))
    await ledger.trust(newcomer)
    await minting.allow(auth_sandwich=True)
    request = await minting.approved(destination=newcomer.public_key)
    answer = await minting.submit(request)
    assert answer.status is MintStatus.FAILED
    assert "needs AUTH_REVOCABLE" in answer.reason
    assert (await minting.record(request)).submission is None


async def test_a_flag_taken_from_the_issuer_after_the_check_fails_on_the_ledger(minting, ledger, newcomer):
    """The last operation fails, everything is rolled back, and the reason says why."""
    await unauthorised(ledger, newcomer)
    await minting.allow(auth_sandwich=True)
    request = await minting.approved(destination=newcomer.public_key)
    await ledger.fault("timeout_never_land", count=1)
    await minting.submit(request)
    await ledger.run(ledger.issuer, SetOptions(clear_flags=AuthorizationFlag.AUTHORIZATION_REVOCABLE))
    result = await minting.mint(request)
    assert result.outcome is Outcome.FAILED
    assert result.proof.landed.result_codes["operations"] == ["op_success", "op_success", "op_cant_revoke"]
    assert "op_cant_revoke (the issuer lacks AUTH_REVOCABLE)" in result.reason
    assert (await line_of(ledger, newcomer))["balance"] == "0.0000000"


async def test_a_line_removed_after_the_check_is_named_by_every_operation(minting, ledger, newcomer):
    """The codes of set_trust_line_flags are Horizon's own words."""
    await unauthorised(ledger, newcomer)
    await minting.allow(auth_sandwich=True)
    request = await minting.approved(destination=newcomer.public_key)
    await ledger.fault("timeout_never_land", count=1)
    await minting.submit(request)
    await ledger.run(newcomer, ChangeTrust(ledger.ledger_asset, "0"))
    result = await minting.mint(request)
    assert (result.outcome, result.proof.landed.result_codes["operations"]) == (
        Outcome.FAILED, ["op_no_trust"] * 3,
    )  # fmt: skip


async def test_a_missing_line_gets_a_balance_that_its_holder_claims(minting, ledger, newcomer):
    """The stored id is the ledger's; once the holder trusts the asset, the whole amount is theirs."""
    await minting.allow(claimable_balance=True)
    request = await minting.approved(destination=newcomer.public_key)
    result = await minting.mint(request)
    plan = (await minting.record(request)).submission.plan
    shown = await ledger.server.claimable_balances().claimable_balance(plan.claimable_balance_id).call()
    told = request_document(await minting.record(request))["submission"]
    assert result.outcome is Outcome.CONFIRMED
    assert plan.claimable_balance_id in result.reason
    assert (told["form"], told["claimable_balance_id"]) == ("claimable_balance", plan.claimable_balance_id)
    assert told["reclaim_from"] == utc_text(datetime.fromtimestamp(plan.reclaim_from, UTC))
    assert (shown["asset"], shown["amount"]) == (str(request.asset), "2500.0000000")
    assert {claimant["destination"] for claimant in shown["claimants"]} == {
        newcomer.public_key, ledger.issuer.public_key,
    }  # fmt: skip
    await ledger.run(
        newcomer, ChangeTrust(ledger.ledger_asset), ClaimClaimableBalance(plan.claimable_balance_id)
    )
    assert (await line_of(ledger, newcomer))["balance"] == "2500.0000000"


async def test_the_issuer_takes_back_what_nobody_claimed_but_not_before(minting, ledger, newcomer):
    """The period counts from the ledger's clock; until then only the holder can claim."""
    await minting.allow(claimable_balance=True, reclaim_after_days=2)
    request = await minting.approved(destination=newcomer.public_key)
    opened = ledger.now
    await minting.mint(request)
    plan = (await minting.record(request)).submission.plan
    claim = ClaimClaimableBalance(plan.claimable_balance_id)
    # ledgers close meanwhile
    assert opened + 2 * DAY <= plan.reclaim_from <= ledger.now + 2 * DAY
    await ledger.run(ledger.issuer, claim)
    assert await exists(ledger, plan)
    await ledger.close(seconds=2 * DAY)
    await ledger.run(ledger.issuer, claim)
    assert not await exists(ledger, plan)


async def exists(ledger, plan) -> bool:
    """Whether the claimable balance is still there."""
    answer = await ledger.control.get(f"/claimable_balances/{plan.claimable_balance_id}")
    return answer.status_code == 200


async def test_an_issuer_without_the_reserve_is_refused(minting, ledger, newcomer):
    """Two claimants cost two reserves, which the issuer has to have to spare."""
    await minting.allow(claimable_balance=True)
    await ledger.drain(ledger.issuer)
    request = await minting.approved(destination=newcomer.public_key)
    answer = await minting.submit(request)
    assert answer.status is MintStatus.FAILED
    assert "claimable balance's reserve" in answer.reason
    assert await ledger.payments(newcomer.public_key) == []


async def test_the_issuer_alone_makes_the_same_balance(seeded):
    """With the issuer as the only channel the id follows from its own sequence."""
    async with minting_on(seeded) as minting:
        newcomer = Keypair.random()
        await minting.ledger.fund(newcomer)
        await minting.allow(claimable_balance=True)
        request = await minting.approved(destination=newcomer.public_key)
        result = await minting.mint(request)
        assert result.outcome is Outcome.CONFIRMED
        assert await exists(minting.ledger, (await minting.record(request)).submission.plan)


async def test_a_surge_bumps_every_form_by_its_own_count(minting, ledger, newcomer):
    """A bump counts one operation more than what it wraps: four for the sandwich."""
    await unauthorised(ledger, newcomer)
    await minting.allow(auth_sandwich=True)
    await ledger.fault("surge_fee", fee_per_operation=5_000)
    request = await minting.approved(destination=newcomer.public_key)
    result = await minting.mint(request)
    submission = (await minting.record(request)).submission
    assert result.outcome is Outcome.CONFIRMED
    assert [bump.fee for bump in submission.fee_bumps] == [20_000]
    assert result.proof.landed.found_hash == submission.fee_bumps[0].hash


async def test_a_view_that_lags_chooses_no_other_form(minting, ledger, newcomer):
    """The line is there and authorised, only one node does not know: no claimable balance, a payment."""
    await minting.allow(claimable_balance=True, auth_sandwich=True)
    await ledger.close(3)
    await ledger.trust(newcomer)
    await ledger.fault("two_views", ledgers=3)
    request = await minting.approved(destination=newcomer.public_key)
    async with ledger.closing(every=0.5):
        result = await minting.mint(request)
    assert result.outcome is Outcome.CONFIRMED
    assert (await minting.record(request)).submission.plan.form is MintForm.PAYMENT


async def test_an_option_switched_off_later_changes_no_stored_envelope(minting, ledger, newcomer):
    """What is signed is sent and judged by the plan that is stored with it."""
    await unauthorised(ledger, newcomer)
    await minting.allow(auth_sandwich=True)
    request = await minting.approved(destination=newcomer.public_key)
    await minting.submit(request)
    await minting.allow()
    result = await minting.mint(request)
    assert result.outcome is Outcome.CONFIRMED
