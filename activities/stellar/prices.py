"""What the ledger asks for an operation at present, from the network's own statistics."""

from __future__ import annotations

from activities.stellar.horizon import Horizon, HorizonUnavailable
from activities.stellar.recent import Recent
from activities.stellar.rules import BASE_FEE, SubmissionRules

PRICE_SECONDS = 5.0
"""So old a price may be: about a ledger of a public network, and one question for everybody."""

HEADROOM = 2
"""In a surge twice what most have paid is bid: everybody in a ledger pays the lowest bid it took, so a
high bid costs nothing, and a price that rises meanwhile leaves nobody behind."""


class FeePrices:
    """The going price, read at most once in a while and shared by all submissions."""

    def __init__(self, horizon: Horizon, rules: SubmissionRules) -> None:
        self._recent = Recent(horizon.fee_paid)
        self._most = rules.max_fee_stroops

    async def going(self) -> int:
        """Native stroops to bid for an operation: the minimum in quiet times, or when nobody tells."""
        try:
            paid = await self._recent.get(PRICE_SECONDS)
        except HorizonUnavailable:
            return BASE_FEE
        return BASE_FEE if paid <= BASE_FEE else paid * HEADROOM

    async def first_bid(self, operations: int) -> int:
        """What an envelope of so many operations bids for each of them, within the configured cap."""
        return max(BASE_FEE, min(await self.going(), self._most // operations))
