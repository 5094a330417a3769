"""`/dashboard`: every figure is what independent SQL counts, of one's own tenant; staff alone see it."""

import random
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from benchmarks.population import lives, load
from db.reads.sla import findings
from db.writes import tenants
from domain.assignment import Candidate
from domain.sla_report import build_report
from tests.db.factories import START
from tests.support.site import open_site
from web.background import Background
from web.figures import Figures, Span
from web.pictures import board

HTML = {"Accept": "text/html"}
SPANS = list(Span)
APPROVERS = ("alice", "bob", "carol", "dave")
_OTHER_TENANT = (
    'INSERT INTO topics SELECT (jsonb_populate_record(t, \'{"tenant": "globex"}\')).* FROM topics t '
    "WHERE tenant = 'acme'",
    'INSERT INTO users SELECT (jsonb_populate_record(u, \'{"tenant": "globex"}\')).* FROM users u '
    "WHERE tenant = 'acme' AND name IN ('rita', 'alice')",
    "UPDATE mint_requests SET escalation_level = abs(hashtext(id)) % 5 WHERE ended_at IS NULL",
    "UPDATE mint_requests SET decided_at = created_at WHERE decided_at IS NULL AND status <> 'PENDING'",
    # a message over each of three channels, some late, some dead, some not yet taken, some held back
    """INSERT INTO deliveries (id, tenant, request_id, kind, stage, channel, channel_kind, target, recipient,
        time_zone, facts, state, attempt, max_attempts, backoff_seconds, due_at, deferred_until,
        next_attempt_at,
        accepted_at, delivered_at, provider_id, note, error, revise_attempt)
    SELECT md5(id || n) || md5(n || id), tenant, id, 'opened', 0, c.name, c.kind, '', 'alice', 'UTC', '{}',
        c.state,
        1, 5, 10, created_at, CASE WHEN c.state = 'delivered' THEN created_at + interval '1 hour' END,
        CASE WHEN c.state = 'failed' THEN created_at + interval '1 day' END,
        CASE WHEN c.state IN ('accepted', 'delivered')
            THEN created_at + interval '1 hour' + make_interval(secs => abs(hashtext(id || n)) % 900) END,
        CASE WHEN c.state = 'delivered' THEN created_at + interval '2 hours' END, '', '', '', 0
    FROM (SELECT r.*, n, ARRAY['accepted', 'delivered', 'dead', 'failed', 'accepted'] AS states
        FROM mint_requests r, generate_series(0, 2) AS n) AS r
    CROSS JOIN LATERAL (SELECT (ARRAY['slack-mint', 'email', 'in-app'])[n + 1] AS name,
        (ARRAY['slack', 'email', 'in-app'])[n + 1] AS kind,
        states[abs(hashtext(id || n)) % 5 + 1] AS state) AS c""",
    """INSERT INTO submissions (request_id, hash, channel, sequence, max_time, envelope_xdr, signed_at_ledger,
        plan, stored_at, outcome, outcome_reason, ledger, proof, concluded_at)
    SELECT id, md5(id) || md5(id || 'h'), 'GCHANNEL', row_number() OVER (ORDER BY id), 1, 'AAAA', 1, '{}',
        decided_at,
        'CONFIRMED', 'ok', CAST(extract(epoch FROM ended_at) / 14400 AS bigint), '{}', ended_at
    FROM mint_requests WHERE status = 'CONFIRMED'""",
    """INSERT INTO approvals (request_id, approver, tier, decision_id, reason, digest, envelope, at)
    SELECT id, 'alice', 1, 'dc_' || id, '', digest, '{}', coalesce(decided_at, created_at) FROM mint_requests
    WHERE status IN ('APPROVED', 'SUBMITTING', 'CONFIRMED', 'FAILED') OR escalation_level = 4""",
    "UPDATE mint_requests SET last_activity_at = greatest(last_activity_at, created_at, decided_at)",
)


@pytest.fixture
async def crowd(seeded):
    """Four hundred requests of two tenants at any point of their lives, with messages, mints, approvals."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    async with seeded.database.transaction() as tx:
        await tenants.set_tenant(tx, tenant="globex", name="Globex", actor="setup", at=START)
    topics = [(tenant, topic) for tenant in ("acme", "globex") for topic in ("treasury-eu", "treasury-us")]
    load(
        seeded.url,
        lives(400, topics, now, days=20, seed=random.randrange(10**6), approvers=APPROVERS),
        seeded.policy.id,
    )
    async with seeded.database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        for statement in _OTHER_TENANT:
            await tx.run(text(statement))
    return seeded


@pytest.fixture
async def house(desk, chromium, password_hash, monkeypatch, tmp_path):
    """A site without a ledger."""
    async with open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False) as opened:
        yield opened


async def rows(seeded, statement, **params):
    """What plain SQL says."""
    async with seeded.database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(statement), params)]


async def test_open_requests_are_those_that_have_not_ended(crowd):
    """By status and escalation level, of one tenant."""
    standing = await Figures(crowd.database, Background()).standing("acme")
    expected = await rows(
        crowd,
        "SELECT status, escalation_level, count(*) FROM mint_requests "
        "WHERE tenant = 'acme' AND ended_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2",
    )
    assert [(one.status, one.level, one.number) for one in standing.levels] == expected
    assert sum(one.number for one in standing.levels) > 20
    unanswered = (
        "SELECT count(*) FROM mint_requests "
        "WHERE tenant = 'acme' AND ended_at IS NULL AND first_response_at IS NULL"
    )
    assert await rows(crowd, unanswered) == [(standing.unanswered,)]


async def test_what_is_overdue_is_what_the_sla_report_says(crowd):
    """The same counts as `sla report` at that moment, and the longest stays are in the list."""
    standing = await Figures(crowd.database, Background()).standing("acme")
    async with crowd.database.transaction() as tx:
        report = build_report(await findings(tx, standing.at))
    assert {
        place.transition: number for place, number in standing.overdue.items() if number
    } == report.tenants["acme"].overdue_by_transition
    assert sum(standing.overdue.values()) > 0
    late = [one.case.id for one in standing.attention if ("overdue", "overdue") in one.reasons]
    assert late


async def test_what_needs_attention_comes_with_its_reasons(crowd):
    """Unclear outcomes first; each listed request has just the reasons that SQL finds; nobody else's."""
    standing = await Figures(crowd.database, Background()).standing("acme")
    assert [one.rank for one in standing.attention] == sorted(one.rank for one in standing.attention)
    listed = [one.case.id for one in standing.attention]
    found = await rows(
        crowd,
        """SELECT r.id, r.tenant, r.status = 'ANOMALY', r.status = 'PENDING' AND r.escalation_level >= 2,
            (SELECT count(*) FROM deliveries d WHERE d.request_id = r.id AND d.state = 'dead'
                AND d.due_at >= CAST(:week AS timestamptz))
        FROM mint_requests r WHERE r.id = ANY (:ids)""",
        ids=listed,
        week=standing.at - timedelta(days=7),
    )
    facts = {id_: (tenant, unclear, escalated, dead) for id_, tenant, unclear, escalated, dead in found}
    for one in standing.attention:
        kinds = {kind for kind, _ in one.reasons} - {"overdue"}
        tenant, unclear, escalated, dead = facts[one.case.id]
        assert tenant == "acme"
        assert kinds == {
            name
            for name, holds in (("anomaly", unclear), ("escalated", escalated), ("dead", dead > 0))
            if holds
        }
    dead = await rows(
        crowd,
        "SELECT count(*) FROM deliveries WHERE tenant = 'acme' AND state = 'dead' AND due_at >= :week",
        week=standing.at - timedelta(days=7),
    )
    assert dead == [(standing.dead,)]


@pytest.mark.parametrize("span", SPANS)
async def test_lateness_is_from_due_or_the_end_of_quiet_hours(crowd, span):
    """Percentiles by channel over the messages of requests open in the range; in-app is never late."""
    course = await Figures(crowd.database, Background()).course("acme", span)
    expected = await rows(
        crowd,
        """WITH due AS (
            SELECT d.channel, d.state, d.accepted_at, coalesce(d.deferred_until, d.due_at) AS due
            FROM deliveries d JOIN mint_requests r ON r.id = d.request_id
            WHERE r.tenant = 'acme' AND (r.ended_at IS NULL OR r.ended_at >= :since)
                AND coalesce(d.deferred_until, d.due_at) >= :since AND d.channel <> 'in-app')
        SELECT channel, count(accepted_at), count(*) FILTER (WHERE state = 'dead'),
            count(*) FILTER (WHERE state = 'failed' AND due <= :at),
            CAST(percentile_cont(0.95)
                WITHIN GROUP (ORDER BY extract(epoch FROM accepted_at - due)) AS float8),
            CAST(max(extract(epoch FROM accepted_at - due)) AS float8)
        FROM due GROUP BY channel ORDER BY channel""",
        since=course.since,
        at=course.at,
    )
    found = [
        (
            one.channel,
            one.taken,
            one.dead,
            one.waiting,
            *((one.late[1], one.late[3]) if one.late else (None,) * 2),
        )
        for one in course.lateness
    ]
    assert [line[:4] for line in found] == [line[:4] for line in expected]
    for line, right in zip(found, expected, strict=True):
        assert line[4:] == pytest.approx(right[4:])
    if span is Span.MONTH:
        assert min(line[1] for line in found) > 10


@pytest.mark.parametrize("span", SPANS)
async def test_mints_and_approvals_are_counted_where_they_were_made(crowd, span):
    """Ledger by ledger with amounts to the stroop, and approvals by day (by hour over one day)."""
    course = await Figures(crowd.database, Background()).course("acme", span)
    mints = await rows(
        crowd,
        """SELECT s.ledger, r.asset_code, count(*), CAST(sum(r.amount) AS bigint)
        FROM submissions s JOIN mint_requests r ON r.id = s.request_id
        WHERE r.tenant = 'acme' AND r.status = 'CONFIRMED' AND r.ended_at >= :since
            AND s.ledger IN (SELECT DISTINCT x.ledger FROM submissions x
                JOIN mint_requests y ON y.id = x.request_id
                WHERE y.tenant = 'acme' AND y.ended_at >= :since ORDER BY x.ledger DESC LIMIT 24)
        GROUP BY 1, 2 ORDER BY 1, 2""",
        since=course.since,
    )
    assert [(one.ledger, one.asset, one.number, one.amount) for one in course.mints] == mints
    approvals = await rows(
        crowd,
        """SELECT date_trunc(:unit, a.at), count(*)
        FROM approvals a JOIN mint_requests r ON r.id = a.request_id
        WHERE r.tenant = 'acme' AND a.at >= :since GROUP BY 1 ORDER BY 1""",
        since=course.since,
        unit="hour" if span is Span.DAY else "day",
    )
    assert [(one.at, one.number) for one in course.approvals] == approvals
    chart = board.approvals_chart(course, span)
    assert sum(int(row[1]) for row in chart.table.rows) == sum(one.number for one in course.approvals)


async def test_the_load_is_what_is_assigned_and_open(crowd):
    """Per approver, against how many they take."""
    standing = await Figures(crowd.database, Background()).standing("acme")
    expected = await rows(
        crowd,
        """SELECT u.name, (SELECT count(*) FROM mint_requests r
            WHERE r.tenant = 'acme' AND r.assignee = u.name
            AND r.status IN ('PENDING', 'APPROVED', 'SUBMITTING', 'ANOMALY')), u.max_load
        FROM users u WHERE u.tenant = 'acme' AND 'approver' = ANY (u.roles) ORDER BY 1""",
    )
    assert [(one.name, one.load, one.max_load) for one in standing.approvers] == expected
    assert sum(one.load for one in standing.approvers) > 0


async def test_another_tenant_has_figures_of_its_own(crowd):
    """What is counted for two tenants adds up to what there is; a tenant without anything has nothing."""
    figures = Figures(crowd.database, Background())
    counted = [await figures.standing(tenant) for tenant in ("acme", "globex", "nobody")]
    sums = [sum(level.number for level in one.levels) for one in counted]
    assert await rows(crowd, "SELECT count(*) FROM mint_requests WHERE ended_at IS NULL") == [(sum(sums),)]
    assert min(sums[:2]) > 0
    assert (sums[2], counted[2].attention, counted[2].dead) == (0, [], 0)
    course = await figures.course("nobody", Span.MONTH)
    assert (course.lateness, course.mints, course.approvals) == ([], [], [])


async def test_who_asks_at_the_same_moment_gets_the_same(crowd):
    """Figures are kept for seconds: a second reader does not have them counted again."""
    figures = Figures(crowd.database, Background())
    assert await figures.standing("acme") is await figures.standing("acme")
    assert await figures.course("acme", Span.DAY) is await figures.course("acme", Span.DAY)


async def test_only_staff_sees_it(house):
    """A requester gets 403 and nobody is sent to sign in; approver, admin and auditor see the page."""
    async with house.client("rita") as client:
        answer = await client.get("/dashboard", headers=HTML)
        assert answer.status_code == 403
        assert "What needs attention" not in answer.text
    for name in ("alice", "adam", "lena"):
        async with house.client(name) as client:
            answer = await client.get("/dashboard", headers=HTML)
            assert answer.status_code == 200
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.get("/dashboard", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/dashboard")


@pytest.mark.parametrize("span", [*SPANS, "", "99y", "<script>"])
async def test_the_page_shows_every_chart_with_its_table(crowd, house, span):
    """Eight charts, each with title, description and table; an unknown range is a day, and is not echoed."""
    async with house.client("alice") as client:
        answer = await client.get("/dashboard", params={"span": span}, headers=HTML)
    assert answer.status_code == 200
    assert answer.text.count('<figure class="chart">') == 8
    drawn = re.findall(r'<svg viewBox="0 0 360 [\d.]+" role="img" aria-labelledby="(\S+) (\S+)"', answer.text)
    assert len(drawn) >= 5
    for title, told in drawn:
        assert f'<title id="{title}">' in answer.text
        assert f'<desc id="{told}">' in answer.text
    assert "99y" not in answer.text
    assert "<script>" not in answer.text
    assert "style=" not in answer.text


async def test_an_empty_house_has_a_dashboard(house):
    """Nothing to draw is said in words."""
    async with house.client("alice") as client:
        page = (await client.get("/dashboard", headers=HTML)).text
    assert "Nothing: no outcome is unclear" in page
    assert "No mint in this time." in page


def test_who_is_away_or_full_is_shown_so():
    """In the text beside the bar, not by colour alone."""
    one = Candidate("alice", load=5, max_load=5, absent_until=datetime.now(UTC))
    assert board._load_bar(one).text == "5 of 5, away"


@pytest.mark.parametrize(
    ("seconds", "text_"),
    [
        (0.0, "0 ms"),
        (0.34, "340 ms"),
        (1.0, "1.0 s"),
        (75.0, "1.2 min"),
        (3600 * 4.2, "4.2 h"),
        (86400 * 3, "3.0 d"),
    ],
)
def test_lengths_of_time_are_short(seconds, text_):
    """In the largest unit that they fill."""
    assert board.span_text(seconds) == text_
