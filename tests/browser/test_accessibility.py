"""Every main page with axe-core, in light and dark and on a phone; and without JavaScript."""

import re
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.async_playwright import Axe

from domain.approvals import Verdict
from domain.mint_request import MintStatus
from starter.account_care import invite
from tests.browser.test_bulk import half_approved
from tests.browser.test_inbox import pending
from tests.browser.test_track import sign_in, write_and_hand_in
from tests.support.site import PASSWORD
from tests.support.steps_up import set_up_totp
from tests.support.talk import say

NOBODY = None
PAGES = {
    "sign-in": (NOBODY, "/sign-in"),
    "invitation": (NOBODY, "/invitations/{invitation}"),
    "invitation that is used": (NOBODY, "/invitations/garbage"),
    "acknowledgement that is garbage": (NOBODY, "/acks/garbage"),
    "error": ("alice", "/no-such-page"),
    "not allowed": ("rita", "/dashboard"),
    "inbox": ("alice", "/inbox"),
    "empty inbox": ("dave", "/inbox"),
    "bulk confirmation": ("alice", "/inbox/approve?id={pending}&id={waiting}"),
    "request PENDING": ("alice", "/requests/{pending}"),
    "request PENDING, its requester": ("rita", "/requests/{pending}"),
    "request CONFIRMED": ("alice", "/requests/{confirmed}"),
    "request REJECTED": ("lena", "/requests/{rejected}"),
    "requests": ("alice", "/requests"),
    "requests of one status": ("rita", "/requests?status=CONFIRMED"),
    "new request": ("rita", "/requests/new"),
    "dashboard": ("alice", "/dashboard"),
    "dashboard of a month": ("lena", "/dashboard?span=30d"),
    "audit": ("lena", "/audit"),
    "audit of one request": ("lena", "/audit?about={confirmed}"),
    "audit verified": ("lena", "/audit/verify"),
    "account": ("alice", "/account"),
    "notifications": ("alice", "/account/notifications"),
    "admin": ("adam", "/admin"),
    "admin users": ("adam", "/admin/dictionaries/user"),
    "admin a user": ("adam", "/admin/dictionaries/user/entries/alice"),
    "admin a channel": ("adam", "/admin/dictionaries/channel/entries/slack-mint"),
    "admin rules": ("adam", "/admin/rules"),
    "admin accounts": ("adam", "/admin/accounts"),
    "admin an account": ("adam", "/admin/accounts/alice"),
    "admin policies": ("adam", "/admin/policies"),
    "admin a policy": ("adam", "/admin/policies/acme-mint-default-1"),
    "admin a new policy": ("adam", "/admin/policies/new"),
    "admin keys": ("adam", "/admin/keys"),
    "admin schedules": ("adam", "/admin/schedules"),
    "admin runs": ("adam", "/admin/runs"),
    "admin deliveries": ("adam", "/admin/deliveries"),
    "admin configuration": ("adam", "/admin/configuration"),
    "track": (NOBODY, "/track"),
    "track a request": (NOBODY, "/track/{track_number}"),
}
"""Each page: who opens it (NOBODY: not signed in), and its address."""

REFUSED = {
    "invitation that is used": 410,
    "acknowledgement that is garbage": 400,
    "error": 404,
    "not allowed": 403,
}
"""Those that are there to refuse."""

LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
}
AXE = {"resultTypes": ["violations"]}
CONTRAST = {**AXE, "runOnly": ["color-contrast"]}
"""All that another colour scheme could break."""
GRAVE = {"serious", "critical"}
BROKEN = """() => [...document.querySelectorAll("th, td .status, button, summary.button")].flatMap((cell) => {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    const broken = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode())
        for (const word of node.data.matchAll(/(?<![\\p{L}\\d])\\p{L}+(?![\\p{L}\\d])/gu)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) broken.push(word[0]);
        }
    return broken;
})"""
"""Words that stand on two lines where nobody would break them."""

OUTLINE = """() => ({
    h1: document.querySelectorAll("h1").length,
    main: document.querySelectorAll("main").length,
    skipped: [...document.querySelectorAll("h1, h2, h3, h4")].map((heading) => Number(heading.tagName[1]))
        .some((level, place, levels) => level > (levels[place - 1] ?? 0) + 1),
    wider: document.documentElement.scrollWidth - window.innerWidth,
    title: document.title,
    lang: document.documentElement.lang,
})"""


@dataclass
class Rounds:
    """Visits to every page, and what was wrong with any."""

    site: object
    names: dict[str, str]
    options: dict
    faults: list[str] = field(default_factory=list)

    async def visit(self, check):
        """Open each page as its reader, and let `check(page)` say what is wrong with it."""
        contexts = {}
        for title, (reader, path) in PAGES.items():
            if reader not in contexts:
                contexts[reader] = await self.site.context(reader, **self.options)
            page = await contexts[reader].new_page()
            answer = await page.goto(path.format(**self.names))
            if answer.status != REFUSED.get(title, 200):
                self.faults.append(f"{title}: answered {answer.status}")
            self.faults += [f"{title}: {fault}" async for fault in check(page)]
            await page.close()


@pytest.fixture
async def names(site):
    """What the addresses need: requests in several states, and an invitation."""
    desk = site.desk
    asked = ("pending", "confirmed", "rejected", "waiting")
    tickets = {name: await desk.submit(memo=f"Salaries, {name}") for name in asked}
    for ticket in tickets.values():
        await desk.until_status(ticket, MintStatus.PENDING)
    await desk.decide(tickets["rejected"], "bob", Verdict.REJECT, reason="the invoice was paid already")
    await desk.decide(tickets["confirmed"], "alice")
    await desk.until_status(tickets["confirmed"], MintStatus.CONFIRMED)
    found = {name: ticket.id for name, ticket in tickets.items()}
    invitation = await invite(site.desk.seeded.database, "acme", "bob", actor="adam")
    return found | {
        "invitation": invitation.rpartition("/")[2],
        "track_number": tickets["confirmed"].request.track_number,
    }


async def test_no_page_has_a_grave_fault(site, names):
    """Nothing that `faults` looks for, on any page that has an address."""
    rounds = Rounds(site, names, LOOKS["light"])
    await rounds.visit(faults)
    # errors that were meant are written into the console, too
    site.forgive_statuses()
    assert rounds.faults == [], "\n".join(rounds.faults)


async def faults(page):
    """Serious and critical violations by axe-core in light, dark and on a phone, and broken words.

    On the phone one h1, one main, no heading left out, a title, nothing beside the screen but inside .scroll.
    """
    for fault in _grave((await Axe().run(page, options=AXE)).response):
        yield f"light: {fault}"
    for word in await page.evaluate(BROKEN):
        yield f"{word!r} is broken"
    await page.emulate_media(color_scheme="dark")
    for fault in _grave(await page.evaluate("(options) => axe.run(options)", CONTRAST)):
        yield f"dark: {fault}"
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size(LOOKS["phone"]["viewport"])
    for fault in _grave(await page.evaluate("(options) => axe.run(options)", AXE)):
        yield f"phone: {fault}"
    for word in await page.evaluate(BROKEN):
        yield f"{word!r} is broken on a phone"
    for fault in _out_of_order(await page.evaluate(OUTLINE)):
        yield fault


def _grave(found):
    """What is serious or critical, with where it is."""
    for one in found["violations"]:
        if one["impact"] in GRAVE:
            targets = "; ".join(" ".join(map(str, node["target"])) for node in one["nodes"][:3])
            yield f"{one['id']} ({one['impact']}) {targets}: {one['nodes'][0]['failureSummary']}"


def _out_of_order(seen):
    """What is wrong with a page's outline on a phone."""
    if (seen["h1"], seen["main"]) != (1, 1):
        yield f"{seen['h1']} h1 and {seen['main']} main"
    if seen["skipped"]:
        yield "leaves a level of headings out"
    if seen["wider"] > 0:
        yield f"{seen['wider']} px wider than the phone"
    if not re.fullmatch(r".+ · mintkeeper", seen["title"]) or seen["lang"] != "en":
        yield f"title {seen['title']!r}, language {seen['lang']!r}"


async def test_every_page_is_there_without_scripts(site, names):
    """One h1, one main, and something in it."""
    rounds = Rounds(site, names, LOOKS["phone"] | {"java_script_enabled": False})

    async def check(page):
        seen = {name: await page.locator(name).count() for name in ("h1", "main")}
        if seen != {"h1": 1, "main": 1}:
            yield f"{seen['h1']} h1 and {seen['main']} main"
        if not await page.locator("main").inner_text():
            yield "shows nothing"

    await rounds.visit(check)
    site.complaints.clear()
    assert rounds.faults == [], "\n".join(rounds.faults)


async def code_page(site):
    """The second step of signing in."""
    await set_up_totp(site, "alice")
    page = await site.page(NOBODY, "/sign-in")
    await page.get_by_label("User name").fill("alice")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.get_by_label("Six digits").wait_for()
    return page


async def client_page(site):
    """A client's request behind its one-time code, with a message from each side and a document."""
    ticket = await pending(site)
    record = await site.desk.record(ticket)
    await say(site.desk.seeded.database, record, author="alice", said="This afternoon.")
    page = await sign_in(site, ticket, await site.page(path=f"/track/{ticket.request.track_number}"))
    await write_and_hand_in(page, "When will it be?")
    return page


async def bulk_outcome(site):
    """Two requests approved at once, of which one was refused."""
    page, *_ = await half_approved(site)
    return page


@pytest.mark.parametrize("reach", [code_page, client_page, bulk_outcome])
async def test_no_page_behind_a_form_has_a_grave_fault(site, reach):
    """The same for pages that no address leads to."""
    page = await reach(site)
    assert [fault async for fault in faults(page)] == []
    site.forgive_statuses()


async def test_the_keyboard_reaches_the_content_first(site):
    """The first tab stop skips the navigation; the links of the frame follow in the order that they stand."""
    page = await site.page("adam", "/requests")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert await page.locator(".skip").evaluate("(link) => link.getBoundingClientRect().top") >= 0
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    page = await site.page("adam", "/requests")
    stops = []
    for _ in range(8):
        await page.keyboard.press("Tab")
        stops.append(await page.evaluate("document.activeElement.getBoundingClientRect().left"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"
    assert stops[1:6] == sorted(stops[1:6])


async def test_the_frame_takes_two_rows_of_a_phone(site):
    """Brand, navigation and who one is leave the phone to the content."""
    for name in ("rita", "alice", "adam"):
        page = await site.page(name, "/requests", **LOOKS["phone"])
        assert await page.locator("header.top").evaluate("(top) => top.offsetHeight") <= 112
        tops = await page.locator(".main-nav a").evaluate_all(
            "(links) => [...new Set(links.map((link) => link.offsetTop))]"
        )
        assert len(tops) == 1
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
