"""One message for all that quiet hours have held back from the same recipient.

Each request has one entry, with its own links. What does not fit into a channel's longest message
leaves first the acknowledgement links and then the last entries out; how many those are is said, and
where to find them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from activities.notifications.channels import Message
from activities.notifications.channels.base import AckButton, Block
from activities.notifications.facts import NotificationFacts
from activities.notifications.letter import Links, compose, facts_for
from activities.notifications.render import check_kind, environment, parts, section
from domain.mint_request import MintStatus
from domain.records import DeliveryJob
from domain.slack import escape_mrkdwn

ROOM = MappingProxyType({"telegram": 4096, "slack": 30_000})
"""UTF-16 units of text that a kind of channel takes; Slack's own 40,000 leave some for what it escapes."""

TALK = frozenset({"message", "attachment"})
"""Kinds that say more than how a request stands."""

MOST_SECTIONS = 45
"""Slack takes 50 blocks a message."""


@dataclass(frozen=True)
class Entry:
    """What a digest says about one request."""

    job: DeliveryJob
    facts: NotificationFacts

    @cached_property
    def words(self) -> Mapping[str, str]:
        """Its facts and commands as single lines of plain text."""
        return self.facts.words() | self.facts.commands()

    @property
    def is_open(self) -> bool:
        """Whether somebody has still to decide."""
        return self.facts.status == MintStatus.PENDING

    @property
    def urgency(self) -> tuple[bool, float, str]:
        """Sorts what is to be decided first, and soonest, to the front."""
        return (not self.is_open, self.facts.expires_at.timestamp(), self.job.request_id)

    def said(self, words: Mapping[str, str], *, autoescape: bool = False) -> dict[str, str]:
        """The entry for a template; `words` are those of a format."""
        told = parts(self.job.kind, words, autoescape=autoescape)
        state = f"expires {words['expires']}" if self.is_open else words["client_title"] or words["status"]
        return {**words, "headline": told.headline, "command": next(iter(told.commands), ""), "state": state}

    def without_ack(self) -> Entry:
        """The same with no acknowledgement link."""
        return replace(self, facts=replace(self.facts, ack_link=""))


def compose_together(
    jobs: Sequence[DeliveryJob], links: Links, ack_links: Mapping[str, str]
) -> tuple[Message | None, dict[str, str]]:
    """The one message of deliveries to the same recipient, and by id why some can't be rendered.

    One delivery alone is an ordinary message, and so are several about the same request: the newest of
    them. None: nothing can be rendered. Raises InvalidInput when one alone can't.
    """
    if len(jobs) == 1:
        return compose(jobs[0], links, ack_links[jobs[0].id]), {}
    entries, broken = [], {}
    for job in jobs:
        try:
            check_kind(job.kind)
            entries.append(Entry(job, facts_for(job, links, ack_links[job.id])))
        except Exception as error:  # noqa: BLE001 - one that can't be rendered must not take the others with it
            broken[job.id] = f"cannot be rendered: {type(error).__name__}: {error}"
    newest = _one_a_request(entries)
    if len(newest) > 1:
        return _digest(newest, links), broken
    return (compose(newest[0].job, links, newest[0].facts.ack_link) if newest else None), broken


def _one_a_request(entries: Sequence[Entry]) -> list[Entry]:
    """The newest entry of each request, one that can be acknowledged before others; most urgent first.

    What somebody said or handed in stands beside it: how the request stands does not tell of it.
    """
    chosen: dict[tuple[str, str], Entry] = {}
    for entry in sorted(
        entries, key=lambda entry: (bool(entry.facts.ack_link), entry.job.due_at, entry.job.id)
    ):
        chosen[entry.job.request_id, entry.job.kind if entry.job.kind in TALK else ""] = entry
    return sorted(chosen.values(), key=lambda entry: entry.urgency)


def _digest(entries: Sequence[Entry], links: Links) -> Message:
    first = entries[0].job
    requests = len({entry.job.request_id for entry in entries})
    open_ones = len({entry.job.request_id for entry in entries if entry.is_open})
    about = f"{requests} mint request{'s' if requests > 1 else ''}"
    headline = f"{about} waited for the end of quiet hours: {open_ones} to decide"
    return Message(
        delivery_id=min(entry.job.id for entry in entries),
        kind="digest",
        target=first.target,
        subject=headline,
        text=_fitting_text(headline, entries, links, ROOM.get(first.channel_kind)),
        html=_lay_out("digest.html.j2", headline, entries, 0, links),
        blocks=_blocks(headline, entries, links),
        channel=first.channel,
        link=_all(links),
        ack_buttons=[
            AckButton(entry.job.ack_handle, entry.facts.ack_link, entry.words["track_number"])
            for entry in entries
            if entry.facts.ack_link and first.channel_kind == "telegram"
        ],
        settings=first.settings,
    )


def _all(links: Links) -> str:
    return f"{links.public_url.rstrip('/')}/requests"


def _fitting_text(headline: str, entries: Sequence[Entry], links: Links, room: int | None) -> str:
    text = _lay_out("digest.txt.j2", headline, entries, 0, links)
    if room is None or _fits(text, room):
        return text
    bare = [entry.without_ack() for entry in entries]
    for shown in range(len(bare), 0, -1):
        text = _lay_out("digest.txt.j2", headline, bare[:shown], len(bare) - shown, links)
        if _fits(text, room):
            break
    return text


def _fits(text: str, room: int) -> bool:
    return len(text.encode("utf-16-le")) <= 2 * room


def _lay_out(layout: str, headline: str, entries: Sequence[Entry], more: int, links: Links) -> str:
    for_html = layout.endswith("html.j2")
    lines = [entry.said(entry.words, autoescape=for_html) for entry in entries]
    template = environment(for_html).get_template(layout)
    return template.render(subject=headline, headline=headline, lines=lines, more=more, all_link=_all(links))


def _blocks(headline: str, entries: Sequence[Entry], links: Links) -> tuple[Block, ...]:
    shown = entries[:MOST_SECTIONS]
    blocks = [section(f"*{headline}*"), *(_block(entry) for entry in shown)]
    if more := len(entries) - len(shown):
        blocks.append(section(f"And {more} more: <{_all(links)}|all requests>"))
    return tuple(blocks)


def _block(entry: Entry) -> Block:
    line = entry.said({name: escape_mrkdwn(word) for name, word in entry.words.items()})
    pages = f"<{line['link']}|Open {line['request_id']}> · {line['track_number']}"
    if line["workflow_link"]:
        pages += f" · <{line['workflow_link']}|Workflow>"
    if line["ack_link"]:
        pages += f"\n<{line['ack_link']}|I am on it>: no further stage, still to be decided"
    return section(f"*{line['headline']}* ({line['state']})\n`{line['command']}`\n{pages}")
