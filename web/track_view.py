"""What the client's page says: how a request stands in words that need no explanation.

No approver, no tier, no escalation: who decides, and how, is the desk's own business.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from domain.attachments import KINDS
from domain.client_words import WORDS
from domain.mint_request import TERMINAL, MintStatus
from domain.records import RequestRecord
from web.state import State
from web.tracking import Shown

_S = MintStatus

_SPOKEN: Final = {"done": "done", "now": "under way", "ahead": "still to come", "stopped": "stopped here"}


@dataclass(frozen=True)
class Step:
    """A step of the picture; `state` is done, now, ahead, or stopped where it ended."""

    name: str
    state: str
    at: datetime | None = None

    @property
    def spoken(self) -> str:
        """The state for who doesn't see the picture."""
        return _SPOKEN[self.state]


def view_of(state: State, seen: Shown) -> dict[str, Any]:
    """What the template is given."""
    record = seen.record
    title, words = WORDS[record.status]
    return {
        "record": record,
        "mint": record.request,
        "title": title,
        "words": words,
        "open": record.status not in TERMINAL,
        "steps": steps_of(record),
        "seen": seen,
        # messages and documents are on the page themselves
        "told": [one for one in seen.told if one.event not in ("MESSAGE", "ATTACHMENT")],
        "hash": record.submission.hash if record.submission and record.status is _S.CONFIRMED else "",
        "explorer_url": state.settings.explorer_url.rstrip("/"),
        "most_bytes": state.settings.upload_max_bytes,
        "endings": ",".join(ending for kind in KINDS.values() for ending in kind.endings),
    }


def steps_of(record: RequestRecord) -> list[Step]:
    """Asked, approved, on the ledger: what is done, under way, still to come, or where it stopped."""
    asked = Step("Asked for", "done", record.created_at)
    approved = _S.APPROVED, _S.SUBMITTING, _S.CONFIRMED, _S.FAILED, _S.TIMEOUT_FAILED, _S.ANOMALY
    if record.status not in approved:
        state = "now" if record.status is _S.PENDING else "stopped"
        return [asked, Step("Approval", state, record.ended_at), Step("On the ledger", "ahead")]
    done = Step("Approval", "done", record.decided_at)
    if record.status is _S.CONFIRMED:
        return [asked, done, Step("On the ledger", "done", record.ended_at)]
    under_way = record.status in (_S.APPROVED, _S.SUBMITTING, _S.ANOMALY)
    return [asked, done, Step("On the ledger", "now" if under_way else "stopped", record.ended_at)]
