"""What the providers received, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

# A stack that stays up for weeks must not grow without bound; the oldest messages give way.
KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as one provider understood it; `id` is the id that the provider answered with."""

    id: str
    to: str
    subject: str
    text: str
    delivery_id: str = ""
    updates: str = ""
    buttons: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """An incoming message with its provider and the time of arrival (ISO 8601, UTC).

    `reads_now` is the text that an update has put in its place; empty: it reads as it came. `buttons` are
    those that it shows now.
    """

    provider: str
    to: str
    subject: str
    text: str
    at: str
    id: str
    delivery_id: str
    updates: str
    buttons: tuple[object, ...] = ()
    reads_now: str = ""


class Messages:
    """The record of all providers together."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._received: dict[tuple[str, str], Received] = {}

    def add(self, provider: str, incoming: Incoming, arrived: datetime) -> None:
        """Record a message that had arrived then, however long its answer took.

        Its (provider, id) is unique because the providers number their answers.
        """
        at = arrived.astimezone(UTC).isoformat(timespec="milliseconds")
        if original := self._received.get((provider, incoming.updates)):
            self._received[provider, incoming.updates] = replace(
                original, reads_now=incoming.text, buttons=incoming.buttons
            )
        self._received[provider, incoming.id] = Received(provider=provider, at=at, **asdict(incoming))
        if len(self._received) > self._kept:
            del self._received[next(iter(self._received))]

    def __len__(self) -> int:
        return len(self._received)

    def __iter__(self) -> Iterator[Received]:
        return iter(self._received.values())

    def find(self, provider: str, message_id: str) -> Received | None:
        """The message of that id, if it is still kept."""
        return self._received.get((provider, message_id))

    def newest(self, count: int) -> list[Received]:
        """The last `count` messages, newest first."""
        return list(self._received.values())[: -count - 1 : -1]

    def clear(self) -> int:
        """Forget everything; answers how many messages there were."""
        count = len(self._received)
        self._received.clear()
        return count
