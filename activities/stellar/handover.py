"""What `submit` leaves for `settle` in the same process: it spares a read, and nothing needs it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from activities.stellar.answers import Answer
from domain.records import RequestRecord

MOST = 1000
"""So many requests may wait for their `settle` here; the oldest are forgotten, and read again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request in SUBMITTING whose envelope has been sent, and how that was answered."""

    record: RequestRecord
    answer: Answer
    just_signed: bool = False
    """This attempt signed it, so it can have landed only since then."""


class Handover:
    """Requests sent by this process, each taken once."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, Sent] = OrderedDict()

    def put(self, sent: Sent) -> None:
        """Keep it for the `settle` that may come to this process."""
        self._sent[sent.record.request.id] = sent
        if len(self._sent) > MOST:
            self._sent.popitem(last=False)

    def take(self, request_id: str) -> Sent | None:
        """What this process sent last for the request, if it still remembers."""
        return self._sent.pop(request_id, None)
