"""Figures that are kept: the last ones while new ones are counted, each tenant its own, never for nobody."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from domain.errors import Unavailable
from tests.support.site import open_site
from web import kept
from web.background import Background
from web.figures import Span
from web.kept import Kept

LOCK = text("LOCK TABLE mint_requests IN ACCESS EXCLUSIVE MODE")


class Counter:
    """Counts how often it was asked to count, by key; waits while `gate` is shut."""

    def __init__(self):
        self.asked, self.gate, self.fails = [], asyncio.Event(), False
        self.gate.set()

    async def count(self, key):
        self.asked.append(key)
        await self.gate.wait()
        if self.fails:
            raise Unavailable("the database is away")
        return key, self.asked.count(key)


@pytest.fixture
async def counter():
    """Made inside the loop that its gate belongs to."""
    return Counter()


@pytest.fixture
async def background():
    """What runs on; it has ended when the test has."""
    running = Background()
    yield running
    await running.drain()


@pytest.fixture
def figures(counter, background):
    """Answers that are old at once."""
    return Kept(counter.count, lambda _: -1.0, background)


async def test_the_last_figures_are_shown_while_new_ones_are_counted(counter, background, figures):
    """Nobody but the first waits; whoever comes after the count has the new ones."""
    assert await figures.get("acme") == ("acme", 1)
    counter.gate.clear()
    assert await figures.get("acme") == ("acme", 1)
    counter.gate.set()
    await background.drain()
    counter.gate.clear()
    assert await figures.get("acme") == ("acme", 2)
    counter.gate.set()


async def test_new_figures_that_come_at_once_are_shown(figures):
    """A small house sees what is so now, not what was so at the last look."""
    assert [await figures.get("acme") for _ in range(3)] == [("acme", 1), ("acme", 2), ("acme", 3)]


async def test_they_are_counted_once_at_a_time(counter, background, figures):
    """However many look meanwhile, the first time too."""
    counter.gate.clear()
    looking = [asyncio.create_task(figures.get("acme")) for _ in range(5)]
    await asyncio.sleep(0)
    counter.gate.set()
    assert await asyncio.gather(*looking) == [("acme", 1)] * 5
    counter.gate.clear()
    assert await asyncio.gather(*(figures.get("acme") for _ in range(5))) == [("acme", 1)] * 5
    assert counter.asked == ["acme", "acme"]
    counter.gate.set()


async def test_nobody_who_looks_means_nobody_who_counts(counter, background, figures):
    """A refresh comes of a look, and is the last until the next one."""
    for _ in range(2):
        await figures.get("acme")
    await background.drain()
    assert counter.asked == ["acme", "acme"]


async def test_each_key_has_figures_of_its_own(counter, background, figures):
    """While one tenant's are counted, another one waits for its own and never sees those."""
    await figures.get("acme")
    counter.gate.clear()
    first = asyncio.create_task(figures.get("globex"))
    assert await figures.get("acme") == ("acme", 1)
    assert not first.done()
    counter.gate.set()
    assert await first == ("globex", 1)


async def test_what_is_too_old_is_not_shown(counter, figures, monkeypatch):
    """Whoever looks after a long time waits, as the first one does."""
    await figures.get("acme")
    monkeypatch.setattr(kept, "OLDEST", -1.0)
    counter.gate.clear()
    looking = asyncio.create_task(figures.get("acme"))
    await asyncio.wait({looking}, timeout=kept.PATIENCE * 2)
    assert not looking.done()
    counter.gate.set()
    assert await looking == ("acme", 2)


async def test_a_count_that_fails_leaves_the_last_figures(counter, figures):
    """They are counted again at the next look; without any the fault is told."""
    counter.fails = True
    with pytest.raises(Unavailable):
        await figures.get("acme")
    counter.fails = False
    assert await figures.get("acme") == ("acme", 2)
    counter.fails = True
    assert await figures.get("acme") == ("acme", 2)
    counter.fails = False
    assert await figures.get("acme") == ("acme", 4)


async def test_the_page_waits_for_no_slow_database(desk, chromium, password_hash, monkeypatch, tmp_path):
    """With the requests locked the dashboard shows the last figures, and says from when they are."""
    monkeypatch.setattr(Span, "kept_seconds", -1.0)
    monkeypatch.setattr("web.pages.dashboard._AGED", timedelta())
    opened = open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False)
    async with opened as site, site.client("alice") as client:
        assert (await client.get("/dashboard")).status_code == 200
        async with site.desk.seeded.database.transaction() as tx:
            await tx.run(LOCK)
            page = await client.get("/dashboard")
    assert page.status_code == 200
    assert "New ones are being counted" in page.text
