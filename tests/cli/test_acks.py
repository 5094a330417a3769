"""`mintkeeper ack`: with a token or a whole link, and every way in which it can be no good."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.cli.conftest import CLOSED_PORT, submit_arguments
from tests.support.acks import AUTHORITY, FORGER, KEY, token_for
from worker import mint_worker


@pytest.fixture
def authority(monkeypatch):
    """The environment that gives the CLI the authority key."""
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"MINTKEEPER_AUTHORITY_KEY": "env:ACK_TEST_KEY", "ACK_TEST_KEY": pem}


@pytest.fixture
def worker(seeded, temporal_server):
    """A worker that believes the authority key."""
    return lambda: mint_worker(temporal_server.client, seeded.database, AUTHORITY)


async def test_an_ack_answers_with_its_receipt(desk, worker, seeded, authority):
    """By link and by token, with the key at hand or only at the worker: one acknowledgement, one receipt."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        token = await token_for(seeded.database, request_id)
        first = await desk("ack", f"https://mint.example/acks/{token}", "--json")
        assert (first.code, first.err) == (0, "")
        assert first.json["acknowledged_by"] == "#mint"
        assert first.json["request_id"] == request_id
        again = await desk("ack", f" {token} ", "--json", **authority)
        assert (again.code, again.json) == (0, first.json)
        shown = await desk("show", request_id)
        spoken = await desk("ack", token)
    assert "#mint is on it, since 20" in spoken.out
    assert "this approves nothing" in spoken.out
    assert "#mint since" in shown.out
    assert token not in shown.out


FORGED = {
    "forged": ({"authority": FORGER}, "bad_signature", "was not signed by us"),
    "of another tenant": ({"tenant": "globex"}, "wrong_tenant", "another tenant"),
    "of another message": ({"sub": "carol"}, "wrong_request", "another request or message"),
    "expired": ({"expires_utc": datetime(2026, 1, 1, tzinfo=UTC)}, "expired", "has expired"),
}


async def test_what_is_not_good_is_refused_in_one_line(desk, worker, seeded, authority):
    """Code 1, one line, and its reason under --json; with the key at hand and without."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        for changes, reason, words in FORGED.values():
            token = await token_for(seeded.database, request_id, **changes)
            for environment in (authority, {}):
                result = await desk("ack", token, "--json", **environment)
                assert (result.code, result.error["code"]) == (1, "ack_refused")
                assert result.error["reason"] == reason
                assert words in result.error["message"]
                assert result.err == f"error: {result.error['message']}\n"


async def test_too_late_is_refused_with_what_is_recorded(desk, worker, seeded, authority):
    """Somebody else was first, then it was decided."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        tokens = [await token_for(seeded.database, request_id, recipient=name) for name in ("alice", "bob")]
        assert (await desk("ack", tokens[0])).code == 0
        taken = await desk("ack", tokens[1], **authority)
        await desk("reject", request_id, "--as", "bob", "--reason", "no")
        over = await desk("ack", tokens[1], "--json", **authority)
    assert (taken.code, taken.out) == (1, "")
    assert taken.err.startswith("error: alice is on it already, since ")
    assert over.error["message"] == "the request is REJECTED already: nothing is left to acknowledge"


@pytest.mark.parametrize(
    "token", ["x", "eyJ", "https://mint.example/acks/", "a/b", "é", "A" * 9000, "a b", "%00"]
)
def test_garbage_is_refused_before_anything_is_connected(in_process, token):
    """Code 1 and one clear line, with everything down."""
    result = in_process("ack", token, "--json")
    assert (result.code, result.error["reason"]) == (1, "malformed")
    assert "copy it whole" in result.error["message"]


async def test_what_is_down_is_said(desk, seeded, worker):
    """Temporal is down: nothing is recorded, and the line says what to do."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
    token = await token_for(seeded.database, request_id)
    result = await desk("ack", token, "--json", TEMPORAL_ADDRESS=CLOSED_PORT)
    assert (result.code, result.error["code"]) == (1, "unavailable")
    assert "mintkeeper up" in result.error["message"]


async def test_a_broken_authority_key_is_named(desk):
    """The setting is wrong, not the token."""
    result = await desk("ack", "eyJ", "--json", MINTKEEPER_AUTHORITY_KEY="vault:nothing")
    assert (result.code, result.error["code"]) == (1, "configuration")
    assert "MINTKEEPER_AUTHORITY_KEY" in result.error["message"]
