"""The page for people: what was sent, newest first, refreshed by the browser; no script, no other host."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from sandbox.providers.messages import Received
from sandbox.providers.vendor import mapping

REFRESH_SECONDS = 3

# The style is a file of this very server, so that the page needs no inline exception.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}

STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")

NAMES = {
    "slack": "Slack",
    "sendgrid": "SendGrid",
    "telegram": "Telegram",
    "pagerduty": "PagerDuty",
    "webhook": "Webhook",
}


def page(total: int, newest: Sequence[Received]) -> str:
    """The whole page; `newest` in the order in which to show it."""
    shown = f"{total} received" if total == len(newest) else f"{total} received, the last {len(newest)} shown"
    articles = "".join(map(_article, newest)) or "<p>Nothing yet. Messages appear here as they are sent.</p>"
    body = (
        "<h1>Provider console</h1>"
        '<p class="soft">Stands in for Slack, SendGrid, Telegram, PagerDuty and a webhook on this machine. '
        f"{shown}.</p>"
        f"<main>{articles}</main>"
    )
    return frame("Provider console", body, f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">')


def frame(title: str, body: str, head: str = "") -> str:
    """A whole page around `body`, which is HTML already; `head` is more of the head."""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{head}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="/style.css"></head><body>{body}</body></html>'
    )


def _article(message: Received) -> str:
    edited = " · edits an earlier message" if message.updates else ""
    edited += " · edited since" if message.reads_now else ""
    time = escape(message.at[:19].replace("T", " "))
    return (
        f'<article><header><span class="tag {escape(message.provider)}">{NAMES[message.provider]}</span>'
        f"<span>to <b>{escape(message.to)}</b>{edited}</span>"
        f'<time datetime="{escape(message.at)}">{time} UTC</time></header>'
        f"<h2>{escape(message.subject)}</h2><pre>{escape(message.reads_now or message.text)}</pre>"
        f"{_buttons(message)}</article>"
    )


def _buttons(message: Received) -> str:
    """What Slack shows below the message; each leads to where it can be pressed."""
    if message.provider != "slack" or message.updates or not message.buttons:
        return ""
    where = f"/press/{escape(message.id)}"
    links = (
        f'<a class="button {escape(str(one.get("style", "")))}" href="{where}">'
        f"{escape(str(mapping(one.get('text')).get('text', '')))}</a>"
        for one in map(mapping, message.buttons)
    )
    return f'<p class="row">{" ".join(links)}</p>'
