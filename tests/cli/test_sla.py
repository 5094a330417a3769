"""`sla check` and `sla report`: the worker's check on demand; table, JSON, CSV and chart of what is there."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from sqlalchemy import text

from commands.sla_chart import BOTTOM, LEFT, RIGHT, TOP, draw
from db.reads.sla_history import Moment
from tests.db.factories import open_one
from tests.db.sla import no_terms, transition
from worker import maintenance_worker

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
async def late(seeded):
    """A request that is overdue: PENDING for six hours, where five are allowed."""
    await no_terms(seeded.database)
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        return await open_one(tx, at=datetime.now(UTC) - timedelta(hours=6))


async def snapshots(seeded, *, count=4, every=timedelta(hours=1)):
    """Checks that have been, the last one an hour ago."""
    async with seeded.database.transaction() as tx:
        for number in range(count):
            by_status = {"PENDING": number + 1, "APPROVED": 1}
            body = {"overdue_by_status": by_status, "tenants": {"acme": {"overdue_by_status": by_status}}}
            at = datetime.now(UTC) - (count - number) * every
            await tx.run(
                text("INSERT INTO sla_snapshots VALUES (:at, CAST(:body AS jsonb))"),
                {"at": at, "body": json.dumps(body)},
            )


async def test_the_report_is_a_table_with_the_figures_below(desk, late):
    """One line for each status of a topic that has requests or an SLA."""
    shown = await desk("sla", "report")
    assert shown.code == 0, shown.err
    [line] = [line for line in shown.out.splitlines() if "PENDING" in line and "treasury-eu" in line]
    assert line.split() == ["treasury-eu", "PENDING", "5", "h", "always", "1", "1", "6", "h", "6", "h"]
    assert "overdue: 1 (PENDING 1)" in shown.out
    assert "open: 1, of them without a first response: 1" in shown.out
    assert "no first response yet" in shown.out


async def test_the_report_as_json_has_the_keys_of_the_check(desk, late, seeded):
    """And the history of the chart."""
    await snapshots(seeded)
    shown = (await desk("sla", "report", "--json")).json
    assert shown["overdue_total"] == 1
    assert shown["overdue_by_transition"] == {"treasury-eu:PENDING->*": 1}
    assert shown["frt_avg_minutes"] is None
    assert shown["tenants"]["acme"]["lines"][0]["overdue"] == 1
    assert [one["overdue_by_status"]["PENDING"] for one in shown["history"]] == [1, 2, 3, 4]
    of_tenant = (await desk("sla", "report", "--tenant", "acme", "--json")).json
    assert of_tenant["lines"][0]["topic"] == "treasury-eu"
    assert len(of_tenant["history"]) == 4
    begin = (datetime.now(UTC) - timedelta(hours=2, minutes=30)).isoformat()
    assert len((await desk("sla", "report", "--since", begin, "--json")).json["history"]) == 2


async def test_csv_and_svg_are_files(desk, late, seeded, tmp_path):
    """The lines with a header, and a picture that a browser can read."""
    await snapshots(seeded)
    table, picture = tmp_path / "sla.csv", tmp_path / "sla.svg"
    shown = await desk("sla", "report", "--csv", str(table), "--svg", str(picture))
    assert shown.code == 0, shown.err
    [row] = [row for row in csv.DictReader(io.StringIO(table.read_text())) if row["status"] == "PENDING"]
    assert (row["tenant"], row["topic"], row["sla_hours"], row["overdue"]) == (
        "acme",
        "treasury-eu",
        "5",
        "1",
    )
    assert ElementTree.fromstring(picture.read_text()).tag == f"{SVG}svg"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--since", "yesterday"], "since"),
        (["--since", "2999-01-01"], "since"),
        (["--since", "0001-01-01T00:00+14:00"], "since"),
        (["--svg", "/nowhere/at/all.svg"], "svg"),
        (["--csv", "/nowhere/at/all.csv"], "csv"),
    ],
)
async def test_what_cannot_be_done_is_one_line(desk, seeded, arguments, field):
    """Which names the option."""
    shown = await desk("sla", "report", *arguments, "--json")
    assert (shown.code, shown.error["field"]) == (1, field)
    assert shown.err.count("\n") == 1


async def test_a_tenant_that_does_not_exist_is_refused(desk, seeded):
    """As everywhere else."""
    shown = await desk("sla", "report", "--tenant", "nobody", "--json")
    assert (shown.code, shown.error["code"]) == (1, "not_found")


async def test_a_tenant_without_topics_has_an_empty_report(desk, late, seeded):
    """It was only just set up: zeros, and no error."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("INSERT INTO tenants (code, name, active) VALUES ('bare', 'Bare', true)"))
    shown = await desk("sla", "report", "--tenant", "bare")
    assert (shown.code, shown.out.splitlines()[:2]) == (0, ["no requests, and no SLA", "overdue: 0"])
    document = (await desk("sla", "report", "--tenant", "bare", "--json")).json
    assert (document["tenant"], document["overdue_total"], document["lines"]) == ("bare", 0, [])


async def test_a_check_runs_in_the_worker_and_answers_its_report(desk, late, seeded, temporal_server):
    """It keeps a snapshot and alerts; the next one alerts nobody again."""
    async with maintenance_worker(temporal_server.client, seeded.database):
        first = (await desk("sla", "check", "--json")).json
        assert (first["overdue_total"], first["alerts"]) == (1, 1)
        second = await desk("sla", "check")
    assert "alerts raised by this check: 0" in second.out
    assert len((await desk("sla", "report", "--json")).json["history"]) == 2


async def test_without_an_answer_the_check_says_so_in_one_line(desk, seeded, temporal_server):
    """Nobody serves the queue, or whoever did has gone."""
    shown = await desk("sla", "check", "--wait", "1", "--json")
    assert shown.code == 1
    assert shown.error["code"] in ("unavailable", "outcome_unknown")
    assert shown.err.count("\n") == 1


async def test_without_temporal_the_check_says_so_in_one_line(cli):
    """As every command that needs it."""
    shown = await cli("sla", "check", "--json")
    assert (shown.code, shown.error["code"]) == (1, "unavailable")


def moments(*totals, every=timedelta(minutes=5)):
    """Checks up to now, each with so many PENDING overdue."""
    return [
        Moment(NOW - (len(totals) - number) * every, {"PENDING": total, "ANOMALY": 1} if total else {})
        for number, total in enumerate(totals)
    ]


def picture_of(found, begin=NOW - timedelta(days=1)):
    """The chart, read again."""
    return ElementTree.fromstring(draw(found, begin, NOW, "acme"))


def points(picture, name):
    """The points of every line of a class."""
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in picture.iter(f"{SVG}polyline")
        if name in line.get("class").split()
    ]


def test_a_chart_without_checks_says_so():
    """And draws its axes all the same."""
    picture = picture_of([])
    assert "no check in this time" in "".join(picture.itertext())
    assert points(picture, "all") == []


def test_every_point_lies_between_the_axes():
    """Time runs to the right, more overdue is higher; each status has a line and a place in the legend."""
    picture = picture_of(moments(0, 3, 9, 4))
    [line] = points(picture, "all")
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in line)
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    heights = [y for _, y in line]
    assert heights[0] == BOTTOM
    assert min(heights) == heights[2]
    assert len(points(picture, "series")) == 2
    words = "".join(picture.itertext())
    assert "PENDING (4)" in words
    assert "ANOMALY (1)" in words


def test_a_time_without_checks_is_a_gap():
    """Nobody looked meanwhile: a line across it would be a guess."""
    early = [Moment(one.at - timedelta(hours=5), one.overdue) for one in moments(1, 2, 3)]
    assert len(points(picture_of([*early, *moments(4, 5, 6)]), "all")) == 2


def test_many_checks_are_thinned_and_keep_their_peak():
    """Ninety days of checks are 26,000 points; the worst of each pixel is drawn."""
    totals = [1] * 26_000
    totals[13_007] = 50
    [line] = points(picture_of(moments(*totals), NOW - timedelta(days=91)), "all")
    assert len(line) <= 481
    assert min(y for _, y in line) < TOP + (BOTTOM - TOP) / 4


def test_what_a_chart_says_of_a_tenant_is_text():
    """A code with markup stays a text."""
    assert "<script>" not in draw([], NOW - timedelta(days=1), NOW, "<script>")
