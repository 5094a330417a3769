"""Pages on which people press the buttons of a message in Slack; plain forms, no script."""

from __future__ import annotations

from html import escape

from sandbox.providers.messages import Received
from sandbox.providers.page import frame
from sandbox.providers.slack import View
from sandbox.providers.vendor import JsonObject, items, mapping

PEOPLE = ("U0ALICE", "U0BOB", "U0CAROL", "U0DAVE")
"""Offered; any other member ID can be typed."""


def press_page(message: Received, said: str = "") -> str:
    """A message with its buttons, and as whom to press them; `said`: what came of the last press."""
    options = "".join(f'<option value="{one}">' for one in PEOPLE)
    rows = "".join(_row(number, mapping(button)) for number, button in enumerate(message.buttons))
    body = (
        f"<p><a href='/'>← All messages</a></p><h1>Press a button in Slack</h1>{_note(said)}"
        f"<article><h2>{escape(message.subject)}</h2><pre>{escape(message.reads_now or message.text)}</pre>"
        f'<form method="post" action="/press/{escape(message.id)}">'
        '<p><label for="user">As the Slack user</label> '
        '<input id="user" name="user" list="people" value="U0ALICE" required maxlength="40">'
        f'<datalist id="people">{options}</datalist></p>{rows}</form></article>'
    )
    return frame("Press a button", body)


def view_page(view: View, errors: JsonObject, typed: str = "") -> str:
    """A modal with its field, and what is wrong with what was typed."""
    title, send = (str(mapping(view.body.get(name)).get("text", "")) for name in ("title", "submit"))
    blocks = "".join(_block(mapping(one), errors, typed) for one in items(view.body.get("blocks")))
    body = (
        f'<p><a href="/">← Close</a></p><h1>{escape(title)}</h1>'
        f'<p class="soft">Open for {escape(view.user)}.</p>'
        f'<article><form method="post" action="/views/{escape(view.id)}">{blocks}'
        f"<p><button>{escape(send)}</button></p></form></article>"
    )
    return frame(title, body)


def _row(number: int, button: JsonObject) -> str:
    label = str(mapping(button.get("text")).get("text", ""))
    asks = str(mapping(mapping(button.get("confirm")).get("text")).get("text", ""))
    style = escape(str(button.get("style", "")))
    hint = f" <span class='soft'>Slack asks first: “{escape(asks)}”</span>" if asks else ""
    return f'<p><button class="{style}" name="button" value="{number}">{escape(label)}</button>{hint}</p>'


def _block(block: JsonObject, errors: JsonObject, typed: str) -> str:
    if block.get("type") != "input":
        return f"<p>{escape(str(mapping(block.get('text')).get('text', '')))}</p>"
    label = escape(str(mapping(block.get("label")).get("text", "")))
    hint = escape(str(mapping(block.get("hint")).get("text", "")))
    wrong = _note(str(errors.get(str(block.get("block_id")), "")))
    return (
        f'<p><label for="typed">{label}</label></p>{wrong}'
        f'<p><textarea id="typed" name="typed" rows="4">{escape(typed)}</textarea></p>'
        f'<p class="soft">{hint}</p>'
    )


def _note(text: str) -> str:
    return f'<p class="note" role="status">{escape(text)}</p>' if text else ""
