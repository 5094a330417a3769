"""Styles and scripts: kept by browsers, asked after each time, so that an upgrade shows at once."""

import httpx
import pytest

from tests.support.site import open_site

FILES = ("style.css", "app.js", "icon.svg")


@pytest.fixture
async def client(desk, chromium, password_hash, monkeypatch, tmp_path):
    """Nobody in particular, at a site without a ledger."""
    opened = open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False)
    async with opened as site, httpx.AsyncClient(base_url=site.url) as stranger:
        yield stranger


@pytest.mark.parametrize("name", FILES)
async def test_what_a_browser_has_is_not_sent_again(client, name):
    """It may keep the file but asks first; while it is the same, the answer is empty and keeps saying so."""
    first = await client.get(f"/static/{name}")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get(f"/static/{name}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    assert again.headers["etag"] == first.headers["etag"]


async def test_a_file_that_has_changed_is_sent(client):
    """Another tag, as after an upgrade, brings the whole file, however new the one is that is kept."""
    held = {"If-None-Match": '"another"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    answer = await client.get("/static/style.css", headers=held)
    assert answer.status_code == 200
    assert "--" in answer.text


@pytest.mark.parametrize("path", ["nothing.css", "../app.py", "%2e%2e/app.py", ""])
async def test_what_is_not_there_is_kept_nowhere(client, path):
    """No file, no listing, nothing beside the folder: 404, which no browser keeps."""
    answer = await client.get(f"/static/{path}")
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"


async def test_pages_are_kept_nowhere(client):
    """They hold what is not everybody's."""
    answer = await client.get("/sign-in", headers={"Accept": "text/html"})
    assert answer.headers["cache-control"] == "no-store"
