"""The admin panel in a real browser: forms of several kinds, wrong fields, two admins at once, hostile text."""

import re
from datetime import UTC, datetime

import pytest

from db.reads.entries import entries
from db.writes.entries import By, set_entry
from domain.entry import Kind

MAIN = "/admin/dictionaries"


async def stored(site, kind, code):
    """The entry in the database, or None."""
    async with site.desk.seeded.database.transaction() as tx:
        return (await entries(tx, site.desk.seeded.tenant, Kind(kind))).get(code)


async def put(site, kind, code, fields, actor="eve"):
    """Somebody else changes an entry."""
    by = By(site.desk.seeded.tenant, actor, datetime.now(UTC))
    async with site.desk.seeded.database.transaction() as tx:
        await set_entry(tx, Kind(kind), code, fields, by)


async def test_look(site):
    """shots"""
    import os
    os.makedirs("/tmp/shots-d", exist_ok=True)
    await put(site, "calendar", "fra", {"time_zone": "Europe/Berlin", "hours": {"mon": [["09:00", "17:00"]]}})
    paths = {"overview": "/admin", "users": f"{MAIN}/user", "user": f"{MAIN}/user/entries/alice", "rules": "/admin/rules",
        "rule": f"{MAIN}/rule/entries/10", "policies": "/admin/policies", "policy": "/admin/policies/acme-mint-default-1",
        "policynew": "/admin/policies/new?like=acme-mint-default-1", "accounts": "/admin/accounts", "account": "/admin/accounts/adam",
        "channel": f"{MAIN}/channel/entries/slack-mint", "channelkind": f"{MAIN}/channel/new", "keys": "/admin/keys", "schedules": "/admin/schedules",
        "configuration": "/admin/configuration", "deliveries": "/admin/deliveries", "runs": "/admin/runs", "statuses": f"{MAIN}/status",
        "calendar": f"{MAIN}/calendar/entries/fra", "tenant": f"{MAIN}/tenant", "remove": f"{MAIN}/user/entries/alice/remove"}
    for mode, options in (("light", {"color_scheme": "light"}), ("dark", {"color_scheme": "dark"}), ("phone", {"viewport": {"width": 360, "height": 740}})):
        page = await (await site.context("adam", **options)).new_page()
        for name, path in paths.items():
            answer = await page.goto(path)
            assert answer.status == 200, (path, await page.inner_text("main"))
            width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            print(mode, name, "wider by", width)
            if width > 0:
                print("WIDE", await page.evaluate("[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 361 && !e.closest('.scroll, .admin-nav')).slice(0,12).map(e => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right) + ' ' + e.id)"))
            await page.screenshot(path=f"/tmp/shots-d/{mode}-{name}.png", full_page=True)
