"""Every route of the application, walked: what is not on the list of open ones answers nobody a thing."""

import re
from datetime import UTC, datetime

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from db.writes import dictionaries
from tests.support.documents import a_pending
from tests.support.talk import an_open
from tests.support.tokens import bearer, client_of
from tests.web.test_acks import running, settings_of
from web.app import create_app

OPEN = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /sign-in",
    "POST /sign-in",
    "POST /sign-in/code",
    "GET /sign-in/oidc",
    "GET /sign-in/oidc/callback",
    "GET /invitations/{token}",
    "POST /invitations/{token}",
}
"""Whoever comes; the pages show forms, and the figures name nobody."""

OWN_PROOF = {
    "GET /acks/{token:path}",
    "POST /acks/{token:path}",
    "POST /api/absences",
    "POST /api/absences/{absence_id}/end",
    "POST /api/config",
    "POST /api/dictionaries/{kind}",
    "POST /api/policies",
    "POST /api/policies/{policy_id}/switch",
    "DELETE /api/policies/{policy_id}",
    "POST /escalations/{run_id}/cancel",
    "POST /escalations/{run_id}/resume",
    "POST /sendgrid/events",
    "POST /telegram/updates",
    "POST /slack/interactions",
    "PUT /api/attachments/{attachment_id}",
}
"""They ask for a token of a message, a signed command, a provider's signature, or a pass."""

OF_CLIENTS = ("/track", "/api/track/")
"""Below these a pass for one track number counts."""


def routes():
    """Every method and path of the application."""
    app = create_app(settings_of(_Nowhere(), authority=""))
    for found in iter_route_contexts(app.routes):
        for method in sorted((getattr(found, "methods", None) or set()) - {"HEAD"}):
            yield f"{method} {found.path}"


class _Nowhere:
    url = "postgresql://nobody@127.0.0.1:9/none"


@pytest.fixture
async def web(seeded):
    """A client of a real web server that shows nothing to sign in with."""
    async for url in running(settings_of(seeded, authority="")):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client


async def test_who_has_not_signed_in_reaches_nothing_else(web):
    """401 for programs, for browsers the way to the sign-in page; whatever method, whatever path."""
    walked = [route for route in routes() if route not in OPEN | OWN_PROOF]
    assert len(walked) > 20
    for route in walked:
        method, path = route.split(" ")
        if path.startswith(OF_CLIENTS):
            continue
        filled = re.sub(r"{[^}]*}", "x", path)
        answer = await web.request(method, filled, headers={"Accept": "application/json"})
        assert (answer.status_code, route) == (401, route)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["reason"] == "not_signed_in"
        page = await web.request(method, filled, headers={"Accept": "text/html"})
        assert page.status_code in (303, 401), route
        if page.status_code == 303:
            assert page.headers["location"].startswith("/sign-in?next=/")


async def test_what_carries_its_own_proof_refuses_whoever_brings_none(web):
    """Not one of them does anything for an empty body."""
    for route in OWN_PROOF & set(routes()):
        method, path = route.split(" ")
        answer = await web.request(method, re.sub(r"{[^}]*}", "x", path))
        assert 400 <= answer.status_code < 500 or answer.status_code == 503, route


async def test_the_lists_name_only_what_there_is():
    """So that nothing that is gone, and comes back as something else, is open by accident."""
    assert not (OPEN | OWN_PROOF) - set(routes())


@pytest.mark.parametrize("show", ["Bearer x", "Bearer \xff", "Basic YWRhbTp4", "bearer", "Token x"])
async def test_what_is_no_token_is_nobody(web, show):
    """Garbage and other schemes."""
    answer = await web.get("/api/requests", headers=[(b"authorization", show.encode("latin-1"))])
    assert answer.status_code == 401


async def test_a_token_is_no_cookie_and_a_cookie_no_token(web, seeded):
    """What travels by itself is not what is shown: neither opens the other's door."""
    token = (await bearer(seeded, "alice"))["Authorization"].removeprefix("Bearer ")
    answer = await web.get("/api/requests", headers={"Cookie": f"mintkeeper_session={token}"})
    assert answer.status_code == 401


async def test_who_has_left_is_nobody(web, seeded):
    """From the next click on."""
    me = await bearer(seeded, "alice")
    assert (await web.get("/api/requests", headers=me)).status_code == 200
    async with seeded.database.transaction() as tx:
        await dictionaries.deactivate_user(tx, tenant="acme", name="alice", actor="x", at=datetime.now(UTC))
    assert (await web.get("/api/requests", headers=me)).status_code == 401


@pytest.fixture
async def strangers(seeded):
    """A requester of the same tenant with no requests, and an admin of another tenant."""
    who = {"actor": "setup", "at": datetime.now(UTC)}
    async with seeded.database.transaction() as tx:
        await dictionaries.set_tenant(tx, tenant="other", name="Other", **who)
        await dictionaries.set_user(tx, tenant="other", name="olga", roles=["admin"], **who)
        await dictionaries.set_user(tx, tenant="acme", name="rosa", roles=["requester"], **who)
    return [("acme", "rosa"), ("other", "olga")]


PATHS = (
    "/api/requests/{id}",
    "/api/requests/{number}",
    "/api/requests/{id}/conversation",
    "/api/attachments/{document}",
    "/api/escalations/{id}",
    "/api/escalations/{number}",
    "/requests/{id}",
    "/requests/{number}",
)


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_not_theirs_is_as_good_as_absent(web, seeded, strangers, path):
    """Another tenant's admin and another requester hear 404; the one whose it is sees it."""
    record = await an_open(seeded.database)
    document = await a_pending(seeded.database, record)
    names = {
        "id": record.request.id,
        "number": record.request.track_number,
        "document": document.id,
    }
    for tenant, name in strangers:
        answer = await web.get(path.format(**names), headers=await bearer(seeded, name, tenant))
        others = {"id": "mr_0", "number": "MK-0", "document": "att_0"}
        absent = await web.get(path.format(**others), headers=await bearer(seeded, name, tenant))
        assert (answer.status_code, absent.status_code) == (404, 404)
        told = answer.text
        for key in names:
            told = told.replace(names[key], others[key])
        assert told == absent.text
        assert "{id}" in path or record.request.id not in answer.text
    if "document" not in path:
        assert (await web.get(path.format(**names), headers=await bearer(seeded, "rita"))).status_code == 200


async def test_lists_hold_what_is_ones_own(web, seeded, strangers):
    """The tenant's for its staff, their own for requesters, and nothing of another tenant."""
    record = await an_open(seeded.database)
    lists = {"/api/requests": "requests", "/api/escalations": "escalations"}
    for path, name in lists.items():
        for user, tenant, count in (
            ("alice", "acme", 1),
            ("rita", "acme", 1),
            ("rosa", "acme", 0),
            ("olga", "other", 0),
        ):
            me = await bearer(seeded, user, tenant)
            found = (await web.get(path, headers=me)).json()[name]
            assert (user, len(found)) == (user, count)
    assert record.request.tenant == "acme"


@pytest.mark.parametrize(
    "path",
    [
        "/api/requests",
        "/api/escalations",
        "/api/policies",
        "/api/absences",
        "/api/config",
        "/api/dictionaries/topic",
    ],
)
async def test_another_tenant_is_as_good_as_absent(seeded, web, strangers, path):
    """Naming one's own changes nothing; naming another one is a 404."""
    me = await bearer(seeded, "alice")
    assert (await web.get(path, params={"tenant": "acme"}, headers=me)).status_code == 200
    other = await web.get(path, params={"tenant": "other"}, headers=me)
    none = await web.get(path, params={"tenant": "none"}, headers=me)
    assert (other.status_code, none.status_code) == (404, 404)
    assert other.json()["detail"] == none.json()["detail"].replace("none", "other")


async def test_policies_of_another_tenant_are_absent(web, seeded, strangers):
    """Not shown, not simulated, not drawn."""
    me = await bearer(seeded, "olga", "other")
    for path in ("", "/simulation", "/simulation.svg"):
        answer = await web.get(f"/api/policies/{seeded.policy.id}{path}", headers=me)
        assert answer.status_code == 404
    assert (await web.get("/api/policies", headers=me)).json() == {"policies": []}


async def test_a_requester_reads_their_own_absences_only(web, seeded):
    """Who is away is the desk's business."""
    async with client_of(seeded, str(web.base_url), "rita") as rita:
        assert (await rita.get("/api/absences?user=alice")).json() == {"absences": []}
