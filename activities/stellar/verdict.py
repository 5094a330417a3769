"""From what was found or proved to the outcome of a submission; pure."""

from __future__ import annotations

from activities.stellar.envelope import find_mismatch
from domain.mint_request import MintRequest, utc_text
from domain.submission import Landed, Outcome, Proof, Submission, SubmissionResult

_INNER_FAILED = "tx_fee_bump_inner_failed"


def judge_landed(request: MintRequest, submission: Submission, landed: Landed) -> SubmissionResult:
    """The outcome of an envelope that stands in a closed ledger."""
    proof = Proof(
        kind="landed", landed=landed, account=submission.channel, transaction_sequence=submission.sequence
    )
    outcome, reason = _judge(request, submission, landed)
    return SubmissionResult(outcome=outcome, reason=reason, proof=proof, ledger=landed.ledger)


def judge_proof(submission: Submission, proof: Proof) -> SubmissionResult:
    """The outcome of an envelope that is in no ledger although its time bound has passed."""
    if proof.kind == "never_landed":
        outcome = Outcome.TIMEOUT_FAILED
        reason = (
            f"never landed: ledger {proof.ledger} closed after the time bound, the transaction is in none, "
            f"and its sequence number is unused at ledger {proof.account_ledger}"
        )
    else:
        outcome = Outcome.ANOMALY
        reason = (
            f"sequence {submission.sequence} of channel account {submission.channel} is used up, but not by "
            "this transaction: find out who else uses that account"
        )
    return SubmissionResult(outcome=outcome, reason=reason, proof=proof, ledger=proof.ledger)


def _judge(request: MintRequest, submission: Submission, landed: Landed) -> tuple[Outcome, str]:
    where = f"in ledger {landed.ledger}, closed {utc_text(landed.closed_at)}"
    if landed.successful:
        mismatch = find_mismatch(submission, request)
        if mismatch:
            return Outcome.ANOMALY, f"a payment landed {where}, but {mismatch}"
        return Outcome.CONFIRMED, f"landed {where}"
    codes = landed.result_codes
    transaction = str(codes.get("transaction", ""))
    if landed.found_hash != submission.hash and transaction != _INNER_FAILED:
        # only the fee bump's own source failed, so the payment inside may still land by itself
        return Outcome.ANOMALY, f"the fee bump itself failed {where} with {transaction}"
    operations = codes.get("operations")
    named = operations if isinstance(operations, list) and operations else [transaction]
    return Outcome.FAILED, f"refused by the ledger {where}: {', '.join(map(str, named))}"
