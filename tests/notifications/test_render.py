"""The words of a message: complete in one glance, safe in every format, in the recipient's own time."""

import dataclasses
import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jinja2.sandbox import SecurityError

from activities.notifications.facts import NotificationFacts, one_line
from activities.notifications.render import KINDS, environment, render
from domain.errors import InvalidInput

FACTS = NotificationFacts(
    request_id="mr_01JD7K",
    track_number="MK-7Q2X",
    asset_code="EURT",
    amount="2500.0000000",
    destination="GDQP2KPQGKIHYJGXNUIYOMHARUARCA7DJT5FO2FFOOKY3B2WSQHG4W37",
    requester="rita",
    topic="treasury-eu",
    tenant="acme",
    status="PENDING",
    created_at=datetime(2026, 11, 22, 1, 0, tzinfo=UTC),
    expires_at=datetime(2026, 11, 23, 1, 0, tzinfo=UTC),
    waiting_for="1 of 2 approvals, tier 1 or above",
    reason="quarter end",
    public_url="http://127.0.0.1:8000/",
    recipient_name="alice",
    time_zone="Europe/Berlin",
)
TO_DECIDE = ("opened", "reminder", "escalation", "stalled", "partially_approved", "resubmitted", "assigned")
ATTACK = "<!channel> <@U1>\r\nBcc: x@evil.test <script>alert(1)</script> & 'quoted' \"double\" \u202e0052"


def changed(**facts):
    """The sample facts with some of them replaced."""
    return dataclasses.replace(FACTS, **facts)


class Reader(HTMLParser):
    """Collects what a browser would see: tags, attributes, text."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data):
        self.text += data


def read(html):
    """The parsed page."""
    reader = Reader()
    reader.feed(html)
    return reader


def mrkdwn(rendered):
    """All texts of the Slack blocks in one string."""
    texts = []
    for block in rendered.blocks:
        texts += [part["text"] for part in (block.get("text"), *block.get("fields", ())) if part]
        texts += [part["text"] for part in block.get("elements", ())]
    return "\n".join(texts)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_who_how_much_and_where(kind):
    """Each format of each message names amount, requester, request, link and, for us, a command."""
    rendered = render(kind, FACTS)
    for form in (rendered.text, read(rendered.html).text, mrkdwn(rendered)):
        assert "2500.0000000 EURT" in form
        assert "rita" in form
        assert "mr_01JD7K" in form
        # a client has no command line of ours
        assert ("mintkeeper " in form) == (kind != "code_track")
        assert "quarter end" in form
    assert "2500.00 EURT" in rendered.subject
    assert "MK-7Q2X" in rendered.subject
    link = "http://127.0.0.1:8000/requests/mr_01JD7K"
    assert link in rendered.text
    assert ("href", link) in read(rendered.html).attributes
    assert f"<{link}|" in mrkdwn(rendered)


@pytest.mark.parametrize("kind", TO_DECIDE)
def test_a_message_that_asks_for_a_decision_says_how_and_until_when(kind):
    """Deadline, missing approvals and the approve command stand in every format."""
    rendered = render(kind, FACTS)
    for form in (rendered.text, read(rendered.html).text, mrkdwn(rendered)):
        assert "mintkeeper approve mr_01JD7K --as alice" in form
        assert "before Mon 23 Nov 2026, 02:00 CET" in form
        assert "1 of 2 approvals, tier 1 or above" in form


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {*TO_DECIDE, "code_step_up"}))
def test_a_message_about_the_end_never_offers_approval(kind):
    """Once a request is decided or over, no message suggests to approve it."""
    assert "mintkeeper approve" not in render(kind, FACTS).text


def test_kinds_read_differently():
    """No two kinds share a subject or a headline."""
    assert len({render(kind, FACTS).subject for kind in KINDS}) == len(KINDS)
    assert len({render(kind, FACTS).text.splitlines()[0] for kind in KINDS}) == len(KINDS)


def test_the_ledger_is_named_when_it_is_known():
    """A confirmation names the ledger that holds the payment."""
    assert "in ledger 4711" in render("confirmed", changed(ledger=4711)).text
    assert "on the ledger" in render("confirmed", FACTS).text


def test_operators_get_the_workflow_page_when_there_is_one():
    """The Temporal link is shown only when it is known."""
    url = "http://127.0.0.1:8233/namespaces/default/workflows/mint-mr_01JD7K"
    rendered = render("anomaly", changed(temporal_url=url))
    assert url in rendered.text
    assert ("href", url) in read(rendered.html).attributes
    assert f"<{url}|Workflow>" in mrkdwn(rendered)
    assert "orkflow" not in render("anomaly", FACTS).text


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Europe/Berlin", "Mon 23 Nov 2026, 02:00 CET"),
        ("America/New_York", "Sun 22 Nov 2026, 20:00 EST"),
        ("America/Sao_Paulo", "Sun 22 Nov 2026, 22:00 UTC-03"),
        ("Asia/Kathmandu", "Mon 23 Nov 2026, 06:45 UTC+0545"),
        ("Mars/Olympus", "Mon 23 Nov 2026, 01:00 UTC"),
        ("../../etc/passwd", "Mon 23 Nov 2026, 01:00 UTC"),
        ("America", "Mon 23 Nov 2026, 01:00 UTC"),
        ("", "Mon 23 Nov 2026, 01:00 UTC"),
    ],
)
def test_times_are_the_recipients_own(zone, shown):
    """Times are shown in the recipient's zone with its name; an unknown zone falls back to UTC."""
    assert f"before {shown}." in render("opened", changed(time_zone=zone)).text


def test_a_time_without_a_zone_is_a_programming_error():
    """A naive time would be shown wrongly, so it is refused."""
    with pytest.raises(ValueError, match="without a time zone"):
        render("opened", changed(created_at=datetime(2026, 11, 22)))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["", "Alice Smith", "x; rm -rf ~", "$(id)", "-rf"])
def test_a_name_that_is_no_user_name_never_reaches_a_command_line(name):
    """Commands are made to be pasted, so only plain user names stand in them."""
    assert "--as YOUR_NAME\n" in render("opened", changed(recipient_name=name)).text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", ["requester", "topic", "tenant", "reason", "asset_code", "waiting_for"])
def test_nothing_a_user_typed_becomes_markup(kind, field):
    """No mention in Slack, no tag in HTML, no second line in a subject, from any field a user can fill."""
    rendered = render(kind, changed(**{field: ATTACK}))
    assert "\n" not in rendered.subject
    assert "\r" not in rendered.subject
    assert rendered.subject.isprintable()
    page = read(rendered.html)
    assert "script" not in page.tags
    assert page.tags == read(render(kind, FACTS).html).tags
    assert "<!channel>" not in json.dumps(rendered.blocks, ensure_ascii=False)
    assert "<@U1>" not in mrkdwn(rendered)
    assert "\u202e" not in rendered.text + rendered.html + mrkdwn(rendered)
    assert not any(line.startswith("Bcc:") for line in rendered.text.splitlines())


def test_escaping_happens_once():
    """People read what was typed: escaped for the format, and not twice."""
    rendered = render("opened", changed(requester="Rita & Söhne <EU>"))
    assert "Rita & Söhne <EU> asks to mint" in rendered.text
    assert "Rita & Söhne <EU> asks to mint" in read(rendered.html).text
    assert "Rita &amp; Söhne &lt;EU&gt; asks to mint" in mrkdwn(rendered)
    assert rendered.subject.startswith("Decide: 2500.00 EURT for Rita & Söhne <EU>")


def test_template_syntax_in_a_fact_is_text():
    """A fact is data; Jinja never runs what a user typed."""
    assert "{{ 7 * 7 }} asks to mint" in render("opened", changed(requester="{{ 7 * 7 }}")).text


@settings(deadline=None)
@given(st.text(max_size=3000), st.text(max_size=300))
def test_any_text_renders_within_the_limits_of_slack(reason, requester):
    """Whatever is typed, texts stay within 3,000 and fields within 2,000 characters, ten fields at most."""
    rendered = render("escalation", changed(reason=reason, requester=requester))
    for block in rendered.blocks:
        assert len(block.get("text", {"text": ""})["text"]) <= 3000
        fields = block.get("fields", ())
        assert len(fields) <= 10
        assert all(len(field["text"]) <= 2000 for field in fields)
    assert len(rendered.subject) <= 200


@settings(deadline=None)
@given(st.text())
def test_one_line_is_one_printable_line(text):
    """A fact never holds a line break, a control or a direction character."""
    assert one_line(text).isprintable()
    assert len(one_line(text, 10)) <= 10


@pytest.mark.parametrize(
    ("amount", "shown"), [("2500.0000000", "2500.00"), ("0.0000001", "0.0000001"), ("10.5000000", "10.50")]
)
def test_the_short_amount_never_loses_value(amount, shown):
    """Headlines drop zeros that count nothing, and nothing else."""
    assert render("opened", changed(amount=amount)).subject.startswith(f"Decide: {shown} EURT ")


def test_an_unknown_kind_is_refused_and_the_known_ones_named():
    """A kind without a template is an error that says which exist."""
    with pytest.raises(InvalidInput, match="reminder"):
        render("../layout", FACTS)


def test_the_acknowledgement_link_is_in_every_form_or_in_none():
    """People find it in text, HTML and Slack; without one nothing speaks of it."""
    with_link = render("reminder", changed(ack_link="http://127.0.0.1:8000/acks/eyJ-_0"))
    without = render("reminder", FACTS)
    for form, empty in ((with_link.text, without.text), (with_link.html, without.html)):
        assert "http://127.0.0.1:8000/acks/eyJ-_0" in form
        assert "I am on it" in form
        assert "on it" not in empty
    assert "<http://127.0.0.1:8000/acks/eyJ-_0|I am on it>" in mrkdwn(with_link)
    assert "on it" not in mrkdwn(without)


def test_a_template_that_names_what_is_not_there_fails():
    """A hole in a message is an error, for plain text and for HTML; and no template reaches into Python."""
    for autoescape in (False, True):
        with pytest.raises(UndefinedError):
            environment(autoescape).from_string("{{ amuont }}").render(amount="1")
        with pytest.raises(SecurityError):
            environment(autoescape).from_string("{{ amount.__class__.__mro__ }}").render(amount="1")
