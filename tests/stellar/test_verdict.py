"""What the ledger's word or the proof makes of a submission."""

from datetime import UTC, datetime

import pytest

from activities.stellar import envelope, proof, verdict
from activities.stellar.horizon import Ledger
from domain.ledger_accounts import AccountView, NoAccount
from domain.ledger_options import MintForm, MintPlan
from domain.submission import Landed, Outcome
from settings import TESTNET_PASSPHRASE
from tests.support.mints import CHANNEL, a_request, a_wallet

SUBMISSION = envelope.sign_mint(
    a_request(), a_wallet(CHANNEL), channel=CHANNEL.public_key, sequence=42, max_time=1000, signed_at_ledger=7
)


def a_ledger(close_time: int, sequence: int = 20) -> Ledger:
    """A closed ledger."""
    return Ledger(sequence, close_time, datetime.fromtimestamp(close_time, UTC), "ab" * 32)


def the_channel(sequence: int, ledger: int) -> AccountView:
    """The channel account as Horizon showed it at a height."""
    return AccountView(CHANNEL.public_key, ledger, sequence, {})


def landed(*, successful=True, found=SUBMISSION.hash, **codes) -> Landed:
    """The transaction as found in a closed ledger."""
    return Landed(
        found_hash=found, ledger=9, closed_at=datetime.fromtimestamp(900, UTC), successful=successful,
        result_codes=codes,
    )  # fmt: skip


@pytest.mark.parametrize(("close_time", "past"), [(999, False), (1000, False), (1001, True)])
def test_a_close_time_equal_to_the_bound_is_still_valid(close_time, past):
    """Only a ledger that closed after the bound shows that none can take the envelope any more."""
    assert proof.bound_is_past(SUBMISSION, a_ledger(close_time)) is past


def test_an_account_at_an_older_height_proves_nothing():
    """Step (iii) counts only at a ledger not older than the one that was seen past the bound."""
    assert proof.judge_account(SUBMISSION, a_ledger(1001, 20), the_channel(41, 19)) is None


def test_an_unused_sequence_at_the_height_proves_it():
    """The stored proof carries all three steps."""
    found = proof.judge_account(SUBMISSION, a_ledger(1001, 20), the_channel(41, 21))
    assert found.kind == "never_landed"
    assert (found.ledger, found.ledger_hash, found.max_time) == (20, "ab" * 32, 1000)
    assert found.absent_hashes == (SUBMISSION.hash,)
    assert (found.account, found.account_sequence, found.account_ledger) == (CHANNEL.public_key, 41, 21)
    assert found.transaction_sequence == 42
    assert verdict.judge_proof(SUBMISSION, found).outcome is Outcome.TIMEOUT_FAILED


@pytest.mark.parametrize(
    "account", [the_channel(42, 20), the_channel(43, 20), NoAccount(CHANNEL.public_key, 20)]
)
def test_a_used_sequence_without_the_hash_is_an_anomaly(account):
    """Somebody else used the sequence, or removed the account: never called a time-out."""
    found = proof.judge_account(SUBMISSION, a_ledger(1001, 20), account)
    assert verdict.judge_proof(SUBMISSION, found).outcome is Outcome.ANOMALY


def test_a_landed_mint_is_confirmed_with_its_ledger():
    """The result carries the ledger and the proof where it landed."""
    result = verdict.judge_landed(a_request(), SUBMISSION, landed())
    assert (result.outcome, result.ledger, result.proof.kind) == (Outcome.CONFIRMED, 9, "landed")
    assert result.proof.landed.found_hash == SUBMISSION.hash


@pytest.mark.parametrize("change", [{"amount": 1}, {"memo": "other"}, {"destination": CHANNEL.public_key}])
def test_a_landed_payment_that_was_not_asked_for_is_an_anomaly(change):
    """CONFIRMED says that this very request was minted, so the stored envelope is compared first."""
    result = verdict.judge_landed(a_request(**change), SUBMISSION, landed())
    assert result.outcome is Outcome.ANOMALY


@pytest.mark.parametrize(("codes", "words"), [
    ({"transaction": "tx_failed", "operations": ["op_no_trust"]}, "op_no_trust"),
    ({"transaction": "tx_bad_seq"}, "tx_bad_seq"),
    ({"transaction": "tx_bad_auth"}, "tx_bad_auth"),
])  # fmt: skip
def test_an_included_failure_is_final(codes, words):
    """Fee and sequence are spent, whichever code stands in history."""
    result = verdict.judge_landed(a_request(), SUBMISSION, landed(successful=False, **codes))
    assert result.outcome is Outcome.FAILED
    assert words in result.reason


def test_a_bump_whose_inner_transaction_failed_is_final():
    """The inner transaction was applied and spent its sequence."""
    codes = {"transaction": "tx_fee_bump_inner_failed", "inner_transaction": "tx_failed",
             "operations": ["op_line_full"]}  # fmt: skip
    result = verdict.judge_landed(a_request(), SUBMISSION, landed(successful=False, found="cd" * 32, **codes))
    assert result.outcome is Outcome.FAILED
    assert "op_line_full" in result.reason


def test_a_bump_that_failed_by_itself_is_an_anomaly():
    """The payment inside was not tried and may still land, so nothing final may be said."""
    result = verdict.judge_landed(
        a_request(), SUBMISSION, landed(successful=False, found="cd" * 32, transaction="tx_bad_auth")
    )
    assert result.outcome is Outcome.ANOMALY


def test_the_proof_names_every_hash():
    """A fee bump's hash must be absent too."""
    bump = envelope.bump(SUBMISSION, a_wallet(CHANNEL), fee=2000, network_passphrase=TESTNET_PASSPHRASE)
    bumped = SUBMISSION.model_copy(update={"fee_bumps": (bump,)})
    found = proof.judge_account(bumped, a_ledger(1001), the_channel(41, 20))
    assert found.absent_hashes == (SUBMISSION.hash, bump.hash)


SANDWICH = MintPlan(form=MintForm.AUTH_SANDWICH, ticket=True)


def planned(plan):
    """The submission of another form."""
    return envelope.sign_mint(
        a_request(), a_wallet(CHANNEL), channel=CHANNEL.public_key, sequence=42, max_time=1000,
        signed_at_ledger=7, plan=plan,
    )  # fmt: skip


def failed(plan, *operations):
    """The outcome of a form that was included and refused with these codes."""
    stored = planned(plan)
    found = landed(successful=False, found=stored.hash, transaction="tx_failed", operations=list(operations))
    return verdict.judge_landed(a_request(), stored, found)


def test_a_reason_names_what_failed_and_what_it_means():
    """Operations that succeeded, and were rolled back, would only hide the one that did not."""
    result = failed(SANDWICH, "op_success", "op_success", "op_cant_revoke", "op_success")
    assert result.outcome is Outcome.FAILED
    assert result.reason.endswith("op_cant_revoke (the issuer lacks AUTH_REVOCABLE)")


def test_a_ticket_that_was_used_up_by_something_else_is_an_anomaly():
    """That may have been a mint of this very request: called FAILED, it could be minted a second time."""
    result = failed(SANDWICH, "op_success", "op_success", "op_success", "op_data_name_not_found")
    assert result.outcome is Outcome.ANOMALY
    assert "find out whether it was a mint" in result.reason


def test_without_a_ticket_the_same_code_is_a_plain_failure():
    """Only an envelope with a ticket can miss one."""
    result = failed(MintPlan(), "op_data_name_not_found")
    assert result.outcome is Outcome.FAILED


def test_a_claimable_balance_is_confirmed_by_its_id():
    """The reason tells where the amount is, and until when it is the holder's alone."""
    stored = planned(MintPlan(form=MintForm.CLAIMABLE_BALANCE, reclaim_from=1_900_000_000))
    result = verdict.judge_landed(a_request(), stored, landed(found=stored.hash))
    assert result.outcome is Outcome.CONFIRMED
    assert stored.plan.claimable_balance_id in result.reason
    assert "take back from 2030-03-17T17:46:40Z" in result.reason
