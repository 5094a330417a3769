"""Requests over HTTP that no browser and no provider sends: refused in one line, never an internal error."""

import pytest

from tests.support.tokens import bearer
from tests.web.test_telegram_updates import HEADER, PATH, SECRET, outbox, update, web

__all__ = ["outbox", "web"]

NUL = "%00"
STRANGE = (
    f"/api/escalations?tenant={NUL}",
    f"/api/escalations/{NUL}",
    f"/api/policies?tenant={NUL}",
    f"/api/policies/{NUL}",
    f"/api/requests/{NUL}",
    f"/requests/{NUL}",
    f"/acks/{NUL}",
    "/api/policies/acme-mint-default-1/simulation?start=9999-12-31T23:59:59Z",
)


@pytest.mark.parametrize("path", STRANGE)
async def test_a_strange_path_is_a_refusal(web, seeded, path):
    """Text that PostgreSQL can't hold, moments after which there is no time."""
    answer = await web.get(path, headers=await bearer(seeded, "alice"))
    assert answer.status_code in (400, 404), answer.text


@pytest.mark.parametrize("handle", ["\x00", "a\x00b", "ack", "\N{PILE OF POO}", "0" * 61])
async def test_a_button_that_we_never_made_is_answered(web, handle):
    """A member's own program may press anything: Telegram hears 200, or it would repeat it for ever."""
    answer = await web.post(PATH, json=update(handle), headers={HEADER: SECRET})
    assert answer.status_code == 200
    assert "not known" in answer.json()["told"]
