"""The proof that an envelope never landed and never can: three steps, in this order.

(i) a closed ledger L with closeTime above the bound has been seen; (ii) then every hash is absent;
(iii) then the source account, read at a ledger not older than L, is still below the sequence.
Looking before L was seen would prove nothing: the envelope could land between the two.
"""

from __future__ import annotations

from activities.stellar.horizon import Horizon, Ledger
from domain.ledger_accounts import AccountView, NoAccount
from domain.submission import Landed, Proof, StoredEnvelope


def bound_is_past(stored: StoredEnvelope, ledger: Ledger) -> bool:
    """Step (i): no later ledger can take the envelope. A close time equal to the bound still could."""
    return ledger.close_time > stored.max_time


async def find(horizon: Horizon, stored: StoredEnvelope) -> Landed | None:
    """Look every hash up, the inner one first; the first hit counts. Raises HorizonUnavailable."""
    for hash_ in stored.hashes():
        landed = await horizon.transaction(hash_)
        if landed is not None:
            return landed
    return None


async def prove(
    horizon: Horizon, stored: StoredEnvelope, late: Ledger, network: str
) -> Landed | Proof | None:
    """Steps (ii) and (iii), after `late` was seen and `stored` read with every fee bump there is.

    `network` is the passphrase that the envelope was signed for. None: Horizon showed the account at an
    older height, nothing is proved yet. Raises HorizonUnavailable, and ConfigurationError for a Horizon of
    another network.
    """
    # on another network the hash is absent and the sequence may be unused, and that proves nothing
    await horizon.check_network(network)
    landed = await find(horizon, stored)
    if landed is not None:
        return landed
    return judge_account(stored, late, await horizon.account(stored.channel))


def judge_account(stored: StoredEnvelope, late: Ledger, account: AccountView | NoAccount) -> Proof | None:
    """Step (iii): the sequence still unused at a height not older proves it; used means an anomaly."""
    if account.ledger < late.sequence:
        return None
    sequence = account.sequence if isinstance(account, AccountView) else None
    unused = sequence is not None and sequence < stored.sequence
    return Proof(
        kind="never_landed" if unused else "sequence_consumed",
        ledger=late.sequence,
        ledger_closed_at=late.closed_at,
        ledger_hash=late.hash,
        max_time=stored.max_time,
        absent_hashes=tuple(stored.hashes()),
        account=stored.channel,
        account_sequence=sequence,
        account_ledger=account.ledger,
        transaction_sequence=stored.sequence,
        note="" if sequence is not None else "the source account does not exist any more",
    )
