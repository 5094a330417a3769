"""From what was found or proved to the outcome of a submission; pure."""

from __future__ import annotations

from datetime import UTC, datetime

from activities.stellar.envelope import find_mismatch
from activities.stellar.result_codes import DATA_NAME_NOT_FOUND
from domain.ledger_options import MintForm, MintPlan
from domain.mint_request import MintRequest, utc_text
from domain.submission import Landed, Outcome, Proof, StoredEnvelope, Submission, SubmissionResult

_INNER_FAILED = "tx_fee_bump_inner_failed"
_SUCCESS = "op_success"

_MEANING = {
    "op_no_destination": "the destination does not exist",
    "op_no_trust": "the destination has no trustline",
    "op_not_authorized": "the trustline is not authorised",
    "op_line_full": "the trustline has no room for the amount",
    "op_cant_revoke": "the issuer lacks AUTH_REVOCABLE",
    "op_low_reserve": "the issuer has too few native units for the reserve",
    "op_too_many_subentries": "the issuer has as many entries as the ledger allows",
    DATA_NAME_NOT_FOUND: "a ticket is gone",
}
"""What an operation's failure means for a mint."""


def judge_landed(request: MintRequest, submission: Submission, landed: Landed) -> SubmissionResult:
    """The outcome of an envelope that stands in a closed ledger."""
    outcome, reason = _judge(request, submission, landed)
    return SubmissionResult(
        outcome=outcome, reason=reason, proof=landing_proof(submission, landed), ledger=landed.ledger
    )


def landing_proof(stored: StoredEnvelope, landed: Landed) -> Proof:
    """The proof that an envelope stands in a closed ledger."""
    return Proof(kind="landed", landed=landed, account=stored.channel, transaction_sequence=stored.sequence)


def refusal(landed: Landed) -> str:
    """What an included transaction failed of, with the ledger's codes and what they mean."""
    operations = landed.result_codes.get("operations")
    named = list(map(str, operations)) if isinstance(operations, list) else []
    failed = [code for code in named if code != _SUCCESS] or [str(landed.result_codes.get("transaction", ""))]
    told = ", ".join(f"{code} ({_MEANING[code]})" if code in _MEANING else code for code in failed)
    return f"refused by the ledger {_where(landed)}: {told}"


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
        how = proof.note or "no history tells by which"
        reason = (
            f"sequence {submission.sequence} of channel account {submission.channel} is used up, but not by "
            f"this transaction ({how}): find out who else uses that account"
        )
    return SubmissionResult(outcome=outcome, reason=reason, proof=proof, ledger=proof.ledger)


def _judge(request: MintRequest, submission: Submission, landed: Landed) -> tuple[Outcome, str]:
    where = _where(landed)
    if landed.successful:
        mismatch = find_mismatch(submission, request)
        if mismatch:
            return Outcome.ANOMALY, f"a payment landed {where}, but {mismatch}"
        return Outcome.CONFIRMED, f"landed {where}{_how(submission.plan)}"
    codes = landed.result_codes
    transaction = str(codes.get("transaction", ""))
    if landed.found_hash != submission.hash and transaction != _INNER_FAILED:
        # only the fee bump's own source failed, so the payment inside may still land by itself
        return Outcome.ANOMALY, f"the fee bump itself failed {where} with {transaction}"
    operations = codes.get("operations")
    if submission.plan.ticket and isinstance(operations, list) and operations[-1:] == [DATA_NAME_NOT_FOUND]:
        # whatever used the ticket up may have been a mint of this request: FAILED could mint it twice
        return Outcome.ANOMALY, (
            f"{refusal(landed)}; another transaction has used up or removed the ticket of this request: "
            "find out whether it was a mint"
        )
    return Outcome.FAILED, refusal(landed)


def _where(landed: Landed) -> str:
    return f"in ledger {landed.ledger}, closed {utc_text(landed.closed_at)}"


def _how(plan: MintPlan) -> str:
    """What the holder has of it, where it is not simply paid."""
    if plan.form is not MintForm.CLAIMABLE_BALANCE or plan.reclaim_from is None:
        return ""
    until = utc_text(datetime.fromtimestamp(plan.reclaim_from, UTC))
    return f" as claimable balance {plan.claimable_balance_id}, which the issuer may take back from {until}"
