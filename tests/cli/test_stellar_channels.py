"""`channels create`, `list` and `top-up`, against a real database, Temporal and ledger."""

import json

import pytest
import pytest_asyncio
from stellar_sdk import Asset as LedgerAsset
from stellar_sdk import Keypair, Payment

from tests.support.channels import crew_of, family_on


@pytest_asyncio.fixture(loop_scope="session")
async def family(seeded):
    """A funded family on a ledger that closes as soon as something waits."""
    async with family_on(seeded, interval=0) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def crew(family, temporal_server):
    """The workers that hold its signers."""
    async with crew_of(family, temporal_server.client):
        yield


async def listed(desk):
    """What `channels list --json` says."""
    result = await desk("channels", "list", "--json")
    assert result.code == 0, result.err
    return result


@pytest.mark.usefixtures("crew")
async def test_create_then_list(desk, family):
    """Created accounts are printed and listed with state, balance and sequence."""
    created = await desk("channels", "create", "2", "--balance", "3.5", "--json")
    assert created.code == 0, created.err
    accounts = [family.account(0), family.account(1)]
    assert [(row["account"], row["key"], row["state"]) for row in created.json["channels"]] == [
        (accounts[0], 0, "FREE"),
        (accounts[1], 1, "FREE"),
    ]
    document = (await listed(desk)).json
    first = document["channels"][0]
    assert (first["account"], first["balance"], first["request"]) == (accounts[0], "3.5000000", None)
    assert int(first["sequence"]) > 0
    assert document["funding"]["account"] == family.funder.public_key
    table = await desk("channels", "list")
    assert accounts[1] in table.out
    assert "3.5000000" in table.out


@pytest.mark.usefixtures("crew")
async def test_a_low_account_is_warned_about_and_topped_up(desk, family):
    """The warning names the command, and after it nothing is low any more."""
    await family.create(2)
    key = Keypair.from_mnemonic_phrase(family.phrase, index=1)
    await family.ledger.run(key, Payment(family.ledger.holder.public_key, LedgerAsset.native(), "4"))
    before = await listed(desk)
    assert [row["note"] for row in before.json["channels"]] == ["", "low"]
    assert "mintkeeper channels top-up" in before.err
    paid = (await desk("channels", "top-up", "--below", "2", "--to", "4", "--json")).json
    assert [(line["account"], line["amount"]) for line in paid["payments"]] == [(key.public_key, "3.0000100")]
    again = await desk("channels", "top-up", "--below", "2", "--to", "4")
    assert "no channel account holds less than 2.0000000" in again.out
    assert "warning" not in (await listed(desk)).err


@pytest.mark.usefixtures("crew")
async def test_an_empty_funding_account_is_one_line(desk, family):
    """Exit code 1 and what to do; the accounts stay planned, and the list says so."""
    await family.ledger.drain(family.funder)
    result = await desk("channels", "create", "2", "--json")
    assert (result.code, result.error["code"]) == (1, "refused")
    assert f"funding account {family.funder.public_key}" in result.error["message"]
    assert "fund it" in result.error["message"]
    after = await listed(desk)
    assert [row["state"] for row in after.json["channels"]] == ["PLANNED", "PLANNED"]
    assert "channels create 2" in after.err


async def test_without_a_worker_the_database_is_shown(desk, family):
    """Nobody can ask the ledger: state and request are there, balances are not."""
    await family.create(1)
    result = await desk("channels", "list", "--json", TEMPORAL_ADDRESS="127.0.0.1:9")
    assert result.code == 0
    assert "balances are not known: mintkeeper: cannot reach Temporal" in result.err
    [row] = result.json["channels"]
    assert (row["state"], row["balance"]) == ("FREE", None)


@pytest.mark.parametrize(("arguments", "words"), [
    (("create", "0"), "between 1 and 1000"),
    (("create", "1001"), "between 1 and 1000"),
    (("create", "3", "--balance", "0"), "greater than zero"),
    (("create", "3", "--balance", "1e3"), "plain decimal"),
    (("top-up", "--below", "5"), "--to must be more than --below"),
    (("top-up", "--below", "x"), "plain decimal"),
])  # fmt: skip
def test_what_can_t_be_right_is_refused(in_process, arguments, words):
    """Before anything is connected, with one clear line."""
    result = in_process("channels", *arguments, "--json")
    assert result.code == 1
    error = json.loads(result.out)["error"]
    assert (error["code"], words in error["message"]) == ("invalid_input", True)
