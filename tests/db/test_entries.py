"""Entries of every dictionary in the database: merged, audited once, removed only when nothing needs them."""

import asyncio
import json

import pytest
from sqlalchemy import text

from db import reads
from db.reads.entries import entries, every_entry
from db.writes import dictionaries
from db.writes.entries import By, remove_entry, set_entry
from domain.entry import Kind
from domain.errors import InvalidInput, NotFound, Refused
from tests.db.factories import START, open_one

BY = By("acme", "adam", START)
WEEK = {"mon": [["09:00", "17:00"]]}
SAMPLES = [
    ("department", "legal", {"leads": ["lena"], "slack_channel": "#legal"}),
    ("calendar", "fra", {"time_zone": "Europe/Berlin", "hours": WEEK, "country": "DE",
                         "holidays": ["2026-12-24"]}),
    ("topic", "treasury-asia", {"department": "treasury", "auto_assign_after_hours": 3}),
    ("user", "Erik", {"roles": ["approver"], "tier": 2, "topics": ["treasury-us"], "max_load": 4,
                      "working_hours": WEEK, "email": "e@x.example", "slack_user": "W012AB3CD",
                      "quiet_hours": [{"days": ["sun"], "from": "00:00", "to": "24:00", "zone": "UTC"}]}),
    ("status", "CONFIRMED", {"name": "Done", "type": "billing", "sla_hours": 8}),
    ("transition", "treasury-eu:PENDING->REJECTED", {"sla_hours": 2}),
    ("rule", "5", {"approvals": 2, "max": "7", "step_up_above": "3"}),
    ("channel", "desk", {"kind": "slack", "settings": {"channel": "#desk", "per_minute": "30"}}),
    ("event-rule", "request.anomaly", {"action": "inform", "urgent": False}),
    ("tenant", "acme", {"name": "Acme Ltd", "one_shot_ticket": True}),
]  # fmt: skip
SAMPLE = pytest.mark.parametrize(("kind", "code", "fields"), SAMPLES, ids=[kind for kind, *_ in SAMPLES])


async def put(seeded, kind, code, fields, by=BY):
    """Set an entry in a transaction of its own."""
    async with seeded.database.transaction() as tx:
        return await set_entry(tx, Kind(kind), code, fields, by)


async def take(seeded, kind, code, by=BY):
    """Remove an entry in a transaction of its own."""
    async with seeded.database.transaction() as tx:
        return await remove_entry(tx, Kind(kind), code, by)


async def events(seeded, since=0):
    """The audit events since one, as kind and details."""
    async with seeded.database.transaction() as tx:
        found = [json.loads(event.body) for event in await reads.audit_events(tx, "acme", since)]
    return [(event["kind"], event["details"]) for event in found]


async def head(seeded):
    """How many audit events there are."""
    async with seeded.database.transaction() as tx:
        return (await reads.audit_head(tx, "acme")).seq


@SAMPLE
async def test_setting_an_entry_again_is_nothing(seeded, kind, code, fields):
    """The first time it is written and audited by its actor; the second time neither."""
    before = await head(seeded)
    made = await put(seeded, kind, code, fields)
    after = await head(seeded)
    assert after > before
    assert (await put(seeded, kind, code, fields)).fields == made.fields
    assert (await put(seeded, kind, code, made.fields)).fields == made.fields
    assert (await put(seeded, kind, code, {})).fields == made.fields
    assert await head(seeded) == after
    async with seeded.database.transaction() as tx:
        assert all('"actor":"adam"' in event.body for event in await reads.audit_events(tx, "acme", before))


@SAMPLE
async def test_contacts_are_not_in_the_audit(seeded, kind, code, fields):
    """The chain can't forget addresses, so it never learns them."""
    before = await head(seeded)
    await put(seeded, kind, code, fields)
    told = json.dumps(await events(seeded, before))
    assert "e@x.example" not in told
    assert "#desk" not in told


@SAMPLE
async def test_an_entry_is_removed_or_deactivated_once(seeded, kind, code, fields):
    """A tenant stays; topics and users are closed, which a second time is nothing; the rest is gone."""
    await put(seeded, kind, code, fields)
    if kind == "tenant":
        with pytest.raises(InvalidInput, match="can't be removed"):
            await take(seeded, kind, code)
        return
    done = await take(seeded, kind, code)
    after = await head(seeded)
    async with seeded.database.transaction() as tx:
        left = await entries(tx, "acme", Kind(kind))
    if done == "deactivated":
        assert left[code]["active"] is False
        await take(seeded, kind, code)
        assert await head(seeded) == after
    else:
        assert code not in left
        assert (await events(seeded, after - 1))[0][0].endswith(".removed")
        with pytest.raises(NotFound, match=kind):
            await take(seeded, kind, code)


@pytest.mark.parametrize("kind", list(Kind))
async def test_an_unknown_tenant_has_no_dictionary(seeded, kind):
    """Neither set nor removed; another tenant's code is not ours."""
    by = By("other", "adam", START)
    with pytest.raises(NotFound, match="unknown tenant 'other'"):
        await put(seeded, kind, "x", {}, by)
    with pytest.raises(NotFound, match="unknown tenant 'other'"):
        await take(seeded, kind, "x", by)
    with pytest.raises(NotFound, match="'other' is not tenant acme"):
        await put(seeded, "tenant", "other", {"name": "x"})


async def test_what_is_not_given_stays(seeded):
    """Only the named fields change; null clears one."""
    await put(seeded, "calendar", "fra", SAMPLES[1][2])
    await put(seeded, "topic", "treasury-eu", {"calendar": "fra"})
    after = await put(seeded, "topic", "treasury-eu", {"auto_assign_after_hours": 9})
    assert (after.fields["calendar"], after.fields["auto_assign_after_hours"]) == ("fra", 9)
    after = await put(seeded, "topic", "treasury-eu", {"calendar": None})
    assert after.fields["calendar"] is None


async def test_a_calendar_in_use_stays_and_the_topics_are_named(seeded):
    """Both topics that count by it are told; without them it goes."""
    await put(seeded, "calendar", "fra", SAMPLES[1][2])
    for topic in ("treasury-us", "treasury-eu"):
        await put(seeded, "topic", topic, {"calendar": "fra"})
    with pytest.raises(Refused, match="in use by treasury-eu, treasury-us"):
        await take(seeded, "calendar", "fra")
    for topic in ("treasury-us", "treasury-eu"):
        await put(seeded, "topic", topic, {"calendar": None})
    assert await take(seeded, "calendar", "fra") == "removed"


async def test_a_department_with_topics_stays(seeded):
    """Topics need leads who hear of what stalls."""
    with pytest.raises(Refused, match="give treasury-eu, treasury-us another one first"):
        await take(seeded, "department", "treasury")


async def test_additional_topics_are_audited(seeded):
    """Whose desk somebody joins or leaves is in the chain, once."""
    before = await head(seeded)
    await put(seeded, "user", "alice", {"topics": ["treasury-us", "treasury-eu"]})
    assert await events(seeded, before) == [
        (
            "user_topics.set",
            {"tenant": "acme", "user_name": "alice", "topics": ["treasury-eu", "treasury-us"]},
        )
    ]
    before = await head(seeded)
    await put(seeded, "user", "alice", {"topics": ["treasury-eu", "treasury-us", "treasury-us"]})
    assert await head(seeded) == before


async def test_leads_are_those_that_are_named(seeded):
    """Who is not named any more is removed, and both are audited."""
    before = await head(seeded)
    after = await put(seeded, "department", "treasury", {"leads": ["adam", "carol"]})
    assert after.fields["leads"] == ["adam", "carol"]
    assert [kind for kind, _ in await events(seeded, before)] == [
        "department_leads.removed", "department_leads.set", "department_leads.set",
    ]  # fmt: skip


async def test_the_past_keeps_topics_and_users(seeded):
    """A request of a closed topic, by somebody who has left, is read as before."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
    await take(seeded, "topic", record.request.topic)
    await take(seeded, "user", record.request.requester)
    async with seeded.database.transaction() as tx:
        found = await reads.request(tx, record.request.id)
    assert (found.request.topic, found.request.requester) == (record.request.topic, record.request.requester)


async def test_options_of_the_tenant_need_an_admin(seeded):
    """Name, quiet hours and ledger options: only by somebody who may; setting what is there needs nobody."""
    by = By("acme", "root", START)
    for fields in ({"name": "X"}, {"one_shot_ticket": True}, {"quiet_hours": SAMPLES[3][2]["quiet_hours"]}):
        with pytest.raises(Refused, match="root is no active admin"):
            await put(seeded, "tenant", "acme", fields, by)
    assert (await put(seeded, "tenant", "acme", {"name": "Acme"}, by)).fields["name"] == "Acme"


async def test_a_transition_that_cannot_happen_is_set_with_a_warning(seeded):
    """It may be meant for later; the warning says where requests do go."""
    outcome = await put(seeded, "transition", "treasury-eu:CONFIRMED->PENDING", {"sla_hours": 4})
    assert outcome.fields == {"sla_hours": 4}
    assert "never goes from CONFIRMED to PENDING" in outcome.warnings[0]


async def test_two_at_once_lose_nothing(seeded):
    """Each changes another field of the same user, at the same time: both changes hold."""
    for load in range(5):
        await asyncio.gather(
            put(seeded, "user", "alice", {"max_load": load + 1}),
            put(seeded, "user", "alice", {"email": f"a{load}@x.example"}),
        )
        async with seeded.database.transaction() as tx:
            alice = (await entries(tx, "acme", Kind.USER))["alice"]
        assert (alice["max_load"], alice["email"]) == (load + 1, f"a{load}@x.example")


async def test_a_topic_and_its_calendar_going_at_once(seeded):
    """Either the topic has it and it stays, or it is gone and the topic is refused."""
    for turn in range(5):
        code = f"cal-{turn}"
        await put(seeded, "calendar", code, SAMPLES[1][2])
        took, removed = await asyncio.gather(
            put(seeded, "topic", "treasury-eu", {"calendar": code}),
            take(seeded, "calendar", code),
            return_exceptions=True,
        )
        assert isinstance(took, NotFound) != isinstance(removed, Refused)
        await put(seeded, "topic", "treasury-eu", {"calendar": None})


async def test_people_s_functions_still_check_by_themselves(seeded):
    """Whoever calls them without an entry is refused as before."""
    async with seeded.database.transaction() as tx:
        with pytest.raises(NotFound, match="unknown calendar"):
            await dictionaries.set_topic(
                tx,
                tenant="acme",
                code="t",
                name="t",
                department="treasury",
                calendar="x",
                actor="a",
                at=START,
            )
        with pytest.raises(InvalidInput, match="no IANA time zone"):
            await dictionaries.set_user(
                tx, tenant="acme", name="z", roles=[], time_zone="Europe", actor="a", at=START
            )


async def test_everything_is_read_in_a_fixed_order(seeded):
    """By code, rules by position, weekdays and windows as they are in a week."""
    for kind, code, fields in SAMPLES:
        await put(seeded, kind, code, fields)
    await put(seeded, "rule", "100", {"approvals": 1})
    await put(
        seeded, "calendar", "fra", {"hours": {"sun": WEEK["mon"], "tue": WEEK["mon"], "mon": WEEK["mon"]}}
    )
    async with seeded.database.transaction() as tx:
        found = await every_entry(tx, "acme")
        await tx.execute(text("UPDATE users SET active = active"))
        assert json.dumps(await every_entry(tx, "acme")) == json.dumps(found)
    assert list(found[Kind.RULE]) == ["5", "10", "20", "100"]
    assert list(found[Kind.CALENDAR]["fra"]["hours"]) == ["mon", "tue", "sun"]
    assert list(found[Kind.USER]) == sorted(found[Kind.USER])
