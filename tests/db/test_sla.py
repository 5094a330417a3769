"""SLA: thresholds, overdue in business time, averages over everything, and who is told once."""

import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from db.writes import requests
from db.writes.event_rules import set_event_rule
from db.writes.sla import keep_snapshot, raise_overdue
from domain.mint_request import MintStatus
from domain.runs import EventAction, EventKind, EventRule
from domain.sla import RETENTION, occurrence_of
from tests.db.acts import an_approved, claim, comment, decide, expire, made
from tests.db.factories import START, approve, later, open_one
from tests.db.sla import alert, calendar, hours, messages, no_terms, overdue_at, report_at, status, transition


@pytest.fixture(autouse=True)
async def terms(seeded):
    """None but a test's own."""
    await no_terms(seeded.database)


async def test_nothing_is_overdue_without_a_threshold(seeded):
    """However long a request waits: no transition with hours and no default of the status, no SLA."""
    await made(seeded, open_one)
    report = await report_at(seeded, hours(10_000))
    assert (report.overdue_total, report.overdue_by_status, report.overdue_by_transition) == (0, {}, {})
    assert await overdue_at(seeded, hours(10_000)) == []


async def test_the_smallest_hours_of_the_ways_onward_are_the_threshold(seeded):
    """And not the status's own default, which is for topics that say nothing."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 8, after="APPROVED")
        await transition(tx, 5, after="REJECTED")
        await transition(tx, None, after="CANCELLED")
        await status(tx, "PENDING", 2)
        await open_one(tx)
        await open_one(tx, topic="treasury-us")
    assert (await report_at(seeded, hours(1.9))).overdue_total == 0
    early = await report_at(seeded, hours(3))
    assert early.overdue_by_transition == {"treasury-us:PENDING->*": 1}
    late = await report_at(seeded, hours(5))
    assert late.overdue_by_status == {"PENDING": 2}
    assert late.overdue_by_transition == {"treasury-eu:PENDING->*": 1, "treasury-us:PENDING->*": 1}


async def test_overdue_begins_with_the_very_moment(seeded):
    """At the threshold it is, a microsecond before it isn't."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        await open_one(tx)
    assert (await report_at(seeded, hours(5) - timedelta(microseconds=1))).overdue_total == 0
    assert (await report_at(seeded, hours(5))).overdue_total == 1


async def test_a_transition_without_hours_leaves_the_default_of_the_status(seeded):
    """Null hours say nothing."""
    async with seeded.database.transaction() as tx:
        await transition(tx, None)
        await status(tx, "PENDING", 2, kind="billing")
        await open_one(tx)
    report = await report_at(seeded, hours(2))
    assert report.overdue_total == 1
    assert report.by_type["billing"].overdue == report.by_type["billing"].open == 1
    assert report.by_type["workflow"].open == 0


async def test_an_end_can_have_an_sla_too(seeded):
    """Every type of status can: one that is for billing counts from when the request got there."""
    async with seeded.database.transaction() as tx:
        await status(tx, "EXPIRED", 3, kind="billing")
        await expire(tx, await open_one(tx))
    assert (await report_at(seeded, hours(26))).overdue_total == 0
    report = await report_at(seeded, hours(27))
    assert report.overdue_by_transition == {"treasury-eu:EXPIRED->*": 1}
    assert report.open_total == 0
    [stay] = await overdue_at(seeded, hours(27))
    assert stay.status is MintStatus.EXPIRED


async def test_hours_are_those_of_the_topics_calendar(seeded):
    """Opened Monday 10:00 in Berlin; five office hours later it is 16:00, with an hour of lunch between."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        await calendar(tx, topic="treasury-eu")
        await open_one(tx)
    assert (await report_at(seeded, hours(5.99))).overdue_total == 0
    report = await report_at(seeded, hours(6))
    assert report.overdue_total == 1
    [line] = report.tenants["acme"].lines
    assert (line.calendar, line.sla_hours, line.longest_hours, line.average_hours) == ("office", 5, 5.0, 5.0)


async def test_hours_are_scaled_with_the_request(seeded):
    """A request that runs ten times as fast is overdue after a tenth, and is reported in its own hours."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        record = await open_one(tx)
    await unguarded(seeded, "UPDATE mint_requests SET sla_scale = 10 WHERE id = :id", id=record.request.id)
    assert (await report_at(seeded, hours(0.49))).overdue_total == 0
    report = await report_at(seeded, hours(0.5))
    assert report.overdue_total == 1
    assert report.avg_time_in_status_hours["PENDING"] == 5.0


async def test_averages_are_over_finished_requests_too(seeded):
    """One decided after an hour and one that waits for three: two hours on average, and an hour to answer."""
    async with seeded.database.transaction() as tx:
        await approve(tx, await open_one(tx))
        await open_one(tx)
    report = await report_at(seeded, hours(3))
    assert report.avg_time_in_status_hours["PENDING"] == 2.0
    assert report.avg_time_in_status_hours["APPROVED"] == 2.0
    assert report.avg_time_in_status_hours["ANOMALY"] is None
    assert report.frt_avg_minutes == 60.0
    assert (report.open_total, report.unanswered) == (2, 1)


async def test_without_requests_there_is_nothing_to_average(seeded):
    """None, and not zero, which would look like a fast answer."""
    report = await report_at(seeded, START)
    assert report.frt_avg_minutes is None
    assert set(report.avg_time_in_status_hours.values()) == {None}
    assert set(report.tenants) == {"acme"}


async def test_responses_are_measured_in_the_calendars_time(seeded):
    """Opened Monday 10:00, rejected at 13:00: two office hours, since lunch doesn't count."""
    async with seeded.database.transaction() as tx:
        await calendar(tx, topic="treasury-eu")
        await decide(tx, await open_one(tx), "reject", "alice")
    report = await report_at(seeded, hours(100))
    assert report.frt_avg_minutes == 120.0
    assert report.avg_time_in_status_hours["PENDING"] == 2.0


async def test_a_calendar_that_has_not_opened_yet_measures_nothing(seeded):
    """Opened Saturday night, looked at on Sunday: no time has passed."""
    async with seeded.database.transaction() as tx:
        await calendar(tx, topic="treasury-eu")
        await transition(tx, 1)
        await open_one(tx, at=START + timedelta(days=5))
    report = await report_at(seeded, START + timedelta(days=6))
    assert report.overdue_total == 0
    assert report.avg_time_in_status_hours["PENDING"] == 0.0


async def test_a_calendar_that_cannot_be_read_hides_nothing(seeded, caplog):
    """An unknown zone in the row: the clock runs always instead, and the log says why."""
    async with seeded.database.transaction() as tx:
        await calendar(tx, zone="Mars/Olympus", topic="treasury-eu")
        await transition(tx, 5)
        await open_one(tx)
    assert (await report_at(seeded, hours(5))).overdue_total == 1
    assert "Mars/Olympus" in caplog.text


async def test_tenants_that_share_a_topics_code_stay_apart(seeded):
    """Each has its own threshold and its own count; the total adds them up."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        await open_one(tx)
        await open_one(tx)
    await second_tenant(seeded)
    report = await report_at(seeded, hours(6))
    assert report.overdue_by_transition == {"treasury-eu:PENDING->*": 3}
    assert report.tenants["acme"].overdue_by_transition == {"treasury-eu:PENDING->*": 2}
    assert report.tenants["other"].overdue_by_transition == {"treasury-eu:PENDING->*": 1}
    assert report.tenants["other"].lines[0].sla_hours == 6


FIRST = [
    (claim, later(minutes=5)),
    (comment, later(minutes=6)),
    (approve, later(hours=1)),
    (lambda tx, record: approve(tx, record, satisfied=False), later(hours=1)),
    (lambda tx, record: decide(tx, record, "reject", "alice"), later(hours=3)),
]


@pytest.mark.parametrize(("act", "at"), FIRST, ids=["claim", "comment", "approve", "partial", "reject"])
async def test_the_first_response_is_a_claim_a_comment_or_a_decision(seeded, act, at):
    """Of an approver; the first of them stays."""
    async with seeded.database.transaction() as tx:
        record = await act(tx, await open_one(tx))
        assert record.first_response_at == at
        if record.ended_at is None and record.status is MintStatus.PENDING:
            again = await decide(tx, record, "reject", "bob")
            assert again.first_response_at == at


@pytest.mark.parametrize("author", ["rita", "adam", "lena"])
async def test_words_of_others_are_no_response(seeded, author):
    """The requester's own, an admin's and an auditor's."""
    async with seeded.database.transaction() as tx:
        record = await requests.add_comment(
            tx, record=await open_one(tx), author=author, text="well?", at=later(hours=1), comment_id="c1"
        )
    assert record.first_response_at is None


async def test_a_requester_who_approves_elsewhere_does_not_answer_themselves(seeded):
    """A requester with the role of an approver: their comment on their own request is no response."""
    await unguarded(
        seeded, "UPDATE users SET roles = roles || '{approver}'::varchar[], tier = 1 WHERE name = 'rita'"
    )
    async with seeded.database.transaction() as tx:
        record = await requests.add_comment(
            tx, record=await open_one(tx), author="rita", text="well?", at=later(hours=1), comment_id="c1"
        )
    assert record.first_response_at is None


async def test_an_assignment_and_a_cancel_are_no_response(seeded):
    """Nobody who was asked has said anything."""
    async with seeded.database.transaction() as tx:
        given = await requests.set_assignee(
            tx,
            record=await open_one(tx),
            assignee="alice",
            actor="adam",
            at=later(minutes=5),
            step="assign:1",
            kind="request.assign",
            only_if_unassigned=False,
        )
        assert given.first_response_at is None
        assert (await decide(tx, given, "cancel", "rita")).first_response_at is None


async def test_snapshots_are_kept_for_ninety_days(seeded):
    """The one that is older goes when the next one comes; the same moment is kept once."""
    report = await report_at(seeded, START)
    for at in (START, START + timedelta(days=1), START + RETENTION + timedelta(hours=1)):
        for _ in range(2):
            async with seeded.database.transaction() as tx:
                await keep_snapshot(tx, report.model_copy(update={"at": at}))
    async with seeded.database.transaction() as tx:
        kept = await tx.rows(text("SELECT at, body FROM sla_snapshots ORDER BY at"))
    assert [row.at for row in kept] == [START + timedelta(days=1), START + RETENTION + timedelta(hours=1)]
    assert kept[0].body["overdue_total"] == 0
    assert kept[0].body["tenants"]["acme"]["lines"] == []


async def unguarded(seeded, statement, **params):
    """Change what the guards protect."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        await tx.run(text(statement), params)


async def second_tenant(seeded):
    """A tenant with a topic of the same code, a threshold of six hours, and a copy of one request."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        for table, key in (("tenants", "code"), ("departments", "tenant"), ("topics", "tenant")):
            await tx.run(
                text(
                    f"INSERT INTO {table} SELECT (jsonb_populate_record(t, CAST(:changed AS jsonb))).* "
                    f"FROM {table} t WHERE {key} = 'acme' ON CONFLICT DO NOTHING"
                ),
                {"changed": f'{{"{key}": "other"}}'},
            )
        await transition(tx, 6, tenant="other")
        await tx.run(
            text(
                "INSERT INTO mint_requests SELECT (jsonb_populate_record(r, "
                '\'{"id": "mr_00000000000000000000000001", "tenant": "other", "track_number": "MK-X"}\')).* '
                "FROM mint_requests r LIMIT 1"
            )
        )


async def test_an_overdue_stay_is_raised_once(seeded):
    """However often the check looks: one run of the event, and messages for each recipient once."""
    await overdue_request(seeded)
    assert len(await alert(seeded, hours(6))) == 1
    first = await messages(seeded)
    assert await alert(seeded, hours(7)) == []
    assert (
        await messages(seeded)
        == first
        == [
            ("email", "lena"),
            ("in-app", "lena"),
            ("slack", "#treasury-leads"),
        ]
    )


async def overdue_request(seeded, **changes):
    """A request that is overdue from five hours on."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        return await open_one(tx, **changes)


async def test_leads_the_assignee_and_the_group_are_told(seeded):
    """In the app and by email whoever works on it, and the Telegram group once."""
    async with seeded.database.transaction() as tx:
        for name, chat in (("desk", "-100"), ("zz", "-2")):
            settings = json.dumps({"chat_id": chat})
            values = "('acme', :name, 'telegram', CAST(:settings AS jsonb))"
            await tx.run(
                text(f"INSERT INTO notification_channels VALUES {values}"),
                {"name": name, "settings": settings},
            )
        await transition(tx, 5)
        record = await claim(tx, await open_one(tx))
    [run_id] = await alert(seeded, hours(6))
    assert await messages(seeded) == [
        ("email", "alice"),
        ("email", "lena"),
        ("in-app", "alice"),
        ("in-app", "lena"),
        ("slack", "#treasury-leads"),
        ("telegram", "-100"),
    ]
    async with seeded.database.transaction() as tx:
        told = await tx.rows(
            text("SELECT event, kind, recipient, body FROM notifications WHERE kind = 'event_overdue'")
        )
        audit = await tx.value(
            text("SELECT body FROM audit_events WHERE request_id = :id AND step = :step"),
            {"id": record.request.id, "step": f"escalation:{run_id}"},
        )
    assert {(row.event, row.recipient) for row in told} == {("SLA_OVERDUE", "alice"), ("SLA_OVERDUE", "lena")}
    assert told[0].body == f"overdue in PENDING: {record.request.summary}"
    assert '"deliveries":6' in audit


async def test_a_lead_who_works_on_it_is_told_once(seeded):
    """The same person over the same channel, for the same stay."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("INSERT INTO department_leads VALUES ('acme', 'treasury', 'alice')"))
        await transition(tx, 5)
        await claim(tx, await open_one(tx))
    await alert(seeded, hours(6))
    assert (await messages(seeded)).count(("email", "alice")) == 1
    assert (await messages(seeded)).count(("in-app", "alice")) == 1


async def test_who_left_the_house_is_not_told(seeded):
    """An assignee who is no longer active."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        await claim(tx, await open_one(tx))
        await tx.run(text("UPDATE users SET active = false WHERE name = 'alice'"))
    await alert(seeded, hours(6))
    assert "alice" not in {recipient for _, recipient in await messages(seeded)}


async def test_a_request_that_moved_on_meanwhile_alerts_nobody(seeded):
    """Found overdue, then decided before its turn came: the lock shows that the stay is over."""
    record = await overdue_request(seeded)
    [stay] = await overdue_at(seeded, hours(6))
    async with seeded.database.transaction() as tx:
        await approve(tx, record)
    async with seeded.database.transaction() as tx:
        assert await raise_overdue(tx, stay, hours(6)) is None
    assert await messages(seeded) == []


async def test_the_next_status_alerts_by_itself(seeded):
    """Overdue as PENDING, decided, and overdue as APPROVED: two stays, two alerts."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 2)
        await transition(tx, 2, before="APPROVED", after="SUBMITTING")
        record = await open_one(tx)
    [first] = await alert(seeded, hours(2.5))
    async with seeded.database.transaction() as tx:
        await approve(tx, record, at=hours(3))
    assert await alert(seeded, hours(4.9)) == []
    [second] = await alert(seeded, hours(5))
    assert first != second
    assert (await messages(seeded)).count(("email", "lena")) == 2


async def test_coming_back_to_a_status_alerts_again(seeded):
    """The life cycle never does; where the table of transitions is changed, the new stay counts anew."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 2)
        await tx.run(
            text("ALTER TABLE mint_request_transitions DISABLE TRIGGER mint_request_transitions_fixed")
        )
        await tx.run(text("INSERT INTO mint_request_transitions VALUES ('APPROVED', 'PENDING')"))
        await tx.run(
            text("ALTER TABLE mint_request_transitions ENABLE TRIGGER mint_request_transitions_fixed")
        )
        record = await open_one(tx)
    assert len(await alert(seeded, hours(2))) == 1
    async with seeded.database.transaction() as tx:
        await approve(tx, record, at=hours(3))
    async with seeded.database.transaction() as tx:
        back = "UPDATE mint_requests SET status = 'PENDING', status_since = :at, version = version + 1"
        await tx.run(text(back), {"at": hours(4)})
    assert await alert(seeded, hours(5.9)) == []
    assert len(await alert(seeded, hours(6))) == 1
    assert await alert(seeded, hours(7)) == []
    told = await messages(seeded)
    assert told.count(("email", "lena")) == told.count(("in-app", "lena")) == 2


async def test_where_the_rule_ignores_it_nothing_is_looked_for(seeded):
    """And it takes no place among those that a pass has room for."""
    await overdue_request(seeded)
    await rule(seeded, EventAction.IGNORE)
    assert await overdue_at(seeded, hours(6)) == []
    assert (await report_at(seeded, hours(6))).overdue_total == 1


async def rule(seeded, action):
    """What the tenant wants at an overdue request."""
    made_rule = EventRule(
        tenant="acme",
        event_kind=EventKind.SLA_OVERDUE,
        action=action,
        policy_id=seeded.policy.id if action is EventAction.ESCALATE else None,
    )
    async with seeded.database.transaction() as tx:
        await set_event_rule(tx, rule=made_rule, actor="adam", at=START)


async def test_the_oldest_come_first_and_a_pass_is_bounded(seeded):
    """So that a flood of overdue requests is worked off in the order in which they fell due."""
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        records = [await open_one(tx, at=START + timedelta(minutes=minute)) for minute in (2, 0, 1)]
    late = await overdue_at(seeded, hours(6), most=2)
    assert [stay.request_id for stay in late] == [records[1].request.id, records[2].request.id]


async def test_a_rollback_sends_nothing(seeded):
    """The run, its messages and the audit event are one; the next check does all of it."""
    await overdue_request(seeded)
    [stay] = await overdue_at(seeded, hours(6))
    with pytest.raises(RuntimeError):
        async with seeded.database.transaction() as tx:
            await raise_overdue(tx, stay, hours(6))
            raise RuntimeError
    assert await messages(seeded) == []
    assert await overdue_at(seeded, hours(6)) == [stay]


async def test_two_checks_at_once_alert_once(seeded):
    """The second waits for the request's row and finds the run of the first."""
    await overdue_request(seeded)
    [stay] = await overdue_at(seeded, hours(6))

    async def one():
        async with seeded.database.transaction() as tx:
            return (await raise_overdue(tx, stay, hours(6)))[1].id

    assert len(set(await asyncio.gather(*(one() for _ in range(5))))) == 1
    assert (await messages(seeded)).count(("email", "lena")) == 1


async def test_the_occurrence_is_the_same_in_sql_and_here(seeded):
    """The search for stays that were not raised compares what was written to microseconds."""
    at = START + timedelta(microseconds=123_457)
    record = await overdue_request(seeded, at=at)
    await alert(seeded, hours(6))
    async with seeded.database.transaction() as tx:
        written = await tx.value(text("SELECT occurrence FROM escalation_runs"))
    assert written == occurrence_of(record.status, at) == f"PENDING:{int(START.timestamp())}123457"
    assert await overdue_at(seeded, hours(6)) == []


async def test_an_approved_request_is_found_by_its_own_status(seeded):
    """The report counts it where it is now, and its first stay among those that are over."""
    await made(seeded, an_approved)
    report = await report_at(seeded, hours(5))
    by_status = {line.status: line for line in report.tenants["acme"].lines}
    assert (by_status["PENDING"].requests, by_status["PENDING"].average_hours) == (0, 1.0)
    assert (by_status["APPROVED"].requests, by_status["APPROVED"].longest_hours) == (1, 4.0)
