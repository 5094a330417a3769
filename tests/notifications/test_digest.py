"""The words of a digest: every request once, in every format, safe, and within each channel's limits."""

import time
from datetime import timedelta

import pytest

from activities.notifications.asking import Asker
from activities.notifications.digest import MOST_SECTIONS, ROOM, compose_together
from activities.notifications.letter import Links
from domain.errors import InvalidInput, Unavailable
from tests.notifications.test_outcome import NOW, a_job
from tests.notifications.test_render import ATTACK, mrkdwn, read

LINKS = Links("https://mint.example/", "https://temporal.example", "default")
FACTS = {
    "track_number": "MK-7Q2X",
    "asset_code": "EURT",
    "amount": "2500.0000000",
    "destination": "GDQP2KPQGKIHYJGXNUIYOMHARUARCA7DJT5FO2FFOOKY3B2WSQHG4W37",
    "requester": "rita",
    "topic": "treasury-eu",
    "tenant": "acme",
    "status": "PENDING",
    "created_at": NOW.isoformat(),
    "expires_at": (NOW + timedelta(hours=24)).isoformat(),
}


def a_row(number, facts=None, **changed):
    """A message that waited, about the request of that number."""
    request_id = f"mr_{number:026}"
    values = {
        "id": f"{number:064x}",
        "request_id": request_id,
        "kind": "opened",
        "stage": 0,
        "recipient": "alice",
        "time_zone": "Asia/Kolkata",
        "facts": FACTS | {"request_id": request_id} | (facts or {}),
        "deferred_until": NOW,
    }
    return a_job(**values | changed)


def digest(*rows, acks=True, length=1200):
    """The message of these rows, with acknowledgement links as long as real ones."""
    links = {
        row.id: f"https://mint.example/acks/{row.id}{'x' * (length - 64)}" if acks else "" for row in rows
    }
    message, broken = compose_together(rows, LINKS, links)
    assert broken == {}
    return message


def formats(message):
    """Plain text, what a browser shows, and Slack's blocks."""
    return message.text, read(message.html).text, mrkdwn(message)


def test_each_request_has_one_entry_with_its_own_links_in_every_format():
    """What, until when in the recipient's zone, the command, the page, the workflow, and the ack."""
    rows = [a_row(number) for number in range(1, 4)]
    message = digest(*rows)
    assert message.subject == "3 mint requests waited for the end of quiet hours: 3 to decide"
    for said in formats(message):
        assert said.count("rita asks to mint 2500.00 EURT") == 3
        assert said.count("expires Mon 23 Nov 2026, 13:30 IST") == 3
        for row in rows:
            assert said.count(f"mintkeeper approve {row.request_id} --as alice") == 1
    links = [value for name, value in read(message.html).attributes if name == "href"]
    for row in rows:
        for link in (f"/requests/{row.request_id}", f"/acks/{row.id}", f"/workflows/mint-{row.request_id}"):
            assert sum(link in found for found in links) == 1
            assert mrkdwn(message).count(link) == 1
        assert message.text.count(f"https://mint.example/acks/{row.id}") == 1


def test_what_is_to_be_decided_comes_first_and_soonest_first():
    """What is over can be read later."""
    soon = {"expires_at": (NOW + timedelta(hours=3)).isoformat()}
    over = a_row(1, {"status": "EXPIRED"}, kind="expired", stage=None)
    message = digest(over, a_row(2), a_row(3, soon))
    places = [message.text.index(f"mr_{number:026}") for number in (3, 2, 1)]
    assert places == sorted(places)
    assert "3 mint requests waited for the end of quiet hours: 2 to decide" in message.text
    assert "(EXPIRED)" in message.text


def test_of_several_about_one_request_the_newest_that_can_be_acknowledged_is_told():
    """A reminder after the first notice, and an alert beside it, are one request."""
    first, reminder = a_row(1), a_row(1, id="b" * 64, kind="reminder", due_at=NOW + timedelta(hours=4))
    alert = a_row(1, id="c" * 64, kind="stalled", due_at=NOW + timedelta(hours=4))
    links = {first.id: "https://a", reminder.id: "https://b", alert.id: ""}
    message, _ = compose_together([first, reminder, alert, a_row(2)], LINKS, links | {a_row(2).id: ""})
    assert message.subject.startswith("2 mint requests")
    assert "still waits for a decision" in message.text
    assert "https://b" in message.text
    assert "https://a" not in message.text


def test_what_users_write_is_only_text():
    """No tag, no mention, no line break of theirs survives, in any format."""
    message = digest(a_row(1, {"requester": ATTACK}), a_row(2))
    assert "script" not in read(message.html).tags
    assert "<!channel>" not in mrkdwn(message)
    assert "&lt;!channel&gt;" in mrkdwn(message)
    assert "\u202e" not in message.text
    assert "\nBcc" not in message.text


def test_slack_gets_no_more_blocks_than_it_takes():
    """50 blocks of 3,000 characters; the rest is counted."""
    message = digest(*[a_row(number) for number in range(200)])
    assert len(message.blocks) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in message.blocks)
    assert f"And {200 - MOST_SECTIONS} more" in mrkdwn(message)
    assert "https://mint.example/requests" in mrkdwn(message)


@pytest.mark.parametrize("kind", ["slack", "telegram"])
@pytest.mark.parametrize("count", [2, 3, 30, 300])
def test_text_fits_and_says_what_it_leaves_out(kind, count):
    """First the acknowledgement links go, then the last entries, and never a half one."""
    target = {"channel_kind": kind, "recipient": "#mint" if kind == "slack" else "-100"}
    message = digest(*[a_row(number, **target) for number in range(count)])
    assert len(message.text.encode("utf-16-le")) <= 2 * ROOM[kind]
    told = message.text.count("track number")
    assert told == count or f"And {count - told} more: https://mint.example/requests" in message.text
    assert told >= min(count, 10)


def test_telegram_has_a_button_a_request():
    """Where the text has no room for the links; the label tells which request it is about."""
    rows = [a_row(number, channel_kind="telegram", ack_handle=f"h{number}") for number in range(30)]
    message = digest(*rows)
    assert "/acks/" not in message.text
    assert {button.handle for button in message.ack_buttons} == {f"h{number}" for number in range(30)}
    assert {button.label for button in message.ack_buttons} == {"MK-7Q2X"}
    assert digest(a_row(1), a_row(2)).ack_buttons == []


def test_email_has_room_for_all():
    """No request is left out of a mail."""
    message = digest(*[a_row(number, channel_kind="email") for number in range(300)])
    assert message.text.count("track number") == read(message.html).text.count("track number") == 300


def test_one_that_can_not_be_rendered_is_named_and_left_out():
    """Alone it is an error; among others they are told."""
    good, bad = a_row(1), a_row(2, kind="nonsense")
    with pytest.raises(InvalidInput, match="unknown notification kind"):
        compose_together([bad], LINKS, {bad.id: ""})
    message, broken = compose_together([good, bad], LINKS, {good.id: "", bad.id: ""})
    assert message.delivery_id == good.id
    assert list(broken) == [bad.id]
    message, broken = compose_together([bad, a_row(3, kind="none")], LINKS, {bad.id: "", a_row(3).id: ""})
    assert (message, len(broken)) == (None, 2)


class Down:
    """A database that can't be reached; counts the questions."""

    questions = 0

    def transaction(self):
        self.questions += 1
        raise Unavailable("the database is down")


async def test_a_fresh_claim_is_believed_and_an_old_one_asks():
    """Without an answer nothing is sent; a question is asked only when it is needed."""
    down = Down()
    asker, job = Asker(down), a_row(1)
    with asker.waiting([job], time.monotonic()):
        assert await asker.why_pointless([job]) == {job.id: ""}
        assert down.questions == 0
    with asker.waiting([job], time.monotonic() - 60), pytest.raises(Unavailable):
        await asker.why_pointless([job])
    assert down.questions == 1
