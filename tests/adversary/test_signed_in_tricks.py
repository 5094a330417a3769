"""What somebody may try who is signed in, or holds a stolen session: more power, others' sessions, floods."""

import asyncio
import re
from datetime import UTC, datetime

import pyotp
import pytest
from sqlalchemy import text

from db import reads
from db.writes import accounts, dictionaries
from domain.errors import AccessRefused, Refused
from domain.mint_request import MintStatus
from domain.sessions import MOST_TRIES, SessionKind
from starter.account_care import invite
from starter.accounts import NeedsCode
from starter.passwords import hash_password
from tests.support.postgres import until_waiting
from tests.support.site import PASSWORD
from tests.support.tokens import bearer

NEW = "seven quiet river stones"


@pytest.fixture
async def pending(site):
    """A request that waits for its approvers."""
    ticket = await site.desk.submit(amount=50_000 * 10**7)
    await site.desk.until_status(ticket, MintStatus.PENDING)
    return ticket


async def swap_content(site, ticket):
    """What only an owner of the database can do: other content in the place of what was asked."""
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        await tx.run(text("UPDATE mint_requests SET amount = amount * 10 WHERE id = :id"), {"id": ticket.id})
        record = await reads.request(tx, ticket.id)
        digest = {"id": ticket.id, "digest": record.request.digest()}
        await tx.run(text("UPDATE mint_requests SET digest = :digest WHERE id = :id"), digest)


@pytest.mark.parametrize("word", ["approve", "reject", "cancel"])
async def test_what_was_on_the_page_is_what_is_signed(site, pending, word):
    """Amount or destination that differ from those of the page: nothing is signed, and the page says why."""
    name = "rita" if word == "cancel" else "alice"
    page = await site.page(name, f"/requests/{pending.id}", java_script_enabled=False)
    await page.locator(f"#deed-{word} > summary").click()
    if word == "reject":
        await page.locator("#reject-reason").fill("no")
    await swap_content(site, pending)
    await page.locator(f"form[action$='/{word}'] button").click()
    await page.get_by_text("is not what the page showed").first.wait_for()
    assert (await site.desk.record(pending)).status is MintStatus.PENDING
    assert (await site.desk.record(pending)).approvals == ()
    site.forgive_statuses()


async def test_what_was_confirmed_together_is_what_is_signed(site, pending):
    """The same for several at once: the one that differs is left out, and the others are approved."""
    other = await site.desk.submit(amount=50_000 * 10**7)
    await site.desk.until_status(other, MintStatus.PENDING)
    page = await site.page("alice", f"/inbox/approve?id={pending.id}&id={other.id}")
    await swap_content(site, pending)
    await page.get_by_role("button", name="Approve 2 requests").click()
    await page.get_by_role("heading", name="1 of 2 approved").wait_for()
    assert "is not what the page showed" in await page.locator("main").inner_text()
    assert (await site.desk.record(pending)).approvals == ()
    assert len((await site.desk.record(other)).approvals) == 1


async def test_an_api_client_can_bind_what_it_has_seen(site, pending):
    """A digest that is sent along has to be the request's."""
    path = f"/api/requests/{pending.id}/decisions"
    async with site.client("alice") as alice:
        seen = (await alice.get(f"/api/requests/{pending.id}")).json()["digest"]
        wrong = await alice.post(path, json={"verdict": "approve", "digest": "0" * 64})
        right = await alice.post(path, json={"verdict": "approve", "digest": seen})
    assert (wrong.status_code, wrong.json()["reason"]) == (409, "wrong_request")
    assert right.json()["accepted"] is True


async def test_a_flood_of_decisions_stops_at_the_door(site, pending):
    """Each would be an update of the workflow, which takes so many: one's are bounded, others' get in."""
    path = f"/api/requests/{pending.id}/decisions"
    async with site.client("alice") as alice:
        answers = [await alice.post(path, json={"verdict": "reject", "reason": " "}) for _ in range(60)]
    codes = [answer.status_code for answer in answers]
    assert codes[0] == 409
    assert codes[-1] == 429
    assert len(await site.desk.refusals(pending)) < 40
    async with site.client("bob") as bob:
        assert (await bob.post(path, json={"verdict": "approve"})).json()["accepted"] is True


async def test_a_flood_of_claims_stops_at_the_door(site, pending):
    """Giving it to and fro would write a message each time."""
    async with site.client("alice") as alice:
        codes = [
            (await alice.post(f"/api/requests/{pending.id}/assign", json={"assignee": name})).status_code
            for name in ["alice", "bob"] * 30
        ]
    assert (codes[0], codes[-1]) == (200, 429)


@pytest.mark.parametrize("word", ["claim", "release", "assign"])
async def test_a_mere_requester_gives_work_to_nobody(site, pending, word):
    """By the API as little as on the page: whoever works on it stays, and nobody is told anything."""
    async with site.client("alice") as alice:
        assert (await alice.post(f"/api/requests/{pending.id}/claim")).status_code == 200
    body = {"assignee": "bob"} if word == "assign" else {}
    async with site.client("rita") as rita:
        answer = await rita.post(f"/api/requests/{pending.id}/{word}", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (403, "not_entitled")
    assert (await site.desk.record(pending)).assignee == "alice"


async def test_a_stolen_session_sets_up_no_authenticator(site):
    """It would be the thief's, and its codes approve large amounts: the password is asked for first."""
    await site.give_password("alice")
    async with site.client("alice") as thief:
        await thief.post("/account/authenticator")
        await thief.post("/account/authenticator", data={"present": "a wrong password"})
        assert "otpauth" not in (await thief.get("/account/authenticator", follow_redirects=True)).text
        person = await site.accounts.person(await site.token("alice"))
        assert await site.accounts.authenticators.waiting(person) is None
        await thief.post("/account/authenticator", data={"present": PASSWORD})
        assert await site.accounts.authenticators.waiting(person) is not None


async def test_a_known_password_makes_no_codes_guessable(site):
    """Wrong codes count on, whatever right passwords come in between: else six digits would be guessed."""
    await site.give_password("alice")
    person = await site.accounts.person(await site.token("alice"))
    app = pyotp.parse_uri(await site.accounts.authenticators.begin(person))
    await site.accounts.authenticators.confirm(person, app.now())
    passwords, reasons = [PASSWORD, NEW], []
    for number in range(MOST_TRIES + 2):
        with pytest.raises(AccessRefused) as refused:
            await site.accounts.step_up(person, "abcdef", address="x")
        reasons.append(refused.value.reason)
        if number % 4 == 3:
            await site.accounts.change_password(person, *passwords, address="x")
            passwords.reverse()
    assert reasons[-1] == "too_many_tries"


@pytest.mark.parametrize("change", ["password", "authenticator"])
async def test_a_sign_in_that_is_overtaken_opens_nothing(site, change):
    """The password was right when it was looked at, and is not any more when the session begins."""
    await site.give_password("alice")
    database, at = site.desk.seeded.database, datetime.now(UTC)
    who = {"tenant": "acme", "name": "alice"}
    person = await site.accounts.person(await site.token("alice"))
    await site.accounts.authenticators.begin(person)
    hashed = await hash_password(NEW)
    secret = await _secret(site)
    async with database.transaction() as tx:
        if change == "password":
            await accounts.set_password(tx, **who, password_hash=hashed, actor="adam", at=at)
        else:
            await accounts.confirm_totp(tx, **who, secret=secret, step=1, at=at)
        signing_in = asyncio.create_task(site.accounts.sign_in("acme", "alice", PASSWORD, address="x"))
        await until_waiting(site.desk.seeded.database)
    with pytest.raises(AccessRefused):
        opened = await signing_in
        assert not isinstance(opened, NeedsCode)
        assert await site.accounts.person(opened.token) is None
        raise AccessRefused("it is worth nothing", "")


async def _secret(site):
    async with site.desk.seeded.database.transaction() as tx:
        return await tx.value(text("SELECT totp_secret FROM accounts WHERE user_name = 'alice'"))


@pytest.mark.parametrize("way", ["removed", "set inactive"])
async def test_who_comes_back_brings_no_old_session(site, way):
    """Sessions and tokens end with a deactivation for good, and so do invitations."""
    token = await site.token("bob")
    key = (await bearer(site.desk.seeded, "bob"))["Authorization"].removeprefix("Bearer ")
    invitation = await invite(site.desk.seeded.database, "acme", "bob", actor="adam")
    user = {"tenant": "acme", "name": "bob", "roles": ["approver"], "tier": 1, "actor": "adam"}
    async with site.desk.seeded.database.transaction() as tx:
        if way == "removed":
            await dictionaries.deactivate_user(
                tx, tenant="acme", name="bob", actor="adam", at=datetime.now(UTC)
            )
        else:
            await dictionaries.set_user(tx, **user, active=False, at=datetime.now(UTC))
    async with site.desk.seeded.database.transaction() as tx:
        await dictionaries.set_user(tx, **user, at=datetime.now(UTC))
    assert await site.accounts.person(token) is None
    assert await site.accounts.person(key) is None
    with pytest.raises(Refused):
        await site.accounts.accept_invitation(invitation, NEW)


async def test_a_new_password_uses_invitations_up(site):
    """Who changes it since a link went astray is safe from whoever has the link."""
    await site.give_password("bob")
    invitation = await invite(site.desk.seeded.database, "acme", "bob", actor="adam")
    person = await site.accounts.person(await site.token("bob"))
    await site.accounts.change_password(person, PASSWORD, NEW, address="x")
    with pytest.raises(Refused):
        await site.accounts.accept_invitation(invitation, "another man's password")


@pytest.mark.parametrize(
    "path", ["/sign-in", "/invitations/x", "/track/MK-ABCDEFGHIJ/session", "/account/password"]
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_no_form_fills_the_disk(site, path, chunked):
    """A file in a form that has none would be kept on the disk, from anybody: too large is refused unread."""
    name = "alice" if path.startswith("/account") else None
    head = b'--b\r\nContent-Disposition: form-data; name="x"; filename="x"\r\n\r\n'
    body = head + b"\0" * 3_000_000 + b"\r\n--b--\r\n"

    async def pieces():
        yield body

    async with site.client(name) as client:
        answer = await client.post(
            path,
            content=pieces() if chunked else body,
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
    assert answer.status_code == 400, answer.text
    assert re.search("too large|no length", answer.text)


async def test_a_reconnecting_page_says_what_it_likes(site):
    """A number with thousands of digits is no number."""
    async with site.client("alice") as alice:
        headers = {"Last-Event-ID": "9" * 5000}
        async with alice.stream("GET", "/api/events", headers=headers) as answer:
            assert answer.status_code == 200


async def test_a_token_is_never_a_browser(site, pending):
    """Whatever an API token's bearer sends: no decision, no account, no admin panel, no approval in bulk."""
    me = await bearer(site.desk.seeded, "alice")
    async with site.client() as client:
        for path, data in (
            (f"/requests/{pending.id}/approve", {"decision_id": "dc_0123456789"}),
            (f"/requests/{pending.id}/reject", {"decision_id": "dc_0123456789", "reason": "x"}),
            ("/inbox/approve", {"id": pending.id, "form": "form-of-a-page"}),
            ("/account/authenticator", {}),
        ):
            await client.post(path, data=data, headers=me)
    record = await site.desk.record(pending)
    assert (record.status, record.approvals) == (MintStatus.PENDING, ())
    person = await site.accounts.person(me["Authorization"].removeprefix("Bearer "))
    assert person.kind is SessionKind.TOKEN
