"""Who hears of what the assignment sweep does, and how often."""

import pytest
import pytest_asyncio
from sqlalchemy import text

from db import reads
from db.reads.wanted import unwanted
from db.writes.assignment import assign_automatically, note_nobody
from domain.assignment import Candidate
from domain.errors import TransitionRefused
from tests.db.factories import later, open_one
from tests.support.sweeping import (
    act,
    away,
    claim,
    events_of,
    hire,
    kinds_of,
    messages,
    one_pass,
    only,
    record_of,
    run,
)

DUE = later(hours=1)


@pytest_asyncio.fixture
async def database(seeded):
    """The demo tenant, whose topics wait an hour; alice alone works on them, lena leads."""
    await run(seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")
    await only(seeded.database, "alice", "rita", "adam", "lena")
    return seeded.database


async def opened(database):
    """A request that nobody took; its id."""
    async with database.transaction() as tx:
        return (await open_one(tx)).request.id


async def inbox(database, kind):
    """The in-app notices of a kind: recipient and event."""
    async with database.transaction() as tx:
        rows = await tx.execute(
            text("SELECT recipient_kind, recipient, event FROM notifications WHERE kind = :kind ORDER BY id"),
            {"kind": kind},
        )
        return [tuple(row) for row in rows]


async def test_the_assignee_is_told_once_in_the_app_and_by_email(database):
    """Both messages with the assignment; nobody else hears of it, and no other sweep tells it again."""
    await opened(database)
    for minutes in (0, 1, 60):
        await one_pass(database, DUE + (later(minutes=minutes) - later()))
    assert await messages(database, "assigned", "unassigned") == [
        ("assigned", "email", "alice"),
        ("assigned", "in-app", "alice"),
    ]
    assert await inbox(database, "assigned") == [("ADMIN_USER", "alice", "STATUS")]


async def test_a_second_assignment_to_the_same_person_is_told_again(database):
    """Released and swept again: a new stint has messages of its own."""
    request_id = await opened(database)
    await one_pass(database, DUE)
    await act(database, request_id, "release", "alice", None, later(hours=2))
    await one_pass(database, later(hours=3))
    assert len(await messages(database, "assigned")) == 4


async def test_a_rollback_tells_nobody_and_assigns_nothing(database):
    """Messages are rows of the same transaction: what is not committed was never said."""
    request_id = await opened(database)

    class Gone(Exception):
        pass

    with pytest.raises(Gone):
        async with database.transaction() as tx:
            record = await reads.lock_request(tx, request_id)
            await assign_automatically(tx, record=record, to=Candidate("alice", tier=1), at=DUE)
            raise Gone
    with pytest.raises(Gone):
        async with database.transaction() as tx:
            record = await reads.lock_request(tx, request_id)
            assert await note_nobody(tx, record=record, why="because", at=DUE)
            raise Gone
    assert (await record_of(database, request_id)).assignee is None
    assert await messages(database, "assigned", "unassigned") == []
    assert await inbox(database, "assigned") == []


async def test_quiet_hours_hold_back_the_email_only(database):
    """START is a Monday morning in Berlin; the app wakes nobody."""
    await run(
        database,
        """UPDATE users SET quiet_hours = '[{"days": ["mon"], "from": "00:00", "to": "23:00",
        "zone": "UTC"}]' WHERE name = 'alice'""",
    )
    await opened(database)
    await one_pass(database, DUE)
    async with database.transaction() as tx:
        rows = await tx.execute(
            text("SELECT channel_kind, state FROM deliveries WHERE kind = 'assigned' ORDER BY channel_kind")
        )
        assert [tuple(row) for row in rows] == [("email", "deferred"), ("in-app", "accepted")]


async def test_who_is_relieved_before_the_message_left_is_told_no_such_thing(database):
    """A deferred email about a request that is no longer theirs is left out; so is an outdated alert."""
    await hire(database, "bert")
    request_id = await opened(database)
    await one_pass(database, DUE)
    async with database.transaction() as tx:
        query = "SELECT id FROM deliveries WHERE kind = 'assigned' AND channel_kind = 'email'"
        [delivery] = (await tx.execute(text(query))).scalars()
        assert (await unwanted(tx, [delivery]))[delivery] == ""
    await claim(database, request_id, "bert", later(hours=2))
    async with database.transaction() as tx:
        assert (await unwanted(tx, [delivery]))[delivery] == "the request is no longer theirs"


async def test_whoever_the_sweep_had_chosen_hears_that_it_was_taken_over(database):
    """In the app only, once; whoever gives up a manual one hears nothing of the kind."""
    await hire(database, "bert")
    taken, assigned = await opened(database), await opened(database)
    await one_pass(database, DUE)
    before = {
        request_id: (await record_of(database, request_id)).assignee for request_id in (taken, assigned)
    }
    assert sorted(before.values()) == ["alice", "bert"]
    other = {"alice": "bert", "bert": "alice"}
    await claim(database, taken, other[before[taken]], later(hours=2))
    await act(database, assigned, "assign", "adam", other[before[assigned]], later(hours=2))
    expected = sorted(("taken_over", "in-app", name) for name in before.values())
    assert await messages(database, "taken_over") == expected
    await act(database, taken, "assign", "adam", before[taken], later(hours=3))
    assert await messages(database, "taken_over") == expected


async def test_whoever_is_given_a_request_by_somebody_is_told_by_whom(database):
    """In the app and by email, and the message names who gave it; who claims needs no message."""
    await hire(database, "bert")
    given, claimed = await opened(database), await opened(database)
    await act(database, given, "assign", "adam", "bert", later(hours=1))
    await claim(database, claimed, "bert", later(hours=1))
    assert await messages(database, "assigned") == [
        ("assigned", "email", "bert"),
        ("assigned", "in-app", "bert"),
    ]
    async with database.transaction() as tx:
        facts = await tx.scalar(text("SELECT facts FROM deliveries WHERE kind = 'assigned' LIMIT 1"))
    assert facts["author"] == "adam"


async def test_that_nobody_fits_is_recorded_and_told_to_the_leads_once(database):
    """However many sweeps find it: one event that says why, one message a channel."""
    await away(database, "alice", later(), later(hours=48))
    request_id = await opened(database)
    for hours in (1, 2, 3):
        answer = await one_pass(database, later(hours=hours))
        assert (answer.report.nobody, answer.report.assigned) == (1, 0)
    told = [
        ("unassigned", "email", "lena"),
        ("unassigned", "in-app", "lena"),
        ("unassigned", "slack", "#treasury-leads"),
    ]
    assert await messages(database, "unassigned") == told
    assert await inbox(database, "unassigned") == [("ADMIN_USER", "lena", "ESCALATION")]
    [event] = [one for one in await events_of(database, request_id) if one["kind"] == "assignment.nobody"]
    assert event["details"]["message"] == ("no approver can take it: 3 inactive, 1 out of office")
    async with database.transaction() as tx:
        [facts] = (
            await tx.execute(
                text("SELECT facts FROM deliveries WHERE kind = 'unassigned' AND channel_kind = 'slack'")
            )
        ).scalars()
    assert facts["reason"] == event["details"]["message"]


async def test_a_new_stint_with_nobody_is_told_again(database):
    """Claimed and given back: the leads hear once more, since somebody had it meanwhile."""
    request_id = await opened(database)
    await away(database, "alice", later(minutes=50), later(hours=48))
    await one_pass(database, DUE)
    await claim(database, request_id, "alice", later(hours=1, minutes=30))
    await act(database, request_id, "release", "alice", None, later(hours=2))
    assert (await one_pass(database, later(hours=2, minutes=59))).report.looked_at == 0
    for _ in range(2):
        await one_pass(database, later(hours=3))
    assert (await kinds_of(database, request_id)).count("assignment.nobody") == 2
    assert len(await messages(database, "unassigned")) == 6


async def test_as_soon_as_somebody_fits_it_is_assigned(database):
    """Nobody is no verdict: the next sweep after the absence assigns it."""
    await away(database, "alice", later(), later(hours=2))
    request_id = await opened(database)
    await one_pass(database, DUE)
    await one_pass(database, later(hours=2))
    assert (await record_of(database, request_id)).assignee == "alice"


async def test_an_alert_that_nobody_fits_is_outdated_once_somebody_works_on_it(database):
    """What quiet hours held back is left out then."""
    request_id = await opened(database)
    await away(database, "alice", later(), later(hours=2))
    await one_pass(database, DUE)
    await claim(database, request_id, "alice", later(hours=1, minutes=30))
    async with database.transaction() as tx:
        query = "SELECT id FROM deliveries WHERE kind = 'unassigned' AND channel_kind = 'slack'"
        [delivery] = (await tx.execute(text(query))).scalars()
        assert (await unwanted(tx, [delivery]))[delivery] == "somebody works on the request"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET active = false WHERE name = 'alice'",
        "UPDATE users SET roles = ARRAY['admin'] WHERE name = 'alice'",
        "UPDATE users SET max_load = 1 WHERE name = 'alice'",
        "INSERT INTO absences (id, tenant, user_name, starts_at, ends_at, reason, set_by, set_at) VALUES "
        "('abs_00000000000000000000000000', 'acme', 'alice', '2026-03-02T00:00Z', '2026-03-03T00:00Z', "
        "'ill', 'adam', now())",
    ],
    ids=["inactive", "no approver", "full", "away"],
)
async def test_what_changes_about_the_chosen_one_at_the_last_moment_counts(database, change):
    """The one conditional update looks again; nothing is written when they can't have it any more."""
    await claim(database, await opened(database), "alice", later(minutes=1))
    request_id = await opened(database)
    await run(database, change)
    with pytest.raises(TransitionRefused):
        async with database.transaction() as tx:
            record = await reads.lock_request(tx, request_id)
            await assign_automatically(tx, record=record, to=Candidate("alice", tier=1), at=DUE)
    assert (await record_of(database, request_id)).assignee is None
    assert await messages(database, "assigned") == []
