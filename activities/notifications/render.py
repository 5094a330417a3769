"""From an event and its facts to the words of a message: subject, text, HTML, and Slack's blocks.

One template per event kind says what happened and what to do now; one layout per format arranges it.
User-supplied strings are escaped once, for the format they go into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from activities.notifications.channels.base import Block
from activities.notifications.facts import NotificationFacts
from domain.errors import InvalidInput
from domain.slack import escape_mrkdwn

KINDS = (
    "opened",
    "reminder",
    "escalation",
    "stalled",
    "partially_approved",
    "approved",
    "rejected",
    "cancelled",
    "expired",
    "confirmed",
    "failed",
    "timeout_failed",
    "anomaly",
    "resubmitted",
    "assigned",
    "unassigned",
    "taken_over",
    "message",
    "attachment",
    "code_track",
    "code_step_up",
    "event_anomaly",
    "event_stalled",
    "event_overdue",
    "revised",
)

# Label in the message and name of the fact; a fact that is empty is left out.
ROWS = MappingProxyType(
    {
        "Amount": "exact",
        "Requester": "requester",
        "Destination": "destination",
        "Status": "status",
        "Waiting for": "waiting_for",
        "Ledger": "ledger",
        "Topic": "topic",
        "Tenant": "tenant",
        "Created": "created",
        "Expires": "expires",
    }
)

DESK_ROWS = frozenset({"Status", "Waiting for", "Topic", "Tenant", "Expires"})
"""Rows that say nothing to a client."""

LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class Rendered:
    """One message in all its forms; `subject` and `text` are plain, `html` and `blocks` are escaped."""

    subject: str
    text: str
    html: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Parts:
    """What a kind's template says, escaped for one format."""

    subject: str
    headline: str
    action: str
    commands: Sequence[str]


def render(kind: str, facts: NotificationFacts) -> Rendered:
    """The message for an event kind of KINDS; raises InvalidInput for any other."""
    check_kind(kind)
    words = facts.words() | facts.commands()
    for_slack = {name: escape_mrkdwn(word) for name, word in words.items()}
    plain = parts(kind, words)
    return Rendered(
        subject=plain.subject[:LONGEST_SUBJECT],
        text=_lay_out("layout.txt.j2", plain, words),
        html=_lay_out("layout.html.j2", parts(kind, words, autoescape=True), words, autoescape=True),
        blocks=_blocks(parts(kind, for_slack), for_slack),
    )


def check_kind(kind: str) -> None:
    """Raise InvalidInput for a kind that has no template."""
    if kind not in KINDS:
        raise InvalidInput(f"unknown notification kind {kind!r}; known are {', '.join(KINDS)}", "kind")


@cache
def environment(autoescape: bool) -> SandboxedEnvironment:
    """The templates, for HTML or for plain text."""
    return SandboxedEnvironment(
        loader=PackageLoader("activities.notifications"),
        autoescape=autoescape,
        # the templates belong to the release; looking for newer ones costs a file access a message
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def parts(kind: str, words: Mapping[str, str], *, autoescape: bool = False) -> Parts:
    """What the template of a kind says; `words` are escaped already, unless it is to escape them for HTML."""
    template = "client" if words["client_title"] and kind != "code_track" else kind
    module = environment(autoescape).get_template(f"{template}.j2").make_module({**words, "kind": kind})
    said = vars(module)
    return Parts(said["subject"], said["headline"], said["action"], said["commands"])


def _lay_out(layout: str, said: Parts, words: dict[str, str], *, autoescape: bool = False) -> str:
    rows = _rows(words)
    return environment(autoescape).get_template(layout).render(words, parts=said, rows=rows)


def _rows(words: dict[str, str]) -> list[tuple[str, str]]:
    left_out = DESK_ROWS if words["client_title"] else frozenset()
    return [(label, words[name]) for label, name in ROWS.items() if words[name] and label not in left_out]


def _blocks(said: Parts, words: dict[str, str]) -> tuple[Block, ...]:
    """Slack's Block Kit; limits: 10 fields a section, 3,000 characters a text, 2,000 a field."""
    commands = "".join(f"\n`{command}`" for command in said.commands)
    blocks: list[Block] = [section(f"*{said.headline}*"), section(said.action + commands)]
    if words["ack_link"]:
        blocks.append(section(f"<{words['ack_link']}|I am on it>: no further stage, still to be decided"))
    if words["reason"]:
        blocks.append(section(f"*Reason*\n{words['reason']}"))
    blocks.append(
        {"type": "section", "fields": [_mrkdwn(f"*{label}*\n{word}") for label, word in _rows(words)]}
    )
    links = f"<{words['link']}|Open {words['request_id']}>"
    if words["workflow_link"]:
        links += f" · <{words['workflow_link']}|Workflow>"
    return (*blocks, {"type": "context", "elements": [_mrkdwn(f"{links} · {words['track_number']}")]})


def section(text: str) -> Block:
    """A block of Slack's with one text; links in it are marked, users' text is escaped."""
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> Block:
    # verbatim: Slack turns no bare URL, channel name or mention of a user's text into a link.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
