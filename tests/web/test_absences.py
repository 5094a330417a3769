"""`/api/absences` of the real web server."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.db.test_absences import a_pending, decide
from tests.support.absences import send_away, signed, wish
from tests.support.tokens import client_of
from tests.web.test_acks import running, settings_of


@pytest.fixture
async def web(seeded):
    """An approver's client of a real web server over the seeded database."""
    async for url in running(settings_of(seeded, authority="")):
        async with client_of(seeded, url, "alice") as client:
            yield client


async def test_an_absence_lives_and_ends_over_http(web, seeded):
    """Set, listed and ended, each change by one signed command."""
    made = await web.post(
        "/api/absences", content=signed(seeded, "carol", "absence.set", "carol", wish("dave"))
    )
    assert (made.status_code, made.json()["delegate"]) == (201, "dave")
    assert made.json()["warnings"] == []
    id_ = made.json()["id"]
    listed = (await web.get("/api/absences?tenant=acme")).json()["absences"]
    assert [one["id"] for one in listed] == [id_]
    assert "reason" not in listed[0]
    ended = await web.post(f"/api/absences/{id_}/end", content=signed(seeded, "carol", "absence.end", id_))
    assert (ended.status_code, ended.json()["state"]) == (200, "over")
    assert (await web.get("/api/absences?tenant=acme")).json() == {"absences": []}
    assert len((await web.get("/api/absences?tenant=acme&past=true")).json()["absences"]) == 1


async def test_what_is_not_to_be_believed_changes_nothing(web, seeded):
    """Garbage, forged, for another, replayed, dated back: each with its status."""
    good = signed(seeded, "carol", "absence.set", "carol", wish())
    assert (await web.post("/api/absences", content=good)).status_code == 201
    back = wish(start=datetime.now(UTC) - timedelta(days=1))
    for status, content in (
        (400, b"{}"),
        (403, signed(seeded, "carol", "absence.set", "carol", wish(), key_of="bob")),
        (403, signed(seeded, "bob", "absence.set", "carol", wish())),
        (403, signed(seeded, "rita", "absence.set", "rita", wish())),
        (403, signed(seeded, "carol", "policy.delete", "carol", wish())),
        (409, good),
        (409, signed(seeded, "carol", "absence.set", "carol", wish())),
        (400, signed(seeded, "alice", "absence.set", "alice", back)),
        (404, signed(seeded, "adam", "absence.set", "nobody", wish())),
    ):
        assert (await web.post("/api/absences", content=content)).status_code == status
    unknown = "abs_" + "A" * 26
    answer = await web.post(
        f"/api/absences/{unknown}/end", content=signed(seeded, "carol", "absence.end", unknown)
    )
    assert answer.status_code == 404
    assert len((await web.get("/api/absences?tenant=acme&past=true")).json()["absences"]) == 1


async def test_the_page_of_a_request_says_for_whom(web, seeded):
    """Who decided, for whom, with which tier."""
    await send_away(seeded, "carol", "bob")
    record = await a_pending(seeded)
    await decide(seeded, record, "bob")
    page = (await web.get(f"/requests/{record.request.id}")).text
    assert "<b>bob</b>, tier 2, for <b>carol</b>" in page
