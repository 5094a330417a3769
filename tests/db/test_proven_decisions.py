"""A chain proves by itself that each decision on somebody's behalf was theirs to make."""

import json
from datetime import UTC, datetime

import pytest

from db import reads
from db.writes import dictionaries
from domain.approvals import Verdict
from domain.proven_decisions import verify_decisions
from tests.db.test_absences import a_pending, decide, only_tier_2
from tests.support.absences import call_back, send_away, signed, wish


@pytest.fixture
async def events(seeded):
    """The chain of an approval and a rejection by bob for carol, and of one by alice, set by the admin."""
    await only_tier_2(seeded)
    absence = await send_away(seeded, "carol", "bob")
    opened = [await a_pending(seeded) for _ in range(3)]
    await decide(seeded, opened[0], "bob")
    await decide(seeded, opened[1], "bob", Verdict.REJECT)
    await call_back(seeded, absence)
    await send_away(seeded, "carol", "alice", by="adam")
    await decide(seeded, opened[2], "alice")
    return await the_chain(seeded)


async def the_chain(seeded):
    """Every event of the demo tenant."""
    async with seeded.database.transaction() as tx:
        return await reads.audit_events(tx, "acme")


def changed(events, kind, change):
    """The events with the content of the first one of a kind changed, as if nobody looked at hashes."""
    found = next(number for number, event in enumerate(events) if json.loads(event.body)["kind"] == kind)
    content = json.loads(events[found].body)
    change(content)
    forged = events[found].model_copy(update={"body": json.dumps(content)})
    return [*events[:found], forged, *events[found + 1 :]]


async def test_a_sound_chain_is_proven(events):
    """Keys, roles, absences and decisions fit together, an admin's absence for somebody ill included."""
    report = verify_decisions(events)
    assert (report.delegated, report.faults) == (3, ())


def detail(name, value):
    """Change one detail of an event."""
    return lambda content: content["details"].update({name: value})


HARMED = {
    "the absence is another's": ("absence.set", detail("user", "dave")),
    "the delegate is another": ("absence.set", detail("delegate", "alice")),
    "the absence is longer": ("absence.set", detail("ends_at", "2100-01-01T00:00:00Z")),
    "the envelope is gone": ("absence.set", detail("envelope", None)),
    "judged after the absence": ("decision.approve", detail("judgedAt", "2100-01-01T00:00:00+00:00")),
    "judged before the absence": ("decision.approve", detail("judgedAt", "2000-01-01T00:00:00+00:00")),
    "no time of judgement": ("decision.approve", detail("judgedAt", None)),
    "for somebody else": ("decision.approve", detail("onBehalfOf", "dave")),
    "by somebody else": ("decision.approve", lambda content: content.update(actor="alice")),
    "of another tier": ("decision.approve", detail("tier", 3)),
    "by an unknown absence": ("decision.approve", detail("absence", "abs_" + "A" * 26)),
    "for another request": ("decision.approve", lambda content: content.update(requestId="mr_other")),
    "an approval once it was a rejection": (
        "decision.reject", lambda content: content.update(kind="decision.approve"),
    ),
    "the decision is unsigned": ("decision.approve", detail("envelope", {})),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "change"), HARMED.values(), ids=HARMED)
async def test_any_harm_is_named(events, kind, change):
    """Whoever rewrites a chain with all its hashes still lacks the private keys."""
    assert verify_decisions(changed(events, kind, change)).faults


async def test_an_absence_that_was_ended_proves_nothing_later(events):
    """The event that ends it shortens it."""
    ended = next(n for n, event in enumerate(events) if json.loads(event.body)["kind"] == "absence.end")
    decision = next(
        n for n, event in enumerate(events) if json.loads(event.body)["kind"] == "decision.approve"
    )
    moved = [*events[:decision], *events[decision + 1 : ended + 1], events[decision]]
    content = json.loads(moved[-1].body)
    content["details"]["judgedAt"] = datetime.now(UTC).isoformat()
    moved[-1] = moved[-1].model_copy(update={"body": json.dumps(content)})
    [fault] = verify_decisions([*moved]).faults
    assert "did not last" in fault


async def test_a_key_that_was_revoked_before_proves_nothing(seeded):
    """Keys count as they were at the moment of the decision, not as they are now."""
    await send_away(seeded, "carol", "bob")
    first = await a_pending(seeded)
    await decide(seeded, first, "bob")
    async with seeded.database.transaction() as tx:
        [carol] = [user for user in await reads.users(tx, "acme") if user.name == "carol"]
        await dictionaries.revoke_key(
            tx, tenant="acme", user="carol", key_id=carol.keys[0], actor="adam", at=datetime.now(UTC)
        )
    events = await the_chain(seeded)
    assert verify_decisions(events).faults == ()
    assert verify_decisions([*events, events[-2]]).faults, "the same after the revocation"


async def test_an_absence_without_a_signature_by_its_setter_is_named(seeded, events):
    """Somebody with the database's password appends sound links that nobody signed for."""
    envelope = json.loads(signed(seeded, "carol", "absence.set", "carol", wish("bob"), key_of="bob"))
    assert verify_decisions(changed(events, "absence.set", detail("envelope", envelope))).faults
