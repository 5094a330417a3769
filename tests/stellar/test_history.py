"""An account's transactions from gateways that answer strangely: no answer is ever taken for an absence."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from activities.stellar import envelope
from activities.stellar.history import History
from activities.stellar.horizon import HorizonUnavailable
from domain.evidence import SequenceUse
from tests.domain.factories import make_record
from tests.support.evidence import another
from tests.support.mints import CHANNEL, a_request, a_wallet

SUBMISSION = envelope.sign_mint(
    a_request(), a_wallet(CHANNEL), channel=CHANNEL.public_key, sequence=42, max_time=1000, signed_at_ledger=7
)


def a_record(**changes):
    """A transaction of the channel account as Horizon lists it: the mint itself."""
    return {
        "hash": SUBMISSION.hash, "paging_token": "1", "ledger": 9, "created_at": "2026-11-22T05:00:00Z",
        "successful": True, "source_account": CHANNEL.public_key, "envelope_xdr": SUBMISSION.envelope_xdr,
    } | changes  # fmt: skip


def page(*records):
    """A page of them."""
    return {"_embedded": {"records": list(records)}}


@asynccontextmanager
async def answering(status, body):
    """A server that has one answer to everything; its address and what it was asked."""
    asked = []

    async def answer(request):
        asked.append(request)
        return web.Response(status=status, text=body) if isinstance(body, str) else web.json_response(body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/")), asked


STRANGE = {
    "history that begins later": (410, '{"type": "before_history"}'),
    "an unknown account": (404, '{"type": "not_found"}'),
    "a broken gateway": (502, "<html>bad gateway</html>"),
    "a login page": (200, "<html>welcome</html>"),
    "no records": (200, {}),
    "a list": (200, [1]),
    "records that are none": (200, page("x")),
    "no source": (200, page({"hash": "a", "paging_token": "1"})),
    "an envelope of garbage": (200, page(a_record(envelope_xdr="AAAA"))),
    "no close time": (200, page(a_record(created_at="yesterday"))),
}


@pytest.mark.parametrize(("status", "body"), STRANGE.values(), ids=STRANGE)
async def test_a_strange_answer_is_no_answer(status, body):
    """It raises, so that no evidence comes of it."""
    async with answering(status, body) as (url, asked):
        with pytest.raises(HorizonUnavailable):
            await History(url, a_request(), SUBMISSION).sequence_use()
    assert asked


async def test_nobody_listening_is_no_answer():
    """A refused connection raises too."""
    with pytest.raises(HorizonUnavailable):
        await History("http://127.0.0.1:9", a_request(), SUBMISSION).other_payments()


async def test_a_short_history_says_what_to_do():
    """Another Horizon may know more."""
    async with answering(410, "{}") as (url, _):
        with pytest.raises(HorizonUnavailable, match="whole history"):
            await History(url, a_request(), SUBMISSION).other_payments()


async def test_what_used_the_sequence_counts_as_a_payment_where_the_issuers_page_is_behind():
    """A mint by hand on the channel account is seen although the issuer's list does not show it yet."""
    used = SequenceUse(how="same_sequence", by=another(make_record(request=a_request())))
    harmless = SequenceUse(how="same_sequence", by=another(make_record(request=a_request()), digest=False))
    async with answering(200, page()) as (url, _):
        history = History(url, a_request(), SUBMISSION)
        assert (await history.other_payments(used))[0] == (used.by,)
        assert (await history.other_payments(harmless))[0] == ()


async def test_the_search_begins_at_the_signature_and_sees_failures():
    """Oldest first from the ledger at which the envelope was signed; the mint itself goes by its own hash."""
    async with answering(200, page(a_record())) as (url, asked):
        found, searched = await History(url, a_request(), SUBMISSION).sequence_use()
    [request] = asked
    assert request.query["cursor"] == str(7 << 32)
    assert (request.query["order"], request.query["include_failed"]) == ("asc", "true")
    assert (found.by.hash, searched.transactions) == (SUBMISSION.hash, 1)
