"""What messages in Slack offer to press: within Slack's limits whatever is asked for, and no secret in it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.notifications.channels import Message
from activities.notifications.channels.slack import SlackChannel
from activities.notifications.facts import NotificationFacts
from activities.notifications.render import render
from domain.approvals import Verdict
from domain.slack import (
    ACKNOWLEDGE,
    APPROVE,
    REJECT,
    Origin,
    decision_buttons,
    decision_id,
    interactions,
    reason_modal,
)
from sandbox.providers.block_kit import buttons_of, wrong_blocks, wrong_view
from tests.db.factories import START

ORIGIN = Origin(request_id="mr_1", channel="C1", message_ts="1.2")
words = st.text(max_size=400)


@settings(deadline=None)
@given(amount=words, destination=words, acknowledges=st.booleans())
def test_buttons_are_within_slacks_limits(amount, destination, acknowledges):
    """Whatever the amount and the destination are called."""
    row = decision_buttons("mr_1", amount=amount, destination=destination, acknowledges=acknowledges)
    assert wrong_blocks([row]) == ""
    names = [button["action_id"] for button in buttons_of([row])]
    assert names == [APPROVE, REJECT, ACKNOWLEDGE][: 3 if acknowledges else 2]
    assert {button["value"] for button in buttons_of([row])} == {"mr_1"}


@settings(deadline=None)
@given(about=st.text(min_size=1, max_size=4000))
def test_the_modal_is_within_slacks_limits(about):
    """It carries along where it came from, and nothing else."""
    view = reason_modal(ORIGIN, about)
    assert wrong_view(view) == ""
    assert json.loads(view["private_metadata"]) == ORIGIN.model_dump()


@settings(deadline=None)
@given(requester=words, destination=words, code=st.text(max_size=12), reason=st.text(max_size=3000))
def test_a_whole_message_is_within_slacks_limits(requester, destination, code, reason):
    """All its blocks with the row of buttons among them, above the small print."""
    facts = NotificationFacts(
        request_id="mr_1",
        track_number="MK-1",
        asset_code=code,
        amount="2500.0000000",
        topic="t",
        tenant="acme",
        destination=destination,
        requester=requester,
        status="PENDING",
        created_at=START,
        expires_at=START,
        public_url="http://127.0.0.1:1",
        reason=reason,
        ack_link="http://127.0.0.1:1/acks/" + "x" * 1300,
    )
    blocks = render("opened", facts).blocks
    message = Message(
        "d", "opened", "#mint", "s", "t", blocks=blocks, request_id="mr_1", ack_link=facts.ack_link,
        facts=facts.plain(), decides=True,
    )  # fmt: skip
    content = SlackChannel("xoxb-1", answers_buttons=True)._content(message)
    assert wrong_blocks(content["blocks"]) == ""
    assert [block["type"] for block in content["blocks"]][-2:] == ["actions", "context"]
    assert "actions" not in str(SlackChannel("xoxb-1")._content(message)["blocks"])


def test_the_same_press_is_the_same_decision():
    """Another person, verdict, message or request, or one more refusal: another one."""
    other = ORIGIN.model_copy(update={"message_ts": "1.3"})
    elsewhere = ORIGIN.model_copy(update={"request_id": "mr_2"})
    ids = [
        decision_id(ORIGIN, "U1", Verdict.APPROVE, 0),
        decision_id(ORIGIN, "U2", Verdict.APPROVE, 0),
        decision_id(ORIGIN, "U1", Verdict.REJECT, 0),
        decision_id(other, "U1", Verdict.APPROVE, 0),
        decision_id(elsewhere, "U1", Verdict.APPROVE, 0),
        decision_id(ORIGIN, "U1", Verdict.APPROVE, 1),
    ]
    assert len(set(ids)) == len(ids)
    assert ids[0] == decision_id(ORIGIN, "U1", Verdict.APPROVE, 0)


def test_what_is_no_interaction_is_refused():
    """A press needs a user, a message and a button."""
    with pytest.raises(ValidationError):
        interactions.validate_python({"type": "block_actions", "user": {"id": "U1"}, "actions": []})
