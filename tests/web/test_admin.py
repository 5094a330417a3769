"""The admin panel over HTTP: who gets in, what a form may do, what is never told."""

import re
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import pytest
from sqlalchemy import text

from db import reads
from db.writes import dictionaries
from domain.dictionaries import MODELS
from domain.entry import Kind, Known
from tests.support.admin import DICTIONARIES, HTML, audited, form_of, put, set_up_totp, stored
from web.pages import admin
from web.pages.admin import (
    accounts,
    configuration,
    deliveries,
    entries,
    keys,
    overview,
    policies,
    rules,
    runs,
    schedules,
)
from web.pages.admin.fields import fields_of, naming_fields, setting_fields
from web.pages.admin.words import FIELDS, KINDS, LISTED

PARTS = (overview, rules, accounts, policies, runs, deliveries, keys, schedules, configuration, entries)
ROUTES = [(method, route.path) for part in PARTS for route in part.router.routes for method in route.methods]
EXAMPLES = {"kind": "topic", "code": "treasury-eu", "name": "alice", "policy_id": "acme-mint-default-1",
            "run_id": "mr_00000000000000000000000000", "schedule_id": "sla-check",
            "verb": "pause"}  # fmt: skip
HOSTILE = """"><script>document.title='owned'</script><img src=x onerror=alert(1)>'"""


def address(path):
    """The path with an example in each place."""
    return "/admin" + path.format(**EXAMPLES)


def test_every_field_of_every_kind_has_words():
    """Each field of a definition has a label and an input; the lists name fields that exist."""
    nothing = Known({})
    for kind in Kind:
        shown = [*naming_fields(kind, nothing), *fields_of(kind, nothing)]
        assert {one.name for one in shown} <= FIELDS[kind].keys(), kind
        assert set(LISTED[kind]) <= set(MODELS[kind].names())
        assert KINDS[kind].about
    for kind in ("slack", "email", "telegram", "pagerduty", "webhook", "console", "in-app"):
        assert all(one.words.label for one in setting_fields(kind))


def test_no_module_of_the_panel_is_forgotten():
    """Every module with a router is among the parts whose routes are looked at below."""
    modules = {path.stem for path in Path(admin.__file__).parent.glob("*.py")}
    routed = {name for name in modules if hasattr(getattr(admin, name, None), "router")}
    assert routed == {part.__name__.rpartition(".")[2] for part in PARTS}
    assert len(ROUTES) == len(set(ROUTES)) > 30


@pytest.mark.parametrize("name", ["alice", "rita", "lena", None])
async def test_nobody_but_admins_gets_in(site, name):
    """An approver, requester and auditor get 403 on every path and method; who is nobody must sign in."""
    async with site.client(name) as client:
        for method, path in ROUTES:
            answer = await client.request(method, address(path), headers=HTML)
            signs_in = answer.status_code == 401 or answer.headers.get("location", "").startswith("/sign-in")
            assert answer.status_code == 403 if name else signs_in, (method, path, answer.status_code)


async def test_a_token_of_an_admin_opens_no_page(site):
    """The panel is for people in front of a browser, whatever the token's owner may do."""
    from domain.sessions import SessionKind

    opened = await site.accounts.open_session("acme", "adam", ("pwd",), kind=SessionKind.TOKEN)
    async with site.client() as client:
        for method, path in ROUTES:
            bearer = {"Authorization": f"Bearer {opened.token}"}
            answer = await client.request(method, address(path), headers=bearer)
            assert answer.status_code == 403, (method, path)


async def test_without_the_csrf_token_nothing_is_changed(site):
    """Every form of the panel, sent with the session alone, is refused."""
    async with site.client("adam") as client:
        client.headers.pop("X-CSRF-Token")
        for path in (path for method, path in ROUTES if method == "POST"):
            answer = await client.post(address(path), data={"name": "x", "reason": "x"}, headers=HTML)
            assert answer.status_code == 403, path
            assert "did not come from a page of ours" in answer.text


SAMPLES = {
    # what names one, and the fields that take any text
    "department": ({"code": "legal"}, {"name"}),
    "calendar": ({"code": "fra", "time_zone": "Europe/Berlin"}, {"name"}),
    "topic": ({"code": "asia", "department": "treasury"}, {"name"}),
    "user": ({"name": "erik", "time_zone": "UTC"}, set()),
    "status": (None, {"name"}),
    "transition": ({"topic": "treasury-eu", "from": "PENDING", "to": "REJECTED"}, set()),
    "rule": ({"position": "7", "approvals": "1"}, set()),
    "channel": ({"name": "desk", "kind": "slack", "settings.channel": "#desk"}, {"settings.channel"}),
    "event-rule": ({"event_kind": "sla.overdue", "action": "inform"}, set()),
    "tenant": (None, {"name"}),
}
STANDING = {"status": "PENDING", "tenant": "acme"}


@pytest.mark.parametrize("kind", list(Kind), ids=str)
async def test_hostile_text_in_every_field_comes_back_as_text(site, kind):
    """What looks like a script is text on each page that shows it, stored or refused, in every field."""
    (naming, free), stored_in = SAMPLES[kind], set()
    path = f"{DICTIONARIES}/{kind}"
    form_path = f"{path}/entries/{STANDING[kind]}" if kind in STANDING else f"{path}/new?kind=slack"
    async with site.client("adam") as client:
        form = form_of((await client.get(form_path)).text) | (naming or {})
        tried = [name for name in form if name not in ("csrf", "seen", "kind", "active", "urgent")]
        for number, name in enumerate(tried):
            # what was stored is not there a second time
            named = {key: f"{form[key]}{number}" for key in naming or () if key in ("code", "name")}
            answer = await client.post(form_path, data={**form, **named, name: HOSTILE}, headers=HTML)
            assert "<script>document" not in answer.text, name
            assert answer.status_code in (303, 400), (name, answer.status_code)
            assert answer.status_code == 400 or name in free, name
            form["seen"] = form_of((await client.get(form_path)).text)["seen"]
            if answer.status_code == 303:
                for page in (answer.headers["location"], path, "/admin", "/admin/configuration"):
                    shown = await client.get(page, follow_redirects=True)
                    assert "<script>document" not in shown.text, (name, page)
                stored_in.add(name)
        assert stored_in == free
        shown = await client.get(path, params={"q": HOSTILE}, follow_redirects=True)
        assert "<script>document" not in shown.text


async def test_every_wrong_field_is_told_beside_it_and_what_was_typed_stays(site):
    """Several fields at once: messages in the page, inputs as typed, nothing stored."""
    async with site.client("adam") as client:
        form = form_of((await client.get(f"{DICTIONARIES}/topic/new")).text)
        typed = {**form, "code": "Not A Code", "name": "Asia", "department": "nowhere",
                 "auto_assign_after_hours": "soon"}  # fmt: skip
        answer = await client.post(f"{DICTIONARIES}/topic/new", data=typed, headers=HTML)
    assert answer.status_code == 400
    for name in ("code", "department", "auto_assign_after_hours"):
        assert f'id="error-{name}"' in answer.text
    assert "must be a whole number of hours from 1 to 87600" in answer.text
    kept = form_of(answer.text)
    assert (kept["code"], kept["name"], kept["auto_assign_after_hours"]) == (
        ["Not A Code"],
        ["Asia"],
        ["soon"],
    )
    assert await stored(site, "topic", "Not A Code") is None


async def test_two_admins_do_not_overwrite_each_other_unseen(site):
    """A form that is older than the entry is refused with both versions; sent again it is meant."""
    path = f"{DICTIONARIES}/topic/entries/treasury-eu"
    async with site.client("adam") as client:
        form = form_of((await client.get(path)).text) | {"name": "Mine"}
        await put(site, "topic", "treasury-eu", name="Theirs <b>", auto_assign_after_hours=9)
        answer = await client.post(path, data=form, headers=HTML)
        assert answer.status_code == 409
        assert "Somebody else has changed this meanwhile" in answer.text
        assert escape("Theirs <b>") in answer.text
        assert "Theirs <b>" not in answer.text
        assert (await stored(site, "topic", "treasury-eu"))["name"] == "Theirs <b>"
        again = await client.post(path, data=form_of(answer.text), headers=HTML)
        assert again.status_code == 303
    assert (await stored(site, "topic", "treasury-eu"))["name"] == "Mine"
    assert ("topics.set", "adam") in await audited(site)


async def test_a_new_entry_does_not_replace_one_that_is_there(site):
    """Creating what exists shows what exists; removing what has changed is refused, too."""
    async with site.client("adam") as client:
        form = form_of((await client.get(f"{DICTIONARIES}/department/new")).text)
        form |= {"code": "treasury", "name": "Mine"}
        answer = await client.post(f"{DICTIONARIES}/department/new", data=form, headers=HTML)
        assert answer.status_code == 409
        assert "There is one of that name already" in answer.text
        await put(site, "department", "legal")
        path = f"{DICTIONARIES}/department/entries/legal/remove"
        form = form_of((await client.get(path)).text)
        await put(site, "department", "legal", name="Law")
        assert (await client.post(path, data=form, headers=HTML)).status_code == 409
        form = form_of((await client.get(path)).text)
        assert (await client.post(path, data=form, headers=HTML)).status_code == 303
    assert await stored(site, "department", "legal") is None
    assert (await stored(site, "department", "treasury"))["name"] == "Treasury"


async def test_the_last_admin_stays(site):
    """Neither by the form nor by deactivating; with a second admin the first may go."""
    path = f"{DICTIONARIES}/user/entries/adam"
    async with site.client("adam") as client:
        page = (await client.get(path)).text
        refused = await client.post(path, data={**form_of(page), "roles": ["auditor"]}, headers=HTML)
        gone = await client.post(f"{path}/remove", data=form_of((await client.get(f"{path}/remove")).text))
        assert "would have no active admin" in refused.text
        assert gone.status_code == 409
        await put(site, "user", "eva", roles=["admin"])
        done = await client.post(path, data={**form_of(page), "roles": ["auditor"]}, headers=HTML)
        assert done.status_code == 303
    assert (await stored(site, "user", "adam"))["roles"] == ["auditor"]


async def test_a_change_of_weight_needs_the_authenticator_once_there_is_one(site):
    """Rules, users, invitations, policies: without a fresh code nothing changes, and none is good twice."""
    totp = await set_up_totp(site, "adam")
    path = f"{DICTIONARIES}/rule/entries/10"
    async with site.client("adam") as client:
        form = {**form_of((await client.get(path)).text), "approvals": "3"}
        for code in ("", "000000"):
            answer = await client.post(path, data={**form, "code": code}, headers=HTML)
            assert (answer.status_code, 'id="error-code"' in answer.text) == (400, True)
        assert (await client.post("/admin/accounts/alice/invite", headers=HTML)).status_code == 400
        for act in ("switch", "delete"):
            await client.post(f"/admin/policies/acme-mint-default-1/{act}", headers=HTML)
        assert (await stored(site, "rule", "10"))["approvals"] == 1
        wrong = await client.post(path, data={**form, "approvals": "99", "code": totp.now()}, headers=HTML)
        assert 'id="error-approvals"' in wrong.text
        fresh = totp.now()
        assert (await client.post(path, data={**form, "code": fresh}, headers=HTML)).status_code == 303
        seen = form_of((await client.get(path)).text)
        again = await client.post(path, data={**seen, "approvals": "1", "code": fresh}, headers=HTML)
        assert again.status_code == 400
    assert (await stored(site, "rule", "10"))["approvals"] == 3
    async with site.desk.seeded.database.transaction() as tx:
        assert await reads.current_policy(tx, "acme") is not None


async def test_secrets_and_addresses_to_post_to_are_never_shown_again(site):
    """A webhook's address and the references of secrets are kept when left empty, and never in a page."""
    settings = {"url": "https://hooks.example/T0/verysecret", "secret": "env:HOOK_SECRET_NAME"}
    await put(site, "channel", "hook", kind="webhook", settings=settings)
    path = f"{DICTIONARIES}/channel/entries/hook"
    await site.give_password("alice")
    async with site.client("adam") as client:
        form = form_of((await client.get(path)).text) | {"settings.per_minute": "30"}
        assert (await client.post(path, data=form, headers=HTML)).status_code == 303
        pages = [path, f"{path}/remove", f"{DICTIONARIES}/channel", "/admin", "/admin/keys",
                 "/admin/accounts", "/admin/accounts/alice"]  # fmt: skip
        shown = "".join([(await client.get(page)).text for page in pages])
        wanted = {"text": "channels:\n  hook: {settings: {url: https://x.example/, secret: env:NEW}}\n"}
        changed = await client.post("/admin/configuration", data=wanted, headers=HTML)
        assert "channels.hook.settings" in changed.text
        shown += changed.text
    for secret in ("verysecret", "HOOK_SECRET_NAME", site.password_hash, "$argon2", "BEGIN PRIVATE"):
        assert secret not in shown
    kept = (await stored(site, "channel", "hook"))["settings"]
    assert kept == {**settings, "per_minute": 30}


async def test_another_tenants_things_are_not_there(site):
    """Entries, accounts, policies, runs and deliveries of another tenant: absent, 404, and unchanged."""
    async with site.desk.seeded.database.transaction() as tx:
        by = {"tenant": "rival", "actor": "rico", "at": datetime.now(UTC)}
        await dictionaries.set_tenant(tx, name="Rival", **by)
        await dictionaries.set_user(tx, name="rico", roles=["admin"], email="rico@rival.example", **by)
        await tx.run(text("INSERT INTO escalation_policies (id, tenant, name, content_hash, body,"
                          " published_at, published_by)"
                          " SELECT 'rival-1', 'rival', 'r', content_hash, body, published_at, 'rico'"
                          " FROM escalation_policies WHERE id = 'acme-mint-default-1'"))  # fmt: skip
    async with site.client("adam") as client:
        for path in ("dictionaries/user/entries/rico", "dictionaries/tenant/entries/rival", "accounts/rico",
                     "policies/rival-1", "policies/rival-1/picture.svg"):  # fmt: skip
            assert (await client.get(f"/admin/{path}")).status_code == 404, path
        for path in ("accounts/rico/invite", "accounts/rico/sessions/end", "accounts/rico/keys/register",
                     "policies/rival-1/delete", "policies/rival-1/switch"):  # fmt: skip
            answer = await client.post(f"/admin/{path}", data={"public_key": "00" * 32}, headers=HTML)
            assert answer.status_code in (303, 404), path
        # a page that repeats what was asked for
        await client.get("/admin")
        pages = ("", "/dictionaries/user", "/accounts", "/policies", "/keys", "/deliveries", "/runs",
                 "/configuration/export.yaml")  # fmt: skip
        shown = "".join([(await client.get(f"/admin{page}")).text for page in pages])
        assert "rico" not in shown
        assert "rival" not in shown
        # what all tenants share is nobody's to stop
        await client.post("/admin/schedules/sla-check/pause", headers=HTML)
        assert "operator pauses" in (await client.get("/admin/schedules")).text
    async with site.desk.seeded.database.transaction() as tx:
        assert not await tx.rows(text("SELECT 1 FROM invitations"))
        assert not await tx.rows(text("SELECT 1 FROM approver_keys WHERE tenant = 'rival'"))
        assert await tx.value(text("SELECT deleted_at FROM escalation_policies WHERE id = 'rival-1'")) is None


async def test_what_has_no_such_name_is_not_there(site):
    """Unknown kinds, entries and odd names are 404, or refused; never a failure of ours."""
    async with site.client("adam") as client:
        for path in ("dictionaries/secrets", "dictionaries/topic/entries/none", "dictionaries/status/new",
                     "dictionaries/tenant/new", "dictionaries/status/entries/DONE", "policies/none",
                     "dictionaries/tenant/entries/acme/remove", "accounts/nobody", "runs/none",
                     "dictionaries/rule/entries/%F0%9F%98%80",
                     "dictionaries/user/entries/..%2F.."):  # fmt: skip
            assert (await client.get(f"/admin/{path}", headers=HTML)).status_code == 404, path
        assert (await client.get(f"{DICTIONARIES}/user/entries/a%00b", headers=HTML)).status_code in (
            400,
            404,
        )
        for start in ("garbage", "9999-12-31T23:00", "0001-01-01T00:00"):
            answer = await client.get("/admin/policies/acme-mint-default-1", params={"start": start})
            assert answer.status_code == 400, start
        answer = await client.get("/admin/policies/acme-mint-default-1", params={"topic": HOSTILE})
        assert answer.status_code == 400
        assert "<script>document" not in answer.text
        assert not re.search("internal", answer.text)
