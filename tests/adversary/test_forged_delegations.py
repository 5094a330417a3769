"""Chains that somebody with the database's password made: sound links, and no authority behind them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.approvals import Verdict
from domain.proven_decisions import verify_decisions
from tests.db.test_absences import a_pending, decide, only_tier_2
from tests.db.test_proven_decisions import the_chain
from tests.support.absences import call_back, send_away


@pytest.fixture
async def events(seeded):
    """Carol's absence, an approval by bob for her, her return."""
    await only_tier_2(seeded)
    absence = await send_away(seeded, "carol", "bob")
    await decide(seeded, await a_pending(seeded), "bob")
    await call_back(seeded, absence)
    events = await the_chain(seeded)
    assert verify_decisions(events).faults == ()
    return events


def one(events, kind, **changes):
    """The first event of a kind, with other content at its top or, by `details`, inside."""
    found = next(event for event in events if json.loads(event.body)["kind"] == kind)
    content = json.loads(found.body)
    details = content["details"] | changes.pop("details", {})
    return found.model_copy(update={"body": json.dumps({**content, **changes, "details": details})})


def without(events, kind):
    """All events but those of a kind."""
    return [event for event in events if json.loads(event.body)["kind"] != kind]


def faults(*events):
    """What is wrong with a chain."""
    return " ".join(verify_decisions(events).faults)


def opened(events, id_="mr_forged"):
    """Another request by rita, and bob's approval of it for carol, dated a moment later."""
    moment = datetime.now(UTC) + timedelta(seconds=1)
    details = {"judgedAt": moment.isoformat()}
    return [
        one(events, "request.opened", requestId=id_),
        one(events, "decision.approve", at=moment.isoformat(), details=details),
    ]


async def test_an_ended_absence_is_not_revived_by_saying_it_again(events):
    """The same signed command, as a second event after the end: the authority is back with carol."""
    again, late = one(events, "absence.set"), opened(events)[1]
    rest = without(events, "decision.approve")
    assert "did not last" in faults(*rest, late)
    assert "did not last" in faults(*rest, again, late)
    longer = one(events, "absence.end", details={"ends_at": "2100-01-01T00:00:00Z"})
    assert "did not last" in faults(*rest, longer, late)


async def test_a_decision_is_not_judged_before_it_came(events):
    """A moment inside the absence does not make a decision that came after its end one of the absence."""
    absent = json.loads(one(events, "absence.set").body)["details"]
    late = (datetime.fromisoformat(absent["ends_at"]) + timedelta(days=1)).isoformat()
    rest = without(without(events, "decision.approve"), "absence.end")
    assert "did not last" in faults(*rest, one(events, "decision.approve", at=late))


async def test_nobodys_authority_counts_twice_in_a_chain(events):
    """Carol's own approval and one by bob for her are one; and so are two by bob."""
    given = one(events, "decision.approve")
    own = one(events, "decision.approve", actor="carol", details={"onBehalfOf": None})
    assert "carol has approved before" in faults(*events, own)
    before = without(events, "decision.approve")
    assert "carol has approved before" in faults(*without(before, "absence.end"), own, given)
    assert "bob has approved before" in faults(*events, given)


@pytest.mark.parametrize("requester", ["bob", "carol", "Carol"])
async def test_four_eyes_hold_in_a_chain(events, requester):
    """Neither the delegate nor the absent approver asked for the mint."""
    before = without(events, "request.opened")
    assert "four eyes" in faults(one(events, "request.opened", actor=requester), *before)


async def test_a_request_that_nobody_opened_is_approved_by_nobody(events):
    """The chain does not say who asked, so it proves no second pair of eyes."""
    assert "four eyes" in faults(*without(events, "request.opened"))


async def test_a_delegate_who_was_away_proves_nothing(seeded):
    """Bob had handed his own authority to alice when he signed for carol: nothing passes through him."""
    await only_tier_2(seeded)
    await send_away(seeded, "carol", "bob")
    record = await a_pending(seeded)
    await decide(seeded, record, "bob")
    events = await the_chain(seeded)
    assert verify_decisions(events).delegated == 1
    await send_away(seeded, "bob", "alice")
    assert (await decide(seeded, await a_pending(seeded), "bob", Verdict.REJECT)).reason == "delegated"
    [_, second] = [e for e in await the_chain(seeded) if json.loads(e.body)["kind"] == "absence.set"]
    moment = datetime.now(UTC).isoformat()
    late = one(events, "decision.approve", at=moment, details={"judgedAt": moment})
    assert "was away themselves" in faults(*without(events, "decision.approve"), second, late)
