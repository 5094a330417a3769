"""What somebody who means harm may try: another site's page, another's session, markup in every field."""

import json
import re
from datetime import UTC, datetime

import httpx
import pytest
from aiohttp import web
from fastapi.routing import iter_route_contexts
from playwright.async_api import expect
from sqlalchemy import text

from db.writes import dictionaries
from domain.entry import Kind
from domain.mint_request import MintStatus
from tests.support.admin import DICTIONARIES, HTML, form_of
from tests.support.site import PASSWORD
from tests.support.talk import SECRET
from tests.web.test_acks import settings_of
from tests.web.test_tries import sign_in
from web.app import create_app
from web.people import COOKIE, csrf_of

EVIL = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}"


class Secretive:
    """As much of the server's state as CSRF tokens follow from."""

    secret = SECRET


@pytest.fixture
async def attacker():
    """A page on another origin; answers `(its address, what it shows)`."""
    shown = {}

    async def page(request):
        return web.Response(text=shown["html"], content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1], shown
    await runner.cleanup()


@pytest.fixture
async def pending(site):
    """A request that waits for its approvers."""
    ticket = await site.desk.submit()
    await site.desk.until_status(ticket, MintStatus.PENDING)
    return ticket


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_another_site_s_form_and_script_change_nothing(site, pending, attacker, host):
    """The victim is signed in, the page is on another origin: nothing happens, and no session changes."""
    port, shown = attacker
    paths = (
        f"/requests/{pending.id}/approve",
        f"/api/requests/{pending.id}/decisions",
        "/account/tokens",
        "/sign-out",
    )
    page = await site.page("alice")
    for path in paths:
        shown["html"] = (
            f'<form method="post" action="{site.url}{path}" enctype="text/plain">'
            '<input name=\'{"verdict":"approve","x":"\' value=\'"}\'></form>'
            f"<script>fetch('{site.url}{path}', {{method: 'POST', credentials: 'include', mode: 'no-cors',"
            'body: \'{"verdict": "approve"}\'}).finally(() => document.forms[0].submit())</script>'
        )
        await page.goto(f"http://{host}:{port}/")
        await page.wait_for_url(f"{site.url}/**")
    await page.goto("/account")
    await expect(page.get_by_role("heading", name="alice")).to_have_count(1)
    assert (await site.desk.record(pending)).approvals == ()
    async with site.desk.seeded.database.transaction() as tx:
        assert await tx.value(text("SELECT count(*) FROM sessions WHERE kind = 'token'")) == 0
    # the attacker's page complains of what its browser refuses
    site.complaints.clear()
    site.foreign.clear()


async def test_nobody_is_signed_in_by_another_site(site, attacker):
    """Login CSRF: the attacker's own name and password, sent by the victim's browser."""
    await site.give_password("bob")
    port, shown = attacker
    fields = {"tenant": "acme", "name": "bob", "password": PASSWORD}
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    shown["html"] = (
        f'<form method="post" action="{site.url}/sign-in">{inputs}</form>'
        "<script>document.forms[0].submit()</script>"
    )
    page = await site.page()
    await page.goto(f"http://127.0.0.1:{port}/")
    await page.wait_for_url(f"{site.url}/**")
    assert COOKIE not in {cookie["name"] for cookie in await page.context.cookies()}
    # the attacker's page complains of what its browser refuses
    site.complaints.clear()
    site.foreign.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_page_shows_in_another_site_s_frame(site, pending, attacker, host):
    """Clickjacking: whoever is signed in would press our buttons below the attacker's; there is no frame."""
    port, shown = attacker
    paths = (f"/requests/{pending.id}", "/inbox", "/account", "/admin", "/sign-in", "/track", "/api/requests")
    page = await site.page("alice")
    for path in paths:
        shown["html"] = f'<iframe name="below" src="{site.url}{path}" width="900" height="900"></iframe>'
        await page.goto(f"http://{host}:{port}/", wait_until="load")
        for frame in [one for one in page.frames if one != page.main_frame]:
            assert not frame.url.startswith(site.url), path
            assert await frame.locator("form, a, button, pre").count() == 0, path
    told = [one for one in site.complaints if "frame-ancestors 'none'" in one]
    assert len(told) == len(paths)
    site.complaints[:] = [one for one in site.complaints if one not in told]
    site.foreign.clear()
    site.forgive_statuses()


async def test_no_page_shows_in_a_frame_and_cookies_are_shut(site):
    """Headers of every answer; no script reads the session, a given one is not taken over."""
    await site.give_password("alice")
    answer = await sign_in(site)
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 303
    assert all(flag in cookie for flag in ("httponly", "samesite=lax", "path=/"))
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    async with httpx.AsyncClient(base_url=site.url, cookies={COOKIE: "planted"}) as planted:
        form = {"tenant": "acme", "name": "alice", "password": PASSWORD}
        fresh = await planted.post("/sign-in", data=form)
        assert fresh.cookies[COOKIE] != "planted"
        assert len(fresh.cookies[COOKIE]) >= 43
    assert fresh.cookies[COOKIE] != answer.cookies[COOKIE]


async def test_a_session_ends_in_the_middle(site, pending):
    """Deactivated while the page is open: the next click does nothing and leads out."""
    page = await site.page("alice", f"/requests/{pending.id}")
    async with site.desk.seeded.database.transaction() as tx:
        await dictionaries.deactivate_user(
            tx, tenant="acme", name="alice", actor="adam", at=datetime.now(UTC)
        )
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("heading", name="You are signed out").wait_for()
    await page.goto(f"/requests/{pending.id}")
    assert "/sign-in" in page.url
    site.forgive_statuses()


async def test_ids_that_were_guessed_lead_nowhere(site, pending):
    """Every route with an id in its path, as another requester and as another tenant's admin."""
    seeded = site.desk.seeded
    who = {"actor": "setup", "at": datetime.now(UTC)}
    async with seeded.database.transaction() as tx:
        await dictionaries.set_tenant(tx, tenant="other", name="Other", **who)
        await dictionaries.set_user(
            tx, tenant="other", name="olga", roles=["admin", "approver"], tier=3, **who
        )
        await dictionaries.set_user(tx, tenant="acme", name="rosa", roles=["requester"], **who)
        session = await tx.value(text("SELECT id FROM sessions LIMIT 1"))
    own = ("/acks/", "/invitations/", "/track", "/api/track/", "/static", "/escalations/", "/sign-in")
    app = create_app(settings_of(seeded, authority=""))
    found = [one for one in iter_route_contexts(app.routes) if "{" in (one.path or "")]
    routes = [one for one in found if not one.path.startswith(own)]
    assert len(routes) > 15
    for tenant, name in (("acme", "rosa"), ("other", "olga")):
        opened = await site.accounts.open_session(tenant, name, ("pwd",))
        person = await site.accounts.person(opened.token)
        headers = {"X-CSRF-Token": csrf_of(Secretive(), person)}
        async with httpx.AsyncClient(
            base_url=site.url, cookies={COOKIE: opened.token}, headers=headers, timeout=60
        ) as client:
            for route in routes:
                for guessed in (pending.id, pending.request.track_number, session or "ws_x"):
                    path = re.sub(r"{[^}]*}", guessed, route.path)
                    for method in route.methods - {"HEAD"}:
                        answer = await client.request(method, path, headers=HTML)
                        assert answer.status_code < 500, (name, method, path, answer.text[:300])
                        if answer.status_code == 200:
                            assert pending.request.destination not in answer.text, (name, path)
                            assert str(pending.request.memo or "¬") not in answer.text, (name, path)
    record = await site.desk.record(pending)
    assert (record.status, record.assignee, record.approvals) == (MintStatus.PENDING, record.assignee, ())
    assert record.assignee not in ("rosa", "olga")


SHOWN = (
    "/requests", "/requests/new", "/inbox", "/account", "/account/notifications", "/audit", "/dashboard",
    "/admin", "/admin/accounts", "/admin/accounts/zoe", "/admin/accounts/alice", "/admin/rules",
    "/admin/deliveries", "/admin/runs", "/admin/keys", "/admin/schedules", "/admin/configuration",
    "/admin/policies", "/admin/policies/new", f"/requests?q={EVIL}&status={EVIL}", f"/inbox?q={EVIL}",
    f"/audit?q={EVIL}&actor={EVIL}", f"{DICTIONARIES}/topic?q={EVIL}",
    f"{DICTIONARIES}/topic/new?name={EVIL}",
    f"{DICTIONARIES}/channel/new?kind={EVIL}", f"/admin/policies/new?like={EVIL}",
)  # fmt: skip
"""Pages that show what people have written, or what an address says."""


async def is_text_only(site, name, paths):
    """Open pages as `name`: nothing of what was written became an element, ran, or was reckoned out."""
    page, dialogs = await site.page(name), []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    shown = 0
    for path in paths:
        await page.goto(path)
        assert (
            await page.locator("img[src=x], script:not([src]):not([type='application/json'])").count() == 0
        ), path
        content = await page.locator("body").evaluate(
            "body => body.innerText"
            " + [...body.querySelectorAll('input, textarea')].map(one => one.value).join()"
        )
        # a template that reads it as one would show the product
        assert "<script>alert(2)</script>49" not in content, path
        shown += "{{7*7}}" in content
    assert dialogs == []
    return shown


async def test_markup_in_every_field_stays_text(site):
    """Memo, comment, reason, file name, label, search, next: every page shows it, and no script runs."""
    ticket = await site.desk.submit(memo=EVIL)
    await site.desk.until_status(ticket, MintStatus.PENDING)
    who = {"tenant": "acme", "actor": "adam", "at": datetime.now(UTC)}
    async with site.desk.seeded.database.transaction() as tx:
        await dictionaries.set_user(tx, **who, name="zoe", roles=["requester"], email=f"{EVIL}@x.example")
    async with site.client("alice") as alice:
        path = f"/api/requests/{ticket.id}"
        assert (await alice.post(f"{path}/comments", json={"text": EVIL})).status_code == 202
        named = await alice.post(f"{path}/attachments", json={"filename": f"{EVIL}.txt", "size": 1})
        assert named.status_code == 201
        made = await alice.post("/account/tokens", data={"label": EVIL, "days": "1"})
        assert made.status_code == 200
        rejected = await alice.post(f"{path}/decisions", json={"verdict": "reject", "reason": EVIL})
        assert rejected.status_code == 200
    for name in ("adam", "alice"):
        paths = (f"/requests/{ticket.id}", f"{DICTIONARIES}/user", f"{DICTIONARIES}/user/entries/zoe", *SHOWN)
        assert await is_text_only(site, name, paths) >= 3
    page = await site.page(path=f"/sign-in?next={EVIL}")
    await expect(page.locator("img[src=x]")).to_have_count(0)
    site.forgive_statuses()


async def test_markup_in_dictionaries_and_policies_stays_text(site):
    """Every text field of every entry, posted through the admin's own forms: refused or shown as it is."""
    ticket = await site.desk.submit()
    await site.desk.until_status(ticket, MintStatus.PENDING)
    taken, paths = set(), []
    async with site.client("adam") as adam:
        for kind in Kind:
            codes = re.findall(
                rf'href="{DICTIONARIES}/{kind}/entries/([^"/]+)"',
                (await adam.get(f"{DICTIONARIES}/{kind}")).text,
            ) or ["acme"]
            for code in codes[:3]:
                path = f"{DICTIONARIES}/{kind}/entries/{code}"
                paths += [path, f"{path}/remove"]
                form = form_of((await adam.get(path)).text)
                for name in [one for one in form if one not in ("csrf", "seen", "code", "name_")]:
                    now = form_of((await adam.get(path)).text)
                    answer = await adam.post(path, data=now | {name: [EVIL]}, headers=HTML)
                    assert answer.status_code in (303, 400, 403, 404, 409), (path, name)
                    assert "<img src=x" not in answer.text, (path, name)
                    assert "<script>alert" not in answer.text, (path, name)
                    if answer.status_code == 303:
                        taken.add((kind.value, name))
            paths.append(f"{DICTIONARIES}/{kind}")
        policy = (await adam.get("/admin/policies/new?like=acme-mint-default-1")).text
        text_of_policy = form_of(policy)["text"][0]
        for old in re.findall(r"(?m)^ *(?:id|name|description|event|template): *(.+)$", text_of_policy):
            hostile = text_of_policy.replace(old, json.dumps(EVIL), 1)
            answer = await adam.post("/admin/policies/new", data={"text": hostile}, headers=HTML)
            assert answer.status_code < 500
            assert "<img src=x" not in answer.text
    wanted = {("topic", "name"), ("department", "name"), ("tenant", "name"), ("channel", "settings.channel")}
    assert wanted <= taken, taken
    for name in ("adam", "alice", "rita"):
        allowed = (*paths, *SHOWN) if name == "adam" else SHOWN
        shown = await is_text_only(site, name, (f"/requests/{ticket.id}", *allowed))
        assert name != "adam" or shown >= 6
    site.forgive_statuses()


@pytest.mark.parametrize(
    "next",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil",
        "/a\r\nSet-Cookie: x=y",
        "/\t/evil",
    ],
)
async def test_after_signing_in_one_stays_here(site, next):
    """Neither another site nor another header comes of it."""
    await site.give_password("alice")
    answer = await sign_in(site, next=next)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "x" not in answer.cookies


STRANGE = (
    "\x00",
    "a\x00b",
    "\ud800".encode("utf-8", "surrogatepass"),
    b"\xff\xfe",
    "x" * 70_000,
    "\N{PILE OF POO}" * 999,
)


@pytest.mark.parametrize("value", STRANGE, ids=range(len(STRANGE)))
async def test_strange_text_in_every_form_is_refused_in_one_line(site, pending, value):
    """NUL, halves of characters, bytes that are no text, very long: 3xx or 4xx, never 5xx."""
    app = create_app(settings_of(site.desk.seeded, authority=""))
    posts = [
        one.path
        for one in iter_route_contexts(app.routes)
        if "POST" in (one.methods or ()) and one.path != "/sign-out"
    ]
    names = (
        "name",
        "tenant",
        "password",
        "again",
        "present",
        "code",
        "next",
        "ticket",
        "reason",
        "text",
        "amount",
    )
    more = ("asset", "destination", "topic", "memo", "label", "days", "from", "until", "session", "message")
    form = dict.fromkeys((*names, *more, "decision_id", "idempotency_key", "q", "assignee"), value)
    failed = []
    async with site.client("adam") as adam:
        for path in posts:
            filled = re.sub(r"{[^}]*}", pending.id, path)
            answer = await adam.post(filled, data=form)
            if answer.status_code >= 500:
                failed.append((path, answer.status_code, re.sub(r"<[^>]*>|\s+", " ", answer.text)[-200:]))
    assert failed == []


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/json", b"{"),
        ("text/plain", b"x"),
        ("multipart/form-data", b"--x"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"csrf=%ff%fe&a"),
        ("application/x-www-form-urlencoded", b"a=1&" * 5000),
        ("\xff".encode("latin-1"), b"x"),
    ],
    ids=str,
)
async def test_a_wrong_content_type_is_refused(site, pending, kind, content):
    """Wherever it is sent."""
    async with site.client("alice") as alice:
        for path in (
            "/sign-in",
            "/sign-in/code",
            "/account/password",
            f"/api/requests/{pending.id}/decisions",
            f"/api/requests/{pending.id}/comments",
            "/api/requests",
        ):
            answer = await alice.post(path, content=content, headers={"Content-Type": kind})
            assert 300 <= answer.status_code < 500, (path, kind, answer.status_code)
