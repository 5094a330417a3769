"""Whole configurations: all or nothing, every path that is wrong, and no difference after a round trip."""

import asyncio

import pytest
from sqlalchemy import text

from db.reads.entries import every_entry
from db.seed import seed_demo_tenant
from db.writes import dictionaries
from db.writes.configuration import apply_configuration
from db.writes.entries import By
from db.writes.rows import note
from domain.configuration import HIDDEN, exported, hidden
from domain.entry import Kind
from domain.errors import InvalidInput, NotFound, Refused
from domain.plain_yaml import read_yaml, write_yaml
from tests.db.factories import START
from tests.db.test_entries import BY, SAMPLES, events, head, put

OTHER = By("other", "olga", START)


async def apply(seeded, document, by=BY, dry=False):
    """Apply a document in a transaction of its own."""
    async with seeded.database.transaction() as tx:
        applied = await apply_configuration(tx, document, by)
        if dry:
            await tx.roll_back()
    return applied


async def export(seeded, tenant="acme"):
    """A tenant's document as its file would hold it."""
    async with seeded.database.transaction() as tx:
        return read_yaml(write_yaml(exported(await every_entry(tx, tenant))))


async def refused(seeded, document, error=InvalidInput):
    """The messages by path of a document that can't be applied, of which nothing is left."""
    before, events_before = await export(seeded), await head(seeded)
    with pytest.raises(error) as told:
        await apply(seeded, document)
    assert await export(seeded) == before
    assert await head(seeded) == events_before
    return told.value.fields


@pytest.fixture
async def full(seeded):
    """The demo tenant with an entry of every kind."""
    for kind, code, fields in SAMPLES:
        await put(seeded, kind, code, fields)
    return seeded


@pytest.fixture
async def other(full):
    """A second tenant that has an admin and nothing else."""
    async with full.database.transaction() as tx:
        await dictionaries.set_tenant(tx, tenant="other", name="Other", actor="setup", at=START)
        await dictionaries.set_user(tx, tenant="other", name="olga", roles=["admin"], actor="setup", at=START)
    return full


async def test_a_round_trip_changes_nothing(full):
    """Export, write, read, apply: no change, no audit event, every entry counted."""
    before, document = await head(full), await export(full)
    applied = await apply(full, document)
    assert (applied.changes, applied.added, applied.changed) == ((), 0, 0)
    assert (
        applied.unchanged == sum(len(section) for section in document.values()) - len(document["tenant"]) + 1
    )
    assert await head(full) == before


async def test_one_tenant_s_export_is_another_s_configuration(other):
    """Everything arrives, and the first tenant is as it was; a second time nothing changes."""
    document, before = await export(other), await export(other)
    applied = await apply(other, document, OTHER)
    assert applied.added > 20
    arrived = await export(other, "other")
    for section in document:
        for code, fields in document[section].items():
            assert arrived[section][code] == fields, f"{section}.{code}"
    assert await export(other) == before
    assert (await apply(other, document, OTHER)).changes == ()
    assert arrived["users"]["olga"]["roles"] == ["admin"]
    async with other.database.transaction() as tx:
        assert (await every_entry(tx, "other"))[Kind.TENANT]["other"]["name"] == "Other"


async def test_references_within_a_document_are_found_in_any_order(seeded):
    """The topic before its calendar, leads before they are users."""
    applied = await apply(
        seeded,
        {
            "transitions": {"asia:PENDING->APPROVED": {"sla_hours": 4}},
            "topics": {"asia": {"department": "d", "calendar": "c"}},
            "departments": {"d": {"leads": ["mei", "lena"]}},
            "users": {"mei": {"roles": ["auditor"], "primary_topic": "asia"}},
            "calendars": {"c": {"time_zone": "Asia/Tokyo", "hours": {}}},
        },
    )
    assert applied.added == 5
    assert (await export(seeded))["departments"]["d"]["leads"] == ["lena", "mei"]
    assert (await events(seeded))[-1][0] == "department_leads.set"


async def test_what_is_not_named_stays(full):
    """Entries, and fields of entries: nothing is ever removed."""
    before = await export(full)
    applied = await apply(full, {"users": {"alice": {"max_load": 3}}, "topics": {}})
    assert [(change.path, change.before, change.after) for change in applied.changes] == [
        ("users.alice.max_load", None, 3)
    ]
    before["users"]["alice"]["max_load"] = 3
    assert await export(full) == before


async def test_every_mistake_is_told_with_its_path(seeded):
    """Of several sections at once, and nothing of the rest is written."""
    found = await refused(
        seeded,
        {
            "users": {"zoe": {"roles": ["requester"]}, "erik": {"roles": ["approver"], "shoe": 44}},
            "topics": {"treasury-eu": {"calendar": "nowhere"}, "Asia": {"department": "treasury"}},
            "transitions": {"treasury-eu:PENDING->PENDING": {"sla_hours": True}},
            "event_rules": {"request.anomaly": {"action": "escalate", "policy_id": "none"}},
            "tenant": {"name": ""},
        },
    )
    twins = await refused(seeded, {"users": {"zoe": {}, "Zoe": {}, "ALICE": {}}})
    assert twins.keys() == {"users.zoe.name", "users.Zoe.name", "users.ALICE.name"}
    assert found.keys() == {
        "users.erik.tier",
        "users.erik.shoe",
        "topics.treasury-eu.calendar",
        "topics.Asia.code",
        "transitions.treasury-eu:PENDING->PENDING.to",
        "transitions.treasury-eu:PENDING->PENDING.sla_hours",
        "event_rules.request.anomaly.policy_id",
        "tenant.name",
    }


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        ({"topic": {}, "rulez": {}}, {"topic", "rulez"}),
        ({"topics": []}, {"topics"}),
        ({"topics": None}, {"topics"}),
        ({"topics": {"a": None, "b": [1], "c": "x"}}, {"topics.a", "topics.b", "topics.c"}),
        ({"topics": {"a": {1: 2}}}, {"topics.a"}),
        ({"tenant": 5}, {"tenant"}),
        ({1: {}}, {"1"}),
        ({"policies": {}}, {"policies"}),
    ],
)
async def test_sections_are_known_and_hold_entries(seeded, document, paths):
    """A mistyped section is an error, never a section that is not there."""
    assert (await refused(seeded, document)).keys() == paths


@pytest.mark.parametrize("document", [None, [], "text", 5, True])
async def test_a_configuration_is_a_map(seeded, document):
    """An empty file, a list, a text."""
    await refused(seeded, document)


async def test_half_an_application_leaves_nothing(seeded):
    """The last section is refused for want of an admin: topics and users of the same file are not there."""
    before = await export(seeded)
    document = {
        "topics": {"asia": {"department": "treasury"}},
        "users": {"zoe": {"roles": ["requester"]}},
        "tenant": {"one_shot_ticket": True},
    }
    with pytest.raises(Refused, match="tenant: root is no active admin"):
        await apply(seeded, document, By("acme", "root", START))
    assert await export(seeded) == before
    assert (await apply(seeded, document)).added == 2


async def test_a_dry_run_does_the_same_and_writes_nothing(seeded):
    """The same answer as the application, by the same code."""
    document = {"topics": {"asia": {"department": "treasury"}}, "users": {"bob": {"max_load": 2}}}
    before, events_before = await export(seeded), await head(seeded)
    tried = await apply(seeded, document, dry=True)
    assert await export(seeded) == before
    assert await head(seeded) == events_before
    assert await apply(seeded, document) == tried


async def test_two_applications_at_once(seeded):
    """They wait for each other, whatever the order of their entries: both hold, without a deadlock."""
    names = [f"user{number}" for number in range(20)]
    for turn in range(1, 4):
        one = {"users": {name: {"max_load": turn} for name in names}, "rules": {"10": {"approvals": turn}}}
        two = {"users": {name: {"email": f"{name}@{turn}.example"} for name in reversed(names)}}
        await asyncio.gather(
            apply(seeded, one), apply(seeded, two), put(seeded, "user", "bob", {"max_load": turn})
        )
        found = await export(seeded)
        assert {found["users"][name]["max_load"] for name in names} == {turn}
        assert {found["users"][name]["email"] for name in names} == {
            f"{name}@{turn}.example" for name in names
        }


async def test_an_application_beside_steps_that_hold_a_user(seeded):
    """An assignment has the user's row before the audit chain: the two never wait for each other."""
    hold = text("SELECT 1 FROM users WHERE tenant = 'acme' AND name = 'dave' FOR NO KEY UPDATE")

    async def step(number):
        async with seeded.database.transaction() as tx:
            await tx.run(hold)
            await asyncio.sleep(0.01)
            await note(tx, "test.step", "acme", {"number": number}, "sweep", START)

    for turn in range(1, 6):
        users = {name: {"max_load": turn} for name in ("alice", "bob", "carol", "dave")}
        await asyncio.gather(apply(seeded, {"users": users}), *(step(number) for number in range(3)))
    assert (await export(seeded))["users"]["dave"]["max_load"] == 5


async def test_seeding_after_an_application_is_the_seed_s(seeded):
    """The local stack seeds at every start: what it sets is again as it says, the rest stays."""
    await apply(
        seeded, {"topics": {"treasury-eu": {"auto_assign_after_hours": 9}}, "statuses": {"FAILED": {}}}
    )
    async with seeded.database.transaction() as tx:
        await seed_demo_tenant(tx, {}, None, START)
    found = await export(seeded)
    assert found["topics"]["treasury-eu"]["auto_assign_after_hours"] == 1
    assert found["statuses"]["FAILED"]["type"] == "settlement"


async def test_an_unknown_tenant_is_not_made(seeded):
    """A typing mistake must not become a client."""
    with pytest.raises(NotFound, match="unknown tenant 'nobody'"):
        await apply(seeded, {"topics": {}}, By("nobody", "adam", START))


async def test_contacts_are_hidden_in_changes(seeded):
    """That an address changes is told, and not to what."""
    applied = await apply(
        seeded,
        {
            "users": {"bob": {"email": "b@x.example"}, "zoe": {"email": "z@x.example"}},
            "channels": {"desk": {"kind": "slack", "settings": {"channel": "#desk"}}},
        },
    )
    told = {change.path: hidden(change) for change in applied.changes}
    assert (told["users.bob.email"].before, told["users.bob.email"].after) == (HIDDEN, HIDDEN)
    assert "example" not in repr(told)
    assert "#desk" not in repr(told)
    assert Kind.USER.section == "users"
