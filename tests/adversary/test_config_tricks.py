"""Configurations that somebody wrote to harm whoever applies them, or the others who work meanwhile."""

import asyncio

import pytest
from sqlalchemy import text

from db.reads.entries import entries
from db.session import Database
from db.writes.configuration import apply_configuration
from db.writes.event_rules import remove_event_rule, set_event_rule
from domain.entry import Kind
from domain.errors import InvalidInput, NotFound
from domain.plain_yaml import read_yaml
from domain.runs import EventAction, EventKind, EventRule
from tests.db.factories import START
from tests.db.test_entries import BY, put
from tests.support.postgres import until_waiting

CLEAR = r"\e[2J\e[1;1H"
"""Makes a terminal empty, in the spelling of YAML."""


@pytest.mark.parametrize(
    "written",
    [
        f'"{CLEAR}all is well": 1',
        f'"{CLEAR}all is well": {{}}\n"x": 1',
        f'topics: {{"{CLEAR}": 1}}',
        f'topics: {{"{CLEAR}": {{department: treasury}}, "x\u202e": {{}}}}',
        f'topics: {{treasury-eu: {{"{CLEAR}": 1, name: x}}}}',
        f'users: {{alice: {{roles: ["{CLEAR}"]}}}}',
        f"topics: {{{'x' * 5000}: 1}}",
    ],
    ids=["section", "sections", "code", "fields of a code", "field", "value", "long"],
)
async def test_no_message_repaints_the_terminal(seeded, written):
    """Names that stand in a file are repeated without what a terminal obeys, and not at any length."""
    with pytest.raises(InvalidInput) as told:
        async with seeded.database.transaction() as tx:
            await apply_configuration(tx, read_yaml(written), BY)
    said = [told.value.message, *told.value.fields, *told.value.fields.values()]
    assert all(line.isprintable() and len(line) < 700 for line in said)


@pytest.mark.parametrize("name", ["\u202e\u200b", "\u200b", "EU\u202eyrusaert", "\u2066EU", "\ufeff"])
async def test_no_name_is_empty_to_the_eye_or_turns_a_message_around(seeded, name):
    """What people read in messages is what was written there."""
    with pytest.raises(InvalidInput, match="name: must"):
        await put(seeded, "topic", "treasury-eu", {"name": name})
    await put(seeded, "topic", "treasury-eu", {"name": "خزانة 👩‍💼"})


@pytest.mark.parametrize("alias", ["01", "0001", "+1", "1.0", " 1", "1 ", "1_0", "١"])
async def test_a_rule_has_one_name(seeded, alias):
    """Another spelling of its position would overwrite it with defaults: no cap, no code, one approval."""
    strict = {"approvals": 3, "min_tier": 2, "daily_cap": "7", "step_up_above": "3"}
    await put(seeded, "rule", "1", strict)
    await put(seeded, "rule", "10", strict)
    for write in (apply_rule, put_rule):
        with pytest.raises(InvalidInput) as told:
            await write(seeded, alias)
        assert "must be a whole number" in told.value.message
    async with seeded.database.transaction() as tx:
        found = await entries(tx, "acme", Kind.RULE)
    assert [found[code]["approvals"] for code in ("1", "10")] == [3, 3]


async def apply_rule(seeded, code):
    """By a file."""
    async with seeded.database.transaction() as tx:
        await apply_configuration(tx, {"rules": {code: {"approvals": 1}}}, BY)


async def put_rule(seeded, code):
    """One by one."""
    await put(seeded, "rule", code, {"approvals": 1})


def a_rule(action=EventAction.INFORM, **changes):
    """A rule for anomalies."""
    values = {"tenant": "acme", "event_kind": EventKind.ANOMALY, "action": action, "urgent": True}
    return EventRule(**values | changes)


async def test_a_rule_for_events_and_a_configuration_wait_for_each_other_in_one_order(seeded):
    """Whoever applies a file holds the audit chain; who sets a rule meanwhile must not hold its row."""
    database = Database(seeded.url, pool_size=3)
    document = {
        "departments": {"legal": {"leads": ["lena"]}},
        "event_rules": {"request.anomaly": {"action": "inform", "urgent": False}},
    }
    async with database.transaction() as tx:
        await set_event_rule(tx, rule=a_rule(), actor="adam", at=START)

    async def applied():
        async with database.transaction() as tx:
            return await apply_configuration(tx, document, BY)

    async def ruled():
        async with database.transaction() as tx:
            await remove_event_rule(tx, tenant="acme", kind=EventKind.ANOMALY, actor="adam", at=START)

    async with database.transaction() as tx:
        # the chain is busy: both go as far as they can before it, and the file comes first
        await tx.run(text("SELECT 1 FROM audit_heads WHERE tenant = 'acme' FOR UPDATE"))
        first = asyncio.create_task(applied())
        await until_waiting(seeded.database)
        second = asyncio.create_task(ruled())
        await until_waiting(seeded.database, 2)
    await asyncio.wait_for(asyncio.gather(first, second), 30)
    await database.close()


async def test_rules_for_events_of_nobody_are_refused(seeded):
    """An unknown tenant has none to set or to remove."""
    async with seeded.database.transaction() as tx:
        with pytest.raises(NotFound, match="unknown tenant 'nobody'"):
            await set_event_rule(tx, rule=a_rule(tenant="nobody"), actor="adam", at=START)
    async with seeded.database.transaction() as tx:
        with pytest.raises(NotFound, match="unknown tenant 'nobody'"):
            await remove_event_rule(tx, tenant="nobody", kind=EventKind.ANOMALY, actor="adam", at=START)
