"""Notification channels: the kinds there are, and what each needs and allows in its settings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from domain.errors import InvalidInput

IN_APP: Final = "in-app"

GROUP_KINDS: Final = frozenset({"slack", "telegram", "pagerduty", "webhook", "console"})
"""Kinds that tell a group at once, whose recipient is an address; the others tell each person by name."""

SINGLE_KINDS: Final = frozenset({"pagerduty", "webhook"})
"""Kinds read by machines: each message is about one request, even after quiet hours."""

SEVERITIES: Final = ("critical", "error", "warning", "info")

_NEEDED: Final = MappingProxyType(
    {
        IN_APP: (),
        "slack": ("channel",),
        "email": (),
        "telegram": ("chat_id",),
        "pagerduty": (),
        "webhook": ("url", "secret"),
        "console": (),
    }
)
_OPTIONAL: Final = MappingProxyType({"pagerduty": ("routing_key", "severity"), "console": ("channel",)})
_RATE: Final = ("per_minute", "burst")
_REFERENCES: Final = ("secret", "routing_key")

CHANNEL_KINDS: Final = tuple(_NEEDED)
"""Ways to reach people."""

MOST_PER_MINUTE: Final = 60_000
MOST_BURST: Final = 10_000

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+")


@dataclass(frozen=True)
class Rate:
    """At most `per_minute` messages a minute in the long run, and `burst` at once after a pause."""

    per_minute: int
    burst: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Rate | None:
        """The rate in a channel's settings; None: it has none."""
        per_minute = settings.get("per_minute")
        return cls(int(per_minute), int(settings.get("burst", 1))) if per_minute else None

    @property
    def interval(self) -> timedelta:
        """From one message to the next in the long run."""
        return timedelta(minutes=1) / self.per_minute

    def take(self, free_at: datetime, now: datetime) -> tuple[datetime, datetime]:
        """The moment for one more message, and the bucket after it (GCRA).

        `free_at` is when the bucket would be full again. The moment is `now` or later, and never
        before that of the message that took its turn last.
        """
        after = max(free_at, now)
        return max(now, after - (self.burst - 1) * self.interval), after + self.interval


def settings_of(kind: str) -> dict[str, bool]:
    """The settings that a channel of a known kind may have, and whether it needs them."""
    rate = () if kind == IN_APP else _RATE
    optional = dict.fromkeys((*_OPTIONAL.get(kind, ()), *rate), False)
    return {**dict.fromkeys(_NEEDED[kind], True), **optional}


def check_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A channel's settings as they are stored; raises InvalidInput and says what to do."""
    if kind not in _NEEDED:
        raise InvalidInput(f"unknown channel kind {kind!r}: one of {', '.join(CHANNEL_KINDS)}", "kind")
    allowed = tuple(settings_of(kind))
    for name in settings:
        if name not in allowed:
            known = f"known are {', '.join(allowed)}" if allowed else "it has none"
            raise InvalidInput(f"a {kind} channel has no setting {name!r}: {known}", "settings")
    for name in _NEEDED[kind]:
        if not settings.get(name):
            raise InvalidInput(f"a {kind} channel needs the setting {name!r}", "settings")
    for name in _REFERENCES:
        if name in settings and not _REFERENCE.fullmatch(str(settings[name])):
            raise InvalidInput(
                f"{name} must be a reference, env:NAME or file:/path: the database holds no secrets",
                "settings",
            )
    if "url" in settings:
        check_webhook_url(str(settings["url"]))
    if settings.get("severity", SEVERITIES[0]) not in SEVERITIES:
        raise InvalidInput(f"severity must be one of {', '.join(SEVERITIES)}", "settings")
    return {**settings, **_rate(settings)}


def check_webhook_url(url: str) -> None:
    """Raise InvalidInput unless messages may go there: by https, or by http within this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidInput("the webhook's url is not a URL", "settings") from None
    if not host or any(char.isspace() or not char.isprintable() for char in url):
        raise InvalidInput("the webhook's url is not a URL", "settings")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("the webhook's url must not hold a user or a password", "settings")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise InvalidInput(
            "the webhook's url must begin with https:// (http:// only on this machine)", "settings"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _rate(settings: Mapping[str, Any]) -> dict[str, int]:
    if "burst" in settings and "per_minute" not in settings:
        raise InvalidInput("burst needs per_minute beside it", "settings")
    most = {"per_minute": MOST_PER_MINUTE, "burst": MOST_BURST}
    return {name: _whole(name, settings[name], most[name]) for name in _RATE if name in settings}


def _whole(name: str, value: object, most: int) -> int:
    text = str(value)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= most and len(text) <= 12):
        raise InvalidInput(f"{name} must be a whole number from 1 to {most}", "settings")
    return int(text)
