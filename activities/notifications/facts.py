"""What a notification can say about a mint request, made safe to show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.client_words import WORDS
from domain.mint_request import MintStatus

LONGEST_REASON = 500
LONGEST_WORD = 120

# What can stand unquoted on a command line; any other name is left for the reader to fill in.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")


@dataclass(frozen=True)
class NotificationFacts:
    """The facts of one message to one recipient.

    `amount` is a decimal string with 7 places; `created_at` and `expires_at` are aware; `waiting_for`
    is prose such as "1 of 2 approvals, tier 1 or above"; `ledger` is the ledger that holds the
    payment; `public_url` is the base of the web UI, `temporal_url` the workflow's own page;
    `recipient_name` is the user name of the recipient; `time_zone` is an IANA name; by `ack_link` the
    recipient says "I am on it".
    """

    request_id: str
    track_number: str
    asset_code: str
    amount: str
    destination: str
    requester: str
    topic: str
    tenant: str
    status: str
    created_at: datetime
    expires_at: datetime
    public_url: str
    waiting_for: str = ""
    reason: str = ""
    ledger: int | None = None
    temporal_url: str | None = None
    recipient_name: str = ""
    time_zone: str = "UTC"
    ack_link: str = ""
    author: str = ""
    """Who has said or handed in what the message tells of."""
    excerpt: str = ""
    filename: str = ""
    code_id: str = ""
    code: str = ""
    """The one-time code, known only while its message is being sent."""
    code_expires_at: datetime | None = None
    standing: str = ""
    """How the request stands by now, for a message that is brought up to date."""
    for_client: bool = False
    """Its reader has no account with us, and knows the request by its track number."""

    @property
    def link(self) -> str:
        """The request's page in the web UI, or the client's."""
        if self.for_client:
            return f"{self.public_url.rstrip('/')}/track/{quote(self.track_number, safe='')}"
        return f"{self.public_url.rstrip('/')}/requests/{quote(self.request_id, safe='')}"

    def words(self) -> dict[str, str]:
        """All facts as single lines of plain text, under the names that templates use."""
        zone = _zone(self.time_zone)
        title, sentence = WORDS[MintStatus(self.status)] if self.for_client else ("", "")
        return {
            "request_id": one_line(self.request_id),
            "track_number": one_line(self.track_number),
            "money": f"{_short_amount(one_line(self.amount))} {one_line(self.asset_code)}",
            "exact": f"{one_line(self.amount)} {one_line(self.asset_code)}",
            "destination": one_line(self.destination),
            "requester": one_line(self.requester),
            "topic": one_line(self.topic),
            "tenant": one_line(self.tenant),
            "status": one_line(self.status),
            "created": _local(self.created_at, zone),
            "expires": _local(self.expires_at, zone),
            "waiting_for": one_line(self.waiting_for),
            "reason": one_line(self.reason, LONGEST_REASON),
            "ledger": "" if self.ledger is None else str(self.ledger),
            "link": self.link,
            "workflow_link": self.temporal_url or "",
            "ack_link": self.ack_link,
            "standing": one_line(self.standing),
            "author": one_line(self.author),
            "excerpt": one_line(self.excerpt, LONGEST_REASON),
            "filename": one_line(self.filename, LONGEST_REASON),
            "client_title": title,
            "client_words": sentence,
            "code": self.code,
            "code_expires": _local(self.code_expires_at, zone) if self.code_expires_at else "",
        }

    def plain(self) -> dict[str, str]:
        """The facts that are there, without any link or code: for channels that pass them on as data."""
        shown = {name: word for name, word in self.words().items() if word and not name.endswith("link")}
        shown.pop("code", None)
        return shown

    def commands(self) -> dict[str, str]:
        """The command lines a message can offer, ready to paste."""
        name = self.recipient_name if PLAIN_NAME.fullmatch(self.recipient_name) else "YOUR_NAME"
        return {
            verb: f"mintkeeper {verb} {one_line(self.request_id)}{tail}"
            for verb, tail in {
                "approve": f" --as {name}",
                "reject": f' --as {name} --reason "why"',
                "resubmit": f" --as {name}",
                "show": "",
            }.items()
        } | {
            "inspect": f"mintkeeper ledger inspect {one_line(self.request_id)}",
            "doctor": "mintkeeper doctor",
            "explain": f"mintkeeper assign explain {one_line(self.request_id)}",
            "assign": f"mintkeeper assign {one_line(self.request_id)} --to APPROVER --as {name}",
        }


def one_line(text: str, longest: int = LONGEST_WORD) -> str:
    """`text` without line breaks, control and direction characters, cut to `longest` characters.

    A line break could forge a line of the message, a right-to-left override could reverse an amount.
    """
    printable = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(printable.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _short_amount(amount: str) -> str:
    """`2500.0000000` as `2500.00`: never fewer than two places, and never a digit that counts less."""
    whole, _, places = amount.partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _zone(name: str) -> ZoneInfo:
    # A zone that this machine lacks must not hold up a message; the time then says UTC.
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def local_time(moment: datetime, zone: str) -> str:
    """A moment as it is written in messages to somebody in that IANA zone."""
    return _local(moment, _zone(zone))


def _local(moment: datetime, zone: ZoneInfo) -> str:
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone can't be shown in the recipient's")
    local = moment.astimezone(zone)
    abbreviation = local.strftime("%Z")
    # Zones without a name of their own call themselves by their offset.
    label = abbreviation if abbreviation.isalpha() else f"UTC{abbreviation}"
    return f"{local:%a %d %b %Y, %H:%M} {label}"
