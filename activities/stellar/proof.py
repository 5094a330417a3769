"""The proof that an envelope never landed and never can: three steps, in this order.

(i) a closed ledger L with closeTime above the bound has been seen; (ii) then every hash is absent;
(iii) then the source account, read at a ledger not older than L, is still below the sequence.
Looking before L was seen would prove nothing: the envelope could land between the two.
"""

from __future__ import annotations

from activities.stellar.horizon import AccountView, Horizon, Ledger, NoAccount
from domain.submission import Landed, Proof, Submission


def bound_is_past(submission: Submission, ledger: Ledger) -> bool:
    """Step (i): no later ledger can take the envelope. A close time equal to the bound still could."""
    return ledger.close_time > submission.max_time


async def find(horizon: Horizon, submission: Submission) -> Landed | None:
    """Look every hash up, the inner one first; the first hit counts. Raises HorizonUnavailable."""
    for hash_ in submission.hashes():
        landed = await horizon.transaction(hash_)
        if landed is not None:
            return landed
    return None


async def prove(horizon: Horizon, submission: Submission, late: Ledger) -> Landed | Proof | None:
    """Steps (ii) and (iii), after `late` was seen and `submission` read with every fee bump there is.

    None: Horizon showed the account at an older height, nothing is proved yet. Raises HorizonUnavailable.
    """
    landed = await find(horizon, submission)
    if landed is not None:
        return landed
    return judge_account(submission, late, await horizon.account(submission.channel))


def judge_account(submission: Submission, late: Ledger, account: AccountView | NoAccount) -> Proof | None:
    """Step (iii): the sequence still unused at a height not older proves it; used means an anomaly."""
    if account.ledger < late.sequence:
        return None
    sequence = account.sequence if isinstance(account, AccountView) else None
    unused = sequence is not None and sequence < submission.sequence
    return Proof(
        kind="never_landed" if unused else "sequence_consumed",
        ledger=late.sequence,
        ledger_closed_at=late.closed_at,
        ledger_hash=late.hash,
        max_time=submission.max_time,
        absent_hashes=tuple(submission.hashes()),
        account=submission.channel,
        account_sequence=sequence,
        account_ledger=account.ledger,
        transaction_sequence=submission.sequence,
        note="" if sequence is not None else "the source account does not exist any more",
    )
