"""The figures of the SLA over 5,000 requests against another computation, from what happened to each.

What happened is a table of facts; the other computation knows neither the columns nor the statements of
the check: stays come from a window over the facts, and business time from a table of every minute.
"""

from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import text

from benchmarks.population import lives, load
from domain.mint_request import TERMINAL
from tests.db.sla import OFFICE, calendar, no_terms, overdue_at, report_at, status, transition

COUNT = 5000
DAYS = 70
AT = datetime(2026, 4, 20, 9, 30, tzinfo=UTC)
"""Three weeks after the clocks of Berlin were changed, in the middle of office hours."""

TOPICS = [
    ("acme", "treasury-eu"),
    ("acme", "treasury-us"),
    ("acme", "ops"),
    ("other", "treasury-eu"),
    ("other", "ops"),
]
HOLIDAYS = ("2026-03-04", "2026-04-14")
"""Of the calendar's own; Good Friday and Easter Monday are Germany's."""

FACTS = """
CREATE TABLE facts (request varchar, tenant varchar, topic varchar, scale integer, kind varchar,
    detail varchar, at timestamptz, number integer);
CREATE TABLE minutes AS
SELECT m AS minute,
    count(*) FILTER (WHERE is_open) OVER (ORDER BY m) - CAST(is_open AS integer) AS before
FROM (SELECT m, extract(isodow FROM l) < 6
        AND CAST(l AS date) NOT IN ('2026-03-04', '2026-04-14', '2026-04-03', '2026-04-06')
        AND (CAST(l AS time) >= '09:00' AND CAST(l AS time) < '12:00'
            OR CAST(l AS time) >= '13:00' AND CAST(l AS time) < '17:00') AS is_open
    FROM (SELECT m, m AT TIME ZONE 'Europe/Berlin' AS l
        FROM generate_series(%(at)s::timestamptz - interval '71 days', %(at)s, '1 minute') AS m) AS a) AS b;
CREATE UNIQUE INDEX ON minutes (minute);
"""
"""`before`: how many minutes of the office had passed."""

STAYS = """
ANALYZE facts, minutes;
CREATE TABLE told AS
SELECT f.*, coalesce(lead(at) OVER (PARTITION BY request ORDER BY number), %(at)s) AS until,
    lead(at) OVER (PARTITION BY request ORDER BY number) IS NULL AS lasts
FROM facts f WHERE kind = 'status';
ALTER TABLE told ADD COLUMN hours numeric;
UPDATE told SET hours = CASE WHEN (tenant, topic) = ('acme', 'treasury-us')
    THEN ((SELECT before FROM minutes WHERE minute = until)
        - (SELECT before FROM minutes WHERE minute = at)) / 60.0
    ELSE extract(epoch FROM until - at) / 3600 END * scale;
CREATE TABLE allowed AS
SELECT p.tenant, p.topic, p.status,
    CASE WHEN count(t.sla_hours) > 0 THEN min(t.sla_hours) ELSE min(s.sla_hours) END AS hours
FROM (SELECT DISTINCT tenant, topic, detail AS status FROM told) AS p
LEFT JOIN topic_status_transitions t
    ON (t.tenant, t.topic_code, t.from_status) = (p.tenant, p.topic, p.status)
LEFT JOIN statuses s ON (s.tenant, s.code) = (p.tenant, p.status)
GROUP BY p.tenant, p.topic, p.status;
CREATE TABLE late AS
SELECT t.* FROM told t JOIN allowed a ON (a.tenant, a.topic, a.status) = (t.tenant, t.topic, t.detail)
WHERE t.lasts AND t.hours >= a.hours;
CREATE TABLE answers AS
SELECT o.request, o.tenant, CASE WHEN (o.tenant, o.topic) = ('acme', 'treasury-us')
    THEN (SELECT m.before FROM minutes m WHERE m.minute = min(f.at))
        - (SELECT m.before FROM minutes m WHERE m.minute = o.at)
    ELSE extract(epoch FROM min(f.at) - o.at) / 60 END * o.scale AS minutes
FROM facts o JOIN facts f ON f.request = o.request
WHERE o.kind = 'status' AND o.detail = 'PENDING' AND (f.kind = 'claim'
    OR f.kind = 'comment' AND f.detail NOT IN ('rita', 'adam')
    OR f.kind = 'status' AND f.detail IN ('APPROVED', 'REJECTED'))
GROUP BY o.request, o.tenant, o.topic, o.at, o.scale;
"""


@pytest.fixture
async def told(seeded):
    """5,000 lives as requests and as facts, with thresholds, a calendar, and a second tenant."""
    await no_terms(seeded.database)
    async with seeded.database.transaction() as tx:
        await _second_tenant(tx)
        await transition(tx, 8)
        await transition(tx, 30, after="REJECTED")
        await transition(tx, 4, topic="treasury-us")
        await transition(tx, None, topic="treasury-us", after="EXPIRED")
        await transition(tx, 6, tenant="other")
        await transition(tx, 1, topic="ops", before="APPROVED", after="SUBMITTING", tenant="other")
        await status(tx, "PENDING", 12)
        await status(tx, "ANOMALY", 2)
        await status(tx, "EXPIRED", 24, kind="billing")
        await status(tx, "SUBMITTING", 1, kind="settlement", tenant="other")
        await calendar(tx, hours=OFFICE, topic="treasury-us", country="DE", holidays=HOLIDAYS)
    everybody = list(lives(COUNT, TOPICS, AT, days=DAYS, seed=5, approvers=("alice", "bob", "carol")))
    load(seeded.url, everybody, seeded.policy.id)
    with psycopg.connect(seeded.url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("SET timezone = 'UTC'")
        for statement in FACTS.split(";"):
            connection.execute(statement, {"at": AT})
        with connection.cursor().copy("COPY facts FROM STDIN") as copy:
            for life in everybody:
                for row in _facts(life):
                    copy.write_row((life.id, life.tenant, life.topic, life.scale, *row))
        for statement in STAYS.split(";"):
            connection.execute(statement, {"at": AT})
        yield connection
        for table in ("facts", "minutes", "told", "allowed", "late", "answers"):
            connection.execute(f"DROP TABLE {table}")


def _facts(life):
    """Kind, detail, moment and order of what happened."""
    for number, (entered, at) in enumerate(life.stays):
        yield "status", entered.value, at, number
    for kind in ("claim", "comment"):
        for who, at in getattr(life, f"{kind}s"):
            yield kind, who, at, 0


async def _second_tenant(tx):
    await tx.run(text("SET LOCAL session_replication_role = replica"))
    await tx.run(text("INSERT INTO tenants (code, name, active) VALUES ('other', 'Other', true)"))
    await tx.run(
        text(
            "INSERT INTO topics (tenant, code, name, department, active) VALUES "
            "('acme', 'ops', 'Ops', 'treasury', true), ('other', 'ops', 'Ops', 'x', true), "
            "('other', 'treasury-eu', 'Treasury', 'x', true)"
        )
    )


def _pairs(connection, query):
    return dict(connection.execute(query).fetchall())


async def test_the_figures_are_those_of_an_independent_computation(seeded, told):
    """Totals, by status, topic and tenant, first responses, time in status: over all 5,000."""
    report = await report_at(seeded, AT)
    assert report.overdue_by_status == _pairs(told, "SELECT detail, count(*) FROM late GROUP BY 1")
    key = "SELECT topic || ':' || detail || '->*', count(*) FROM late {} GROUP BY 1"
    assert report.overdue_by_transition == _pairs(told, key.format(""))
    for tenant in ("acme", "other"):
        mine = report.tenants[tenant].overdue_by_transition
        assert mine == _pairs(told, key.format(f"WHERE tenant = '{tenant}'"))
        assert len(mine) >= 3
    assert report.overdue_total == told.execute("SELECT count(*) FROM late").fetchone()[0] > 100
    [frt] = told.execute("SELECT avg(minutes) FROM answers").fetchone()
    assert report.frt_avg_minutes == pytest.approx(float(frt), abs=0.006)
    ends = ", ".join(f"'{status}'" for status in TERMINAL)
    averages = f"SELECT detail, avg(hours) FROM told WHERE NOT (lasts AND detail IN ({ends})) GROUP BY 1"
    expected = {name: float(hours) for name, hours in _pairs(told, averages).items()}
    assert set(expected) == {"PENDING", "APPROVED", "SUBMITTING", "ANOMALY"}
    measured = {name: hours for name, hours in report.avg_time_in_status_hours.items() if hours is not None}
    assert measured == pytest.approx(expected, abs=0.006)


async def test_each_line_is_right_by_itself(seeded, told):
    """Requests, overdue, longest and average of every status of every topic, the office's too."""
    report = await report_at(seeded, AT)
    ends = ", ".join(f"'{status}'" for status in TERMINAL)
    rows = told.execute(
        "SELECT tenant, topic, detail, count(*) FILTER (WHERE lasts), max(hours) FILTER (WHERE lasts), "
        f"avg(hours) FILTER (WHERE NOT (lasts AND detail IN ({ends}))) FROM told GROUP BY 1, 2, 3"
    ).fetchall()
    late = {
        tuple(row[:3]): row[3]
        for row in told.execute(
            "SELECT tenant, topic, detail, count(*) FROM late GROUP BY 1, 2, 3"
        ).fetchall()
    }
    lines = {
        (code, line.topic, line.status): line for code, own in report.tenants.items() for line in own.lines
    }
    assert len(rows) > 30
    for tenant, topic, entered, here, longest, average in rows:
        line = lines[tenant, topic, entered]
        assert (line.requests, line.overdue) == (here, late.get((tenant, topic, entered), 0))
        assert line.average_hours == (None if average is None else pytest.approx(float(average), abs=0.006))
        if line.longest_hours is not None and here:
            assert line.longest_hours == pytest.approx(float(longest), abs=0.006)


async def test_alerts_are_looked_for_exactly_where_something_is_overdue(seeded, told):
    """The same requests, no more and no less, the oldest stay first."""
    found = await overdue_at(seeded, AT, most=COUNT)
    expected = told.execute("SELECT request FROM late").fetchall()
    assert sorted(stay.request_id for stay in found) == sorted(request for (request,) in expected)
    assert [stay.since for stay in found] == sorted(stay.since for stay in found)


async def test_the_office_really_decides(seeded, told):
    """Without its calendar the topic would have other figures: the comparison compares something."""
    before = await report_at(seeded, AT)
    async with seeded.database.transaction() as tx:
        await tx.run(text("UPDATE topics SET calendar = NULL"))
    after = await report_at(seeded, AT)
    key = "treasury-us:PENDING->*"
    assert (
        before.tenants["acme"].overdue_by_transition[key] < after.tenants["acme"].overdue_by_transition[key]
    )
