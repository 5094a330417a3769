"""How often somebody may try to sign in: side by side, from many addresses, with a known browser."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from sqlalchemy import text

from domain.errors import AccessRefused
from domain.passes import AccessRefusal
from domain.sessions import MOST_TRIES, MOST_TRIES_OF_ACCOUNT
from starter.accounts import NeedsCode
from tests.support.site import PASSWORD


async def sign_in(site, name="alice", password=PASSWORD, **more):
    """Send the sign-in form as a program does."""
    async with site.client() as nobody:
        return await nobody.post(
            "/sign-in", data={"tenant": "acme", "name": name, "password": password, **more}
        )


async def test_tries_side_by_side_count(site):
    """Many wrong passwords at once: no more than the limit are looked at, then even the right one waits."""
    await site.give_password("alice")
    answers = await asyncio.gather(*(sign_in(site, password=f"wrong password {n}") for n in range(25)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {401, 429}
    # tries side by side may all see each other: then fewer are looked at, never more
    assert codes.count(401) <= MOST_TRIES
    assert codes.count(429) == 25 - codes.count(401)
    assert (await sign_in(site)).status_code == 429
    async with site.desk.seeded.database.transaction() as tx:
        assert await tx.value(text("SELECT count(*) FROM sessions")) == 0


async def test_one_after_the_other_as_many_tries_as_are_allowed_are_looked_at(site):
    """Ten wrong ones are told so, the eleventh waits, right or wrong; other users at the address do not."""
    await site.give_password("alice", "bob")
    codes = [(await sign_in(site, password=f"wrong password {n}")).status_code for n in range(MOST_TRIES)]
    assert codes == [401] * MOST_TRIES
    assert [(await sign_in(site, password=word)).status_code for word in (PASSWORD, "wrong")] == [429, 429]
    assert (await sign_in(site, name="bob")).status_code == 303


async def flood(site, name="alice"):
    """A stranger's wrong passwords from many addresses, until the account takes no more."""
    for n in range(MOST_TRIES_OF_ACCOUNT + 5):
        with pytest.raises(AccessRefused) as refused:
            await site.accounts.sign_in("acme", name, "wrong words here", address=f"203.0.113.{n}")
    assert refused.value.reason == AccessRefusal.TOO_MANY_TRIES


async def test_a_flood_of_wrong_passwords_does_not_lock_the_owner_out(site):
    """A browser that has signed in before gets in; a new one waits; who is let in goes on deciding."""
    await site.give_password("alice", "bob")
    async with site.client() as mine:
        form = {"tenant": "acme", "name": "alice", "password": PASSWORD}
        assert (await mine.post("/sign-in", data=form)).status_code == 303
        known = mine.cookies["mintkeeper_known"]
        person = await site.accounts.person(await site.token("alice"))
        await flood(site)
        assert (await sign_in(site)).status_code == 429
        again = await mine.post("/sign-in", data=form)
        assert again.status_code == 303
        await site.accounts.change_password(person, PASSWORD, "seven quiet river stones", address="x")
    # it is no way around the limit, and good for its own user only
    for name, cookie in (("alice", f"{known[:-2]}xx"), ("alice", "x"), ("alice", "\x00")):
        with pytest.raises(AccessRefused) as refused:
            await site.accounts.sign_in("acme", name, PASSWORD, address="x", browser=cookie)
        assert refused.value.reason == AccessRefusal.TOO_MANY_TRIES
    await flood(site, "bob")
    with pytest.raises(AccessRefused) as refused:
        await site.accounts.sign_in("acme", "bob", PASSWORD, address="x", browser=known)
    assert refused.value.reason == AccessRefusal.TOO_MANY_TRIES


async def test_a_known_browser_has_no_more_tries_than_any_other(site):
    """Ten, from wherever they come; the right password waits then."""
    await site.give_password("alice")
    known = site.accounts.known_browser("acme", "alice")
    reasons = []
    for n in range(MOST_TRIES_OF_ACCOUNT + 1):
        with pytest.raises(AccessRefused) as refused:
            await site.accounts.sign_in("acme", "alice", "wrong", address=f"192.0.2.{n % 5}", browser=known)
        reasons.append(refused.value.reason)
    assert reasons[:MOST_TRIES] == [AccessRefusal.WRONG_PASSWORD] * MOST_TRIES
    assert reasons[-1] == AccessRefusal.TOO_MANY_TRIES
    assert reasons.count(AccessRefusal.WRONG_PASSWORD) <= MOST_TRIES_OF_ACCOUNT


async def test_a_flood_does_not_stop_a_second_factor(site):
    """Codes of who is signed in, or knows the password, are counted apart from strangers' tries."""
    await site.give_password("alice")
    person = await site.accounts.person(await site.token("alice"))
    totp = pyotp.parse_uri(await site.accounts.authenticators.begin(person))
    await site.accounts.authenticators.confirm(person, totp.at(datetime.now(UTC) - timedelta(seconds=30)))
    known = site.accounts.known_browser("acme", "alice")
    await flood(site)
    step = await site.accounts.sign_in("acme", "alice", PASSWORD, address="x", browser=known)
    code = totp.now()
    opened = await site.accounts.second_step("acme", "alice", step.ticket, code, address="x", browser=known)
    assert opened.token
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("UPDATE accounts SET totp_last_step = NULL"))
    await site.accounts.step_up(person, totp.now(), address="x")


async def test_nobody_learns_who_is_a_user(site):
    """A wrong password, no password, no such user or tenant: the same answer to the letter."""
    await site.give_password("alice")
    seen = set()
    for name, tenant in (
        ("alice", "acme"),
        ("bob", "acme"),
        ("nobody", "acme"),
        ("alice", "none"),
        ("\x00", "acme"),
    ):
        answer = await sign_in(site, name=name, tenant=tenant, password="wrong password")
        told = re.search(r'role="alert">([^<]*)', answer.text)
        seen.add((answer.status_code, told and told[1]))
    assert seen == {(401, "name or password is not right")}


async def test_a_code_is_good_once(site):
    """Of two who bring the same one at the same moment, one gets in."""
    await site.give_password("alice")
    person = await site.accounts.person(await site.token("alice"))
    key = pyotp.parse_uri(await site.accounts.authenticators.begin(person))
    await site.accounts.authenticators.confirm(person, key.now())
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("UPDATE accounts SET totp_last_step = NULL"))
    step = await site.accounts.sign_in("acme", "alice", PASSWORD, address="x")
    assert isinstance(step, NeedsCode)
    form = {"tenant": "acme", "name": "alice", "ticket": step.ticket, "code": key.now()}
    async with site.client() as nobody:
        answers = await asyncio.gather(*(nobody.post("/sign-in/code", data=form) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [303, 403, 403]
