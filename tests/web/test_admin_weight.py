"""The panel's weighty acts by HTTP: the second factor, files, other tenants' things, runs of events."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from db import reads
from db.reads.admin import approver_keys
from db.writes import dictionaries
from domain.mint_request import MintStatus
from domain.runs import RunState
from tests.support.admin import DICTIONARIES, HTML, form_of, set_up_totp
from tests.support.events import raised, rule_for, run_of, until_run
from tests.support.site import open_site
from tests.workflows.test_acks import acknowledge

NEW_KEY = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()


@pytest.fixture
async def house(desk, chromium, password_hash, monkeypatch, tmp_path):
    """A site without a ledger, with workers."""
    async with open_site(desk, chromium, password_hash, monkeypatch, tmp_path) as opened:
        yield opened


async def settled(house):
    """Everything that a weighty act could change."""
    seeded = house.desk.seeded
    async with seeded.database.transaction() as tx:
        return (
            await reads.rules(tx, "acme"),
            await reads.users(tx, "acme"),
            await approver_keys(tx, "acme"),
            await reads.current_policy(tx, "acme"),
            await tx.rows(text("SELECT id, name FROM escalation_policies ORDER BY id")),
            await tx.rows(text("SELECT code, name FROM topics ORDER BY code")),
            await tx.rows(text("SELECT user_name FROM accounts WHERE totp_secret IS NOT NULL ORDER BY 1")),
        )


async def a_policy(house, id_="acme-mint-other"):
    """The demo's policy under another id, as text."""
    policy = house.desk.seeded.policy.model_copy(update={"id": id_})
    return json.dumps(policy.model_dump(mode="json", by_alias=True))


async def acts(house, client):
    """Each weighty act as a browser would send it, but for the code: its path, and its form."""
    rules = form_of((await client.get("/admin/rules")).text)
    user = form_of((await client.get(f"{DICTIONARIES}/user/entries/bob")).text)
    wanted = "topics:\n  treasury-eu: {name: Changed}\n"
    seen = form_of((await client.post("/admin/configuration", data={"text": wanted}, headers=HTML)).text)
    async with house.desk.seeded.database.transaction() as tx:
        [key] = [one.key_id for one in await approver_keys(tx, "acme", "alice")]
    return {
        "user": (f"{DICTIONARIES}/user/entries/bob", user | {"roles": ["admin"]}),
        "move": ("/admin/rules/move", {"seen": rules["seen"], "move": "down 10"}),
        "renumber": ("/admin/rules/renumber", {"seen": rules["seen"]}),
        "register": ("/admin/accounts/alice/keys/register", {"public_key": NEW_KEY}),
        "revoke": ("/admin/accounts/alice/keys/revoke", {"key_id": key}),
        "authenticator": ("/admin/accounts/bob/authenticator/remove", {}),
        "publish": ("/admin/policies/new", {"text": await a_policy(house), "do": "publish"}),
        "configuration": ("/admin/configuration/apply", {"text": wanted, "seen": seen["seen"]}),
    }


WEIGHTY = (
    "user", "move", "renumber", "register", "revoke", "authenticator", "publish", "configuration",
)  # fmt: skip


async def number_unevenly(house):
    """Leave rules that renumbering would change."""
    async with house.desk.seeded.database.transaction() as tx:
        await tx.run(text("UPDATE approval_rules SET position = position + 3 WHERE position > 10"))


async def test_weighty_acts_need_a_second_factor(house):
    """Without a code, with a wrong one and with a used one none of them changes anything."""
    await set_up_totp(house, "bob")
    totp = await set_up_totp(house, "adam")
    async with house.client("adam") as client:
        await number_unevenly(house)
        before = await settled(house)
        found = await acts(house, client)
        assert set(found) == set(WEIGHTY)
        for name, (path, form) in found.items():
            # too many wrong ones shut everything for a while, which would prove nothing here
            for code in ("", "000000") if name in ("user", "publish") else ("",):
                answer = await client.post(path, data={**form, "code": code}, headers=HTML)
                shown = await client.get(answer.headers.get("location", "/admin"))
                told = answer.text if answer.status_code == 400 else shown.text
                assert "second factor" in told or 'id="error-code"' in told, (name, code)
                assert await settled(house) == before, (name, code)
        # a code that was good for one act is not good for the next
        code = totp.now()
        path, form = found["register"]
        await client.post(path, data={**form, "code": code}, headers=HTML)
        after = await settled(house)
        assert after != before
        for name in WEIGHTY:
            path, form = found[name]
            await client.post(path, data={**form, "code": code}, headers=HTML)
            assert await settled(house) == after, name


@pytest.mark.parametrize("name", WEIGHTY)
async def test_weighty_acts_are_done_with_a_fresh_code(house, name):
    """The same forms, with the code that the authenticator shows now."""
    await set_up_totp(house, "bob")
    totp = await set_up_totp(house, "adam")
    async with house.client("adam") as client:
        await number_unevenly(house)
        before = await settled(house)
        path, form = (await acts(house, client))[name]
        answer = await client.post(path, data={**form, "code": totp.now()}, headers=HTML)
    assert answer.status_code == 303, answer.text
    assert await settled(house) != before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 60_001, "more than 60000 bytes"),
        (b"[]", "a policy is an object"),
        (b"{]", "problem"),
        (b"", "write a policy, or choose a file"),
    ],
)  # fmt: skip
async def test_a_file_that_is_no_policy_is_told(house, content, told):
    """Nothing is published, and the page says what is wrong with the file."""
    async with house.client("adam") as client:
        files = {"file": ("policy.yaml", content)}
        answer = await client.post("/admin/policies/new", data={"do": "publish"}, files=files, headers=HTML)
        assert answer.status_code == 400
        assert told == "problem" or told in answer.text
        assert (await settled(house))[4] == [("acme-mint-default-1", "mint-default")]


async def test_a_policy_is_published_from_a_file(house):
    """The file counts where one was chosen, whatever stands in the text."""
    async with house.client("adam") as client:
        files = {"file": ("policy.json", (await a_policy(house)).encode())}
        form = {"do": "publish", "text": "typed before"}
        answer = await client.post("/admin/policies/new", data=form, files=files, headers=HTML)
        assert answer.headers["location"] == "/admin/policies/acme-mint-other"
        shown = await client.get(answer.headers["location"])
    assert "acme-mint-other is published" in shown.text


async def test_a_run_of_an_event_is_let_go_on_and_stopped(house):
    """Not a request's own run: held back by an acknowledgement it goes on; cancelled, it is over for good."""
    desk = house.desk
    await rule_for(desk)
    ticket = await desk.submit()
    await desk.decide(ticket, "alice")
    run_id = (await raised(desk, ticket)).run_id
    await until_run(desk, run_id, lambda run: run.next_stage > 0)
    await acknowledge(desk, ticket, run_id=run_id)
    path = f"/admin/runs/{run_id}"
    async with house.client("adam") as client:
        assert run_id in (await client.get("/admin/runs")).text
        for verb in ("resume", "cancel"):
            await client.post(f"{path}/{verb}", data={"reason": " "}, headers=HTML)
            assert "a reason is needed" in (await client.get(path)).text
        assert (await run_of(desk, run_id)).acknowledged_by is not None
        assert "Resume" in (await client.get(path)).text
        await client.post(f"{path}/resume", data={"reason": "not so known"}, headers=HTML)
        await until_run(desk, run_id, lambda run: run.acknowledged_by is None)
        await client.post(f"{path}/cancel", data={"reason": "known <b>"}, headers=HTML)
        run = await until_run(desk, run_id, lambda run: run.state is RunState.CANCELLED)
        assert (run.ended_by, run.reason) == ("adam", "known <b>")
        shown = (await client.get(path)).text
        assert "It is over." in shown
        assert "known <b>" not in shown
        await client.post(f"{path}/resume", data={"reason": "once more"}, headers=HTML)
        assert (await run_of(desk, run_id)).state is RunState.CANCELLED
    # the request's own run was not meant
    assert (await desk.record(ticket)).escalation_cancelled_by is None


async def test_runs_and_messages_of_another_tenant_are_not_there(house):
    """An admin of another house, with the ids in hand: neither listed, shown, stopped nor sent again."""
    desk = house.desk
    ticket = await desk.submit()
    await desk.until_status(ticket, MintStatus.PENDING)
    async with desk.seeded.database.transaction() as tx:
        by = {"tenant": "rival", "actor": "setup", "at": datetime.now(UTC)}
        await dictionaries.set_tenant(tx, name="Rival", **by)
        await dictionaries.set_user(tx, name="rico", roles=["admin"], email="rico@rival.example", **by)
        await tx.run(text("UPDATE deliveries SET state = 'dead', next_attempt_at = NULL, lease_until = NULL"))
        dead = [row.id for row in await tx.rows(text("SELECT id FROM deliveries"))]
    assert dead
    rival = replace(house, desk=replace(desk, seeded=replace(desk.seeded, tenant="rival")))
    async with house.client("adam") as ours, rival.client("rico") as client:
        assert dead[0] in (await ours.get("/admin/deliveries")).text
        shown = "".join([(await client.get(f"/admin/{page}")).text for page in ("", "deliveries", "runs")])
        for secret in (ticket.id, ticket.request.track_number, *dead):
            assert secret not in shown
        assert (await client.get(f"/admin/runs/{ticket.id}")).status_code == 404
        for verb in ("cancel", "resume"):
            answer = await client.post(f"/admin/runs/{ticket.id}/{verb}", data={"reason": "x"})
            assert answer.status_code == 404
        for form in ({"delivery": dead[0]}, {}):
            await client.post("/admin/deliveries/retry", data=form, headers=HTML)
    async with desk.seeded.database.transaction() as tx:
        states = {row.state for row in await tx.rows(text("SELECT state FROM deliveries"))}
    assert states == {"dead"}
    assert (await desk.record(ticket)).escalation_cancelled_by is None
