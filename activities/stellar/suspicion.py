"""A sequence that is used although no hash is found: somebody else, or a Horizon that does not know yet?

The account and the look-ups may come from different nodes, of which one lags far behind. So nothing is
concluded from the absence alone: the account's history has to name the transaction that used it.
"""

from __future__ import annotations

from collections import OrderedDict

from activities.stellar.history import History
from domain.submission import Proof, StoredEnvelope

LEDGERS_WITHOUT_HISTORY = 64
"""So many ledgers must close before a used sequence counts although no history tells who used it."""

MOST = 1000
"""So many envelopes are remembered; for the oldest the waiting would begin anew."""


class Suspicions:
    """Since which ledger each sequence is known to be used; kept for longer than one attempt lasts."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, int] = OrderedDict()

    async def weigh(
        self, history: History, stored: StoredEnvelope, finding: Proof, newest: int
    ) -> Proof | None:
        """The proof that another transaction used the sequence; None while ours may only not be shown yet.

        `newest` is the newest ledger seen. Raises HorizonUnavailable.
        """
        since = self._since.setdefault(stored.hash, newest)
        if len(self._since) > MOST:
            self._since.popitem(last=False)
        use, _ = await history.sequence_use()
        if use is None:
            return finding if newest >= since + LEDGERS_WITHOUT_HISTORY else None
        if use.by.hash in stored.hashes():
            return None
        note = f"{use.how.replace('_', ' ')} by transaction {use.by.hash} in ledger {use.by.ledger}"
        return finding.model_copy(update={"note": note})
