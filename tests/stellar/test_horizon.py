"""The Horizon client: small typed answers, named errors, no hidden retries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from stellar_sdk import Asset, Keypair, Payment

from activities.stellar import envelope
from activities.stellar.answers import Meaning
from activities.stellar.horizon import Horizon, HorizonUnavailable
from domain.ledger_accounts import AccountView, NoAccount
from settings import TESTNET_PASSPHRASE
from tests.support.channels import family_on
from tests.support.ledger import MintLedger
from tests.support.mints import a_request


async def a_signed_mint(ledger: MintLedger, horizon: Horizon):
    """A signed mint over the first channel account."""
    [channel, *_] = ledger.channels
    view = await horizon.account(channel.public_key)
    request = a_request(asset=ledger.asset, destination=ledger.holder.public_key)
    return envelope.sign_mint(
        request,
        ledger.wallet(),
        channel=channel.public_key,
        sequence=view.sequence + 1,
        max_time=ledger.now + 120,
        signed_at_ledger=view.ledger,
    )


async def test_the_network_names_itself(horizon):
    """The root document carries the passphrase, so that a wrong Horizon is noticed."""
    assert await horizon.network_passphrase() == TESTNET_PASSPHRASE


async def test_the_newest_ledger_has_time_and_hash(ledger, horizon):
    """Close time in Unix seconds, and the hash for the proof."""
    closed = await ledger.close()
    newest = await horizon.newest_ledger()
    assert (newest.close_time, int(newest.closed_at.timestamp())) == (closed, closed)
    assert len(newest.hash) == 64


async def test_an_account_is_stamped_with_its_height(ledger, horizon):
    """`Latest-Ledger` says at which ledger the account was read."""
    view = await horizon.account(ledger.issuer.public_key)
    newest = await horizon.newest_ledger()
    assert isinstance(view, AccountView)
    assert (view.ledger, view.sequence) == (newest.sequence, await ledger.sequence(ledger.issuer))


async def test_an_absent_account_is_an_answer(horizon):
    """404 is no error: the pre-check says so in plain words."""
    assert isinstance(await horizon.account(Keypair.random().public_key), NoAccount)


async def test_an_absent_transaction_is_none(horizon):
    """Unknown at this moment: neither landed nor impossible."""
    assert await horizon.transaction("ab" * 32) is None


async def test_a_landed_transaction_is_found(ledger, horizon):
    """Ledger, close time and success are read from history."""
    submission = await a_signed_mint(ledger, horizon)
    answer = await horizon.send(submission.envelope_xdr)
    closed = await ledger.close()
    landed = await horizon.transaction(submission.hash)
    assert answer.word == "PENDING"
    assert (landed.successful, int(landed.closed_at.timestamp()), landed.found_hash) == (
        True, closed, submission.hash,
    )  # fmt: skip


async def test_a_failed_transaction_shows_its_codes(ledger, horizon):
    """An included failure names the operation's code."""
    submission = await a_signed_mint(ledger, horizon)
    await ledger.trust(ledger.holder, "0")
    await horizon.send(submission.envelope_xdr)
    await ledger.close()
    landed = await horizon.transaction(submission.hash)
    assert (landed.successful, landed.result_codes) == (
        False, {"transaction": "tx_failed", "operations": ["op_no_trust"]},
    )  # fmt: skip


async def test_a_fee_bump_is_found_by_its_inner_hash(ledger, horizon):
    """Both hashes lead to it, and what landed is the wrapping."""
    submission = await a_signed_mint(ledger, horizon)
    bump = envelope.bump(submission, ledger.wallet(), fee=2000, network_passphrase=TESTNET_PASSPHRASE)
    await horizon.send(bump.envelope_xdr)
    await ledger.close()
    by_inner, by_outer = await horizon.transaction(submission.hash), await horizon.transaction(bump.hash)
    assert (by_inner.found_hash, by_outer.found_hash) == (bump.hash, bump.hash)


async def test_a_refusal_is_an_answer(ledger, horizon):
    """The asynchronous endpoint's own result is read from its XDR."""
    submission = await a_signed_mint(ledger, horizon)
    await ledger.run(ledger.channels[0], Payment(ledger.holder.public_key, Asset.native(), "1"))
    answer = await horizon.send(submission.envelope_xdr)
    assert (answer.meaning, answer.word) == (Meaning.UNKNOWN, "tx_bad_seq")


async def test_an_envelope_is_sent_once(ledger, horizon):
    """One call, one POST: repeating is decided elsewhere, after a look."""
    submission = await a_signed_mint(ledger, horizon)
    await ledger.fault("reset", path="/transactions_async")
    await ledger.forget_requests()
    answer = await horizon.send(submission.envelope_xdr)
    assert (answer.meaning, answer.word) == (Meaning.UNKNOWN, "no_answer")
    assert (await ledger.requests_served())["POST /transactions_async"] == 1


async def test_a_rate_limit_names_its_pause(ledger, horizon):
    """`Retry-After` travels with the error, for Temporal to wait so long."""
    await ledger.fault("rate_limit", retry_after=7)
    with pytest.raises(HorizonUnavailable) as limited:
        await horizon.newest_ledger()
    assert limited.value.retry_after == 7.0


async def test_a_broken_connection_is_unavailable(ledger, horizon):
    """A read that keeps breaking says nothing about the ledger."""
    await ledger.fault("reset", count=5)
    with pytest.raises(HorizonUnavailable, match="cannot reach Horizon"):
        await horizon.account(ledger.issuer.public_key)


async def test_an_unreachable_horizon_is_unavailable():
    """Reading fails with a named error, sending with an unknown outcome."""
    client = Horizon("http://127.0.0.1:1")
    with pytest.raises(HorizonUnavailable):
        await client.newest_ledger()
    assert (await client.send("AAAA")).meaning is Meaning.UNKNOWN
    await client.close()


@asynccontextmanager
async def answering(status: int, text: str) -> AsyncIterator[Horizon]:
    """A client of a server that gives one answer to everything, as a gateway in trouble does."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        client = Horizon(str(server.make_url("")))
        yield client
        await client.close()


STRANGE = [(404, "<html>not here</html>"), (404, '{"message": "no route"}'), (200, "<html>"), (200, "{}"),
           (200, "[]"), (502, "bad gateway"), (504, "{}")]  # fmt: skip


@pytest.mark.parametrize(("status", "text"), STRANGE)
async def test_a_strange_answer_says_nothing_about_the_ledger(status, text):
    """A gateway's own page, its 404 above all, must never count as the absence of a transaction."""
    async with answering(status, text) as client:
        for question in (client.network_passphrase(), client.newest_ledger(),
                         client.account("G" * 56), client.transaction("ab" * 32)):  # fmt: skip
            with pytest.raises(HorizonUnavailable):
                await question
        assert (await client.send("AAAA")).meaning is Meaning.UNKNOWN


async def test_sponsored_accounts_come_page_by_page(seeded, monkeypatch):
    """All of them, each once, stamped with the height of its page; nobody else's."""
    monkeypatch.setattr("activities.stellar.horizon.PAGE_SIZE", 2)
    async with family_on(seeded) as family:
        await family.create(5)
        views = await family.horizon.accounts_sponsored_by(family.funder.public_key)
        newest = await family.horizon.newest_ledger()
        assert {view.account_id for view in views} == {family.account(index) for index in range(5)}
        assert len(views) == 5
        assert {view.ledger for view in views} == {newest.sequence}
        assert await family.horizon.accounts_sponsored_by(family.ledger.issuer.public_key) == []
