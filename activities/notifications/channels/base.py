"""What every channel promises, and the closed tree of its errors.

DeliveryError
├── DeliveryFailed      refused for now, nothing was sent: try again later
├── DeliveryAmbiguous   the answer was lost: it may have arrived, or not
└── DeliveryRefused     refused for good: trying again changes nothing

No message of these errors holds a credential: Telegram's token, for one, is part of the URL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from domain.errors import MintkeeperError

# Seconds for one whole call. An activity attempt is cheap to repeat and expensive to hang in.
TIME_LIMIT = 10.0

# The part of the time limit that may go into connecting: when that fails, nothing was sent for sure.
CONNECT_SHARE = 0.8

Block = Mapping[str, Any]


class DeliveryError(MintkeeperError):
    """Root of what can go wrong when a message is handed to a provider."""

    code = "delivery_error"


class DeliveryFailed(DeliveryError):
    """The provider refused for now or could not be reached; nothing was sent.

    `retry_after` is the provider's own wish in seconds, None when it has none.
    """

    code = "delivery_failed"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeliveryAmbiguous(DeliveryError):
    """The request went out and no usable answer came back: the message may or may not have arrived."""

    code = "delivery_ambiguous"


class DeliveryRefused(DeliveryError):
    """The provider will never take this message: bad credential, unknown target, bad content."""

    code = "delivery_refused"


class Standing(StrEnum):
    """How far what a message speaks of has come."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(frozen=True)
class AckButton:
    """A way to say "I am on it" beside the text; `label` tells which request of a digest it is about."""

    handle: str
    link: str
    label: str = ""


@dataclass(frozen=True)
class Message:
    """One delivery, rendered.

    `kind` is the event kind, `target` the channel, address or chat. `subject` and `text` are plain
    text (each client escapes them for its provider); `html` and `blocks` are escaped already. `facts`
    are single lines of plain text without any link; `settings` are those of the channel; `dedup_key`
    is the same for all messages of a run. `ack_buttons` are those of a digest, for channels with buttons.
    `decides`: its request waits for a decision, which can be made below the message.
    """

    delivery_id: str
    kind: str
    target: str
    subject: str
    text: str
    html: str | None = None
    blocks: Sequence[Block] | None = None
    channel: str = ""
    request_id: str = ""
    link: str = ""
    ack_link: str = ""
    ack_handle: str = ""
    ack_buttons: Sequence[AckButton] = ()
    decides: bool = False
    dedup_key: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    standing: Standing = Standing.OPEN


@dataclass(frozen=True)
class Accepted:
    """The provider took the message; `provider_id` is its name for it, `note` says what was unusual."""

    provider_id: str | None
    note: str = ""


class ChannelClient(Protocol):
    """One way to reach people."""

    @property
    def kind(self) -> str:
        """`slack`, `email`, `telegram`, `pagerduty`, `webhook` or `console`."""
        ...

    @property
    def in_log(self) -> bool:
        """Whether what it sends ends up in a log, where no token may be."""
        ...

    async def send(self, message: Message) -> Accepted:
        """Hand over one message; raises DeliveryError."""
        ...

    async def close(self) -> None:
        """Give back connections; the client is not used afterwards."""
        ...


@runtime_checkable
class Revisable(Protocol):
    """A channel whose messages can be brought up to date once they are sent."""

    async def revise(self, provider_id: str, message: Message) -> None:
        """Let the message of this id say what `message` says; raises DeliveryError."""
        ...
