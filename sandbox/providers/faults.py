"""Failures on demand: the next calls to a provider fail as the real one would."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

PROVIDERS = ("slack", "sendgrid", "telegram", "pagerduty", "webhook")
KINDS = ("429", "500", "drop", "slow")
LONGEST_DELAY = 600.0


class BadFault(ValueError):
    """The description of a fault makes no sense; the text says which part."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What the next `count` calls to `provider` meet.

    `429` refuses with `retry_after` (whole seconds); `500` is the provider's own server error;
    `drop` closes the connection without an answer, and with `after_accept` only after the message
    was taken; `slow` waits `seconds` and then answers as usual.
    """

    provider: str
    kind: str
    count: int = 1
    retry_after: int = 1
    seconds: float = 2.0
    after_accept: bool = False


class Faults:
    """Per provider a queue of faults; the oldest is used up first."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = {name: deque() for name in PROVIDERS}

    def add(self, fault: Fault) -> None:
        """Let the fault wait behind those that came before."""
        self._waiting[fault.provider].append(fault)

    def take(self, provider: str) -> Fault | None:
        """The fault that this call meets, if any; counts it down."""
        queue = self._waiting[provider]
        if not queue:
            return None
        fault = queue.popleft()
        if fault.count > 1:
            queue.appendleft(replace(fault, count=fault.count - 1))
        return fault

    def listed(self) -> list[dict[str, object]]:
        """What is still to come; `count` is what is left of it."""
        return [asdict(fault) for queue in self._waiting.values() for fault in queue]

    def clear(self) -> int:
        """Drop all that is still to come; answers how many entries there were."""
        entries = len(self.listed())
        for queue in self._waiting.values():
            queue.clear()
        return entries


def parse_fault(body: object) -> Fault:
    """Read the body of `POST /faults`; raises BadFault with a text for people."""
    if not isinstance(body, Mapping):
        raise BadFault("the body must be a JSON object")
    surplus = sorted(set(map(str, body)) - set(Fault.__dataclass_fields__))
    if surplus:
        raise BadFault(f"unknown field {surplus[0]!r}; known are {', '.join(Fault.__dataclass_fields__)}")
    fault = Fault(
        provider=_one_of(PROVIDERS, "provider", body.get("provider")),
        kind=_one_of(KINDS, "kind", body.get("kind")),
        count=int(_number(body, "count", default=1, least=1, most=1_000_000, whole=True)),
        retry_after=int(_number(body, "retry_after", default=1, least=0, most=86_400, whole=True)),
        seconds=_number(body, "seconds", default=2.0, least=0, most=LONGEST_DELAY),
        after_accept=_flag(body, "after_accept"),
    )
    if fault.after_accept and fault.kind != "drop":
        raise BadFault("after_accept belongs to the kind 'drop' only")
    return fault


def _one_of(allowed: tuple[str, ...], field: str, value: object) -> str:
    # 429 and 500 as numbers are an understandable way to write them.
    text = str(value) if isinstance(value, int) else value
    if not isinstance(text, str) or text not in allowed:
        raise BadFault(f"{field} must be one of {', '.join(allowed)}; got {value!r}")
    return text


def _number(
    body: Mapping[str, object], field: str, *, default: float, least: float, most: float, whole: bool = False
) -> float:
    value = body.get(field, default)
    accepted = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted) or not least <= value <= most:
        what = "a whole number" if whole else "a number"
        raise BadFault(f"{field} must be {what} from {least:g} to {most:g}; got {value!r}")
    return float(value)


def _flag(body: Mapping[str, object], field: str) -> bool:
    value = body.get(field, False)
    if not isinstance(value, bool):
        raise BadFault(f"{field} must be true or false; got {value!r}")
    return value
