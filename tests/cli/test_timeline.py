"""The picture of a simulation, whatever is in it."""

import xml.etree.ElementTree as ET
from datetime import timedelta

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from commands.timeline import LEFT, RIGHT, WIDTH, draw
from domain.escalation import Stage
from domain.simulation import Message, Quiet, simulate
from tests.domain.factories import POLICY, START


def parsed(simulation):
    """The picture as XML."""
    return ET.fromstring(draw(simulation))


def of_class(root, name):
    """Elements of a class."""
    return [element for element in root.iter() if name in element.get("class", "").split()]


def told(*names, **changes):
    """Messages to these people."""
    values = {"channel": "email", "kind": "email", "time_zone": "Europe/Berlin"} | changes
    return [Message(recipient=name, **values) for name in names]


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.lists(st.text(max_size=30), max_size=4))
def test_whatever_people_write_is_text(name, recipients):
    """Markup, control characters, anything: the document is well-formed and has no element of theirs."""
    policy = POLICY.model_copy(update={"name": name})
    root = parsed(simulate(policy, START, lambda stage, at: told(*recipients)))
    assert {element.tag.partition("}")[2] for element in root.iter()} <= {
        "svg", "title", "desc", "style", "rect", "text", "tspan", "line", "circle", "g"
    }  # fmt: skip


def test_who_reads_it_aloud_hears_everything():
    """A title and a description that the picture refers to."""
    root = parsed(simulate(POLICY, START, lambda stage, at: told("alice")))
    title, description = list(root)[:2]
    assert root.get("aria-labelledby").split() == [title.get("id"), description.get("id")]
    assert "Stage 2: escalation to tier 3" in description.text


def test_a_policy_that_reaches_nobody_is_drawn():
    """No lane, and every mark tells of it."""
    root = parsed(simulate(POLICY, START, lambda stage, at: []))
    assert all(mark in of_class(root, "none") for mark in of_class(root, "mark"))
    assert "nobody can be reached" in "".join(root.itertext())


def test_marks_never_cover_each_other():
    """Twenty stages within minutes stand in rows."""
    stages = [Stage(delay_seconds=60 * number, channels=["email"]) for number in range(20)]
    policy = POLICY.model_copy(update={"stages": stages})
    root = parsed(simulate(policy, START, lambda stage, at: told("alice")))
    marks = [(float(mark.get("cx")), float(mark.get("cy"))) for mark in of_class(root, "mark")]
    assert len(marks) == 20
    for number, (x, y) in enumerate(marks):
        assert all(abs(x - left) >= 20 or abs(y - top) >= 20 for left, top in marks[:number])


def test_everything_lies_within_the_picture():
    """What is held back beyond the expiry, too."""
    late = START + timedelta(hours=30)
    found = simulate(POLICY, START, lambda stage, at: told("alice", deferred_until=late))
    quiet = Quiet(recipient="alice", begins_at=START, ends_at=found.expires_at)
    root = parsed(found.model_copy(update={"quiet": (quiet,)}))
    dots = [float(dot.get("cx")) for dot in of_class(root, "dot") if float(dot.get("cx")) >= LEFT]
    assert max(dots) == RIGHT
    (expiry,) = of_class(root, "expiry")
    assert LEFT < float(expiry.get("x1")) < RIGHT
    for shape in of_class(root, "quiet"):
        assert float(shape.get("x")) + float(shape.get("width")) <= WIDTH
