"""What a client is told of their request, in words that need no explanation: on their page and by mail.

No approver, no tier, no command: who decides, and how, is the desk's own business.
"""

from __future__ import annotations

from typing import Final

from domain.mint_request import MintStatus

_S = MintStatus

WORDS: Final = {
    _S.PENDING: ("Waiting for approval", "We look at your request. You need not do anything."),
    _S.APPROVED: ("Approved", "Your request is approved and goes to the ledger now."),
    _S.SUBMITTING: ("On its way", "Your request is approved and on its way to the ledger."),
    _S.CONFIRMED: ("Done", "The payment is on the ledger."),
    _S.REJECTED: ("Not approved", "Your request was turned down. Nothing was paid."),
    _S.CANCELLED: ("Cancelled", "Your request was taken back. Nothing was paid."),
    _S.EXPIRED: ("Out of time", "Nobody approved your request in time. Nothing was paid; you can ask again."),
    _S.FAILED: ("Not possible", "The ledger refused the payment. Nothing was paid: please write to us."),
    _S.TIMEOUT_FAILED: ("Not in time", "The payment did not reach the ledger in time, and never will."),
    _S.ANOMALY: (
        "Being looked at",
        "Something unusual happened on the ledger. We look at it.",
    ),
}
"""By status: a title and a sentence."""

_TOLD: Final = {"message": "We wrote to you.", "attachment": "We handed a document in."}


def told(kind: str, otherwise: str) -> str:
    """What a client was told by a notification of that kind; `otherwise` for one that has no words here."""
    if kind == "partially_approved":
        return "A first approval has come; we wait for another."
    if kind.upper() in MintStatus.__members__:
        return ": ".join(WORDS[MintStatus[kind.upper()]])
    return _TOLD.get(kind, otherwise)
