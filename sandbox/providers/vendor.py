"""What every provider has in common: a call comes in, an answer and perhaps a message come out.

The providers are pure; the network, the faults and the record belong to `server.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sandbox.providers.messages import Incoming

JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its path below the provider's prefix, its credential, its decoded body.

    `headers` have names in lower case; `raw` is the body as it came, which is what signatures are over.
    """

    path: str
    token: str
    body: JsonObject
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: an object as JSON, a string as HTML, None as nothing; `message` is recorded."""

    status: int
    body: JsonObject | str | None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: Incoming | None = None


class Vendor(Protocol):
    """One provider; its name is also the first part of its path."""

    @property
    def name(self) -> str:
        """One of `faults.PROVIDERS`."""
        ...

    def answer(self, call: Call) -> Answer:
        """The answer in good health."""
        ...

    def too_many(self, retry_after: int) -> Answer:
        """The answer to a caller over the rate limit; `retry_after` in seconds."""
        ...

    def broken(self) -> Answer:
        """The answer when the provider itself is ill."""
        ...


def refuses_token(token: str) -> bool:
    """A missing credential, or one with the magic word, is refused."""
    return not token or "revoked" in token


def refuses_target(target: str) -> bool:
    """An empty target, or one with the magic word, does not exist."""
    return not target or "unknown" in target


def mapping(value: object) -> JsonObject:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[object]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def first_line(text: str) -> str:
    """What stands for a subject where the provider has none."""
    return text.strip().split("\n", 1)[0]
