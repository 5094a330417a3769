"""What messages in Slack offer to press, and what Slack says when somebody did.

A button carries the id of its request and nothing else: it is worth something only in an interaction that
Slack has signed, by a user whom an admin has linked to an approver. Limits of Block Kit: docs.slack.dev,
"Confirmation dialog object", "Button element", "Modals".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import rfc8785
from pydantic import BaseModel, Field, TypeAdapter

from domain.approvals import Verdict
from domain.text import MAX_TEXT

WEB_API: Final = "https://slack.com/api/"
"""Where Slack's Web API is, unless a setting says otherwise."""

APPROVE: Final = "mintkeeper.approve"
REJECT: Final = "mintkeeper.reject"
ACKNOWLEDGE: Final = "mintkeeper.acknowledge"
REASON: Final = "mintkeeper.reason"
"""The modal that asks why, the block with its one field, and the field."""

LONGEST_CONFIRMATION: Final = 300
LONGEST_VALUE: Final = 2000

Block = Mapping[str, Any]
Word = Annotated[str, Field(min_length=1, max_length=255)]


class SlackUser(BaseModel):
    """Who pressed."""

    id: Word


class Container(BaseModel):
    """The message whose button it is."""

    message_ts: Word
    channel_id: Word


class Pressed(BaseModel):
    """A button."""

    action_id: Word
    value: Annotated[str, Field(max_length=LONGEST_VALUE)] = ""


class BlockActions(BaseModel):
    """Somebody pressed a button of a message."""

    type: Literal["block_actions"]
    user: SlackUser
    container: Container
    trigger_id: Annotated[str, Field(max_length=1000)] = ""
    actions: Annotated[list[Pressed], Field(min_length=1, max_length=25)]


class TypedValue(BaseModel):
    """What a field of a modal holds."""

    value: Annotated[str, Field(max_length=LONGEST_VALUE * 10)] | None = None


class ModalState(BaseModel):
    """The fields by block and action."""

    values: dict[str, dict[str, TypedValue]] = {}


class Modal(BaseModel):
    """The modal that was sent off."""

    callback_id: Annotated[str, Field(max_length=255)]
    private_metadata: Annotated[str, Field(max_length=3000)] = ""
    state: ModalState = ModalState()

    @property
    def reason(self) -> str:
        """What was typed."""
        return self.state.values.get(REASON, {}).get(REASON, TypedValue()).value or ""


class ViewSubmission(BaseModel):
    """Somebody sent a modal off."""

    type: Literal["view_submission"]
    user: SlackUser
    view: Modal


class Origin(BaseModel):
    """Where a press came from; a modal carries it along."""

    request_id: Annotated[str, Field(min_length=1, max_length=100)]
    channel: Word
    message_ts: Word


Interaction = BlockActions | ViewSubmission
interactions: TypeAdapter[Interaction] = TypeAdapter(Annotated[Interaction, Field(discriminator="type")])


def escape_mrkdwn(text: str) -> str:
    """Make `text` mean itself: no mention, link or entity can start without `<`, `>` or `&`.

    Source: docs.slack.dev, "Formatting message text", escaping text.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def decision_buttons(request_id: str, *, amount: str, destination: str, acknowledges: bool) -> Block:
    """The row of buttons below a message about a request that waits; `amount` names the asset."""
    question = f"Mint {amount} to {destination}? This is your signed decision."
    approve = {
        **_button(APPROVE, "Approve", request_id),
        "style": "primary",
        "confirm": {
            "title": _plain("Approve this mint?"),
            "text": _plain(_cut(question, LONGEST_CONFIRMATION)),
            "confirm": _plain("Approve"),
            "deny": _plain("Not now"),
        },
    }
    reject = {**_button(REJECT, "Reject…", request_id), "style": "danger"}
    acknowledge = [_button(ACKNOWLEDGE, "I am on it", request_id)] if acknowledges else []
    return {"type": "actions", "elements": [approve, reject, *acknowledge]}


def reason_modal(origin: Origin, about: str) -> Block:
    """The modal that asks why `about` is rejected."""
    field = {
        "type": "plain_text_input",
        "action_id": REASON,
        "multiline": True,
        "min_length": 1,
        "max_length": MAX_TEXT,
    }
    label = {"type": "input", "block_id": REASON, "label": _plain("Reason"), "element": field}
    hint = _plain("The requester reads it, and it stays in the audit.")
    return {
        "type": "modal",
        "callback_id": REASON,
        "private_metadata": origin.model_dump_json(),
        "title": _plain("Reject this mint"),
        "submit": _plain("Reject"),
        "close": _plain("Not now"),
        "blocks": [{"type": "section", "text": _plain(_cut(about, 3000))}, {**label, "hint": hint}],
    }


def decision_id(origin: Origin, slack_user: str, verdict: Verdict, refused: int) -> str:
    """The id of the decision behind a press: pressed twice, or repeated by Slack, it is the same one.

    `refused` counts the refused decisions of that person on the request: after one they may try anew.
    """
    parts: Sequence[str] = (
        origin.request_id, slack_user, origin.channel, origin.message_ts, verdict, str(refused),
    )  # fmt: skip
    return "dc_" + hashlib.sha256(rfc8785.dumps(list(parts))).hexdigest()[:40]


def _button(action: str, label: str, value: str) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "text": _plain(label), "value": value}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
