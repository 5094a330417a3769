"""Replays what a real stellar-core answered against the sandbox ledger, step by step, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from stellar_sdk import xdr

from sandbox.ledger.server import SandboxOptions, running_sandbox

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.json"))
QUEUE_RULES = {"core": "many", "core-limit1": "one"}


def result_of(result_xdr):
    """The parts of a TransactionResult that a recording names."""
    result = xdr.TransactionResult.from_xdr(result_xdr)
    found = {"code": result.result.code.name, "fee_charged": str(result.fee_charged.int64)}
    inner = result.result.inner_result_pair
    if inner is not None:
        found["inner_hash"] = inner.transaction_hash.hash.hex()
        found["inner_code"] = inner.result.result.code.name
        found["inner_fee_charged"] = str(inner.result.fee_charged.int64)
    return found


class Replay:
    """One scenario against one fresh ledger."""

    def __init__(self, http):
        self._http = http

    async def close(self, step):
        observed = step["observed"]
        async with self._http.post("/sandbox/close", params={"at": str(step["close"]["at"])}) as answer:
            assert await answer.json() == {"ledger": observed["ledger"], "closed_at": observed["closed_at"]}
        path = f"/ledgers/{observed['ledger']}/transactions"
        async with self._http.get(path, params={"include_failed": "true", "limit": "200"}) as answer:
            page = await answer.json()
        records = page["_embedded"]["records"]
        applied = {
            record["hash"]: (record["successful"], record["fee_charged"], record["result_xdr"])
            for record in records
        }
        assert applied == {
            item["hash"]: (item["successful"], item["fee_charged"], item["result_xdr"])
            for item in observed["applied"]
        }
        for item in observed["applied"]:
            if "inner_hash" in item:
                result = result_of(item["result_xdr"])
                record = next(record for record in records if record["hash"] == item["hash"])
                assert record["inner_transaction"]["hash"] == item["inner_hash"]
                assert result["inner_fee_charged"] == item["inner_fee_charged"]

    async def submit(self, step):
        observed, envelope = step["observed"], step["submit"]["envelope_xdr"]
        async with self._http.post("/transactions_async", data={"tx": envelope}) as answer:
            body = await answer.json(content_type=None)
            status = answer.status
        if observed["status"] == "EXCEPTION":
            assert (status, body["type"].rpartition("/")[2]) == (400, "transaction_malformed")
            return
        assert body["tx_status"] == observed["status"]
        assert body["hash"] == step["submit"]["hash"]
        assert body.get("error_result_xdr") == observed.get("result_xdr")
        if "hash_already_in_history" in observed:
            async with self._http.post("/transactions", data={"tx": envelope}) as answer:
                expected = observed["hash_already_in_history"]["ledger"]
                async with self._http.get(f"/transactions/{step['submit']['hash']}") as known:
                    record = await known.json()
                assert record["ledger"] == expected
                assert answer.status == (200 if record["successful"] else 400)

    async def transaction(self, step):
        observed = step["observed"]
        async with self._http.get(f"/transactions/{step['transaction']}") as answer:
            assert answer.status == (200 if observed["in_history"] else 404)
            body = await answer.json(content_type=None)
        if observed["in_history"]:
            assert body["ledger"] == observed["ledger"]
        if "as_inner_of" in observed:
            assert body["fee_bump_transaction"]["hash"] == observed["as_inner_of"]

    async def account(self, step):
        observed = step["observed"]
        async with self._http.get(f"/accounts/{step['account']}") as answer:
            assert answer.status == (200 if observed["exists"] else 404)
            body = await answer.json(content_type=None)
        if observed["exists"]:
            assert account_of(body, step["account"]) == observed


def account_of(body, account_id):
    """A Horizon account in the words of the recordings."""
    flags = body["flags"]
    names = ("auth_required", "auth_revocable", "auth_immutable", "auth_clawback_enabled")
    weights = {signer["key"]: signer["weight"] for signer in body["signers"]}
    return {
        "exists": True,
        "sequence": body["sequence"],
        "balance_stroops": stroops(body["balances"][-1]["balance"]),
        "num_subentries": body["subentry_count"],
        "flags": sum(1 << bit for bit, name in enumerate(names) if flags[name]),
        "thresholds": {
            "master_weight": weights.pop(account_id),
            "low": body["thresholds"]["low_threshold"],
            "med": body["thresholds"]["med_threshold"],
            "high": body["thresholds"]["high_threshold"],
        },
        "signers": [{"key": key, "weight": weight} for key, weight in weights.items()],
        "data": body["data"],
        "trustlines": {
            f"{line['asset_code']}:{line['asset_issuer']}": trustline_of(line)
            for line in body["balances"][:-1]
        },
    }


def trustline_of(line):
    """A balance of an issued asset in the words of the recordings."""
    authorized, maintain = line["is_authorized"], line["is_authorized_to_maintain_liabilities"]
    clawback = line.get("is_clawback_enabled", False)
    return {
        "balance_stroops": stroops(line["balance"]),
        "limit_stroops": stroops(line["limit"]),
        "flags": authorized + 2 * (maintain and not authorized) + 4 * clawback,
        "authorized": authorized,
        "authorized_to_maintain_liabilities": maintain,
        "clawback_enabled": clawback,
    }


def stroops(amount):
    """A decimal amount with seven places as a string of stroops."""
    return str(int(amount.replace(".", "")))


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
async def test_sandbox_answers_as_stellar_core_did(recording):
    """Ledgers, times, codes, result bytes, fees, sequences and balances are those of the recording."""
    scenario = json.loads(recording.read_text())
    options = SandboxOptions(
        network_passphrase=scenario["network_passphrase"],
        manual_close=True,
        queue_rule=QUEUE_RULES[scenario["node"]],
    )
    async with running_sandbox(options) as url, aiohttp.ClientSession(url) as http:
        replay = Replay(http)
        for step in scenario["steps"]:
            kind = next(name for name in ("close", "submit", "transaction", "account") if name in step)
            await getattr(replay, kind)(step)


def test_recordings_are_complete():
    """No recording got lost: all 48 scenarios are replayed, and each has steps."""
    assert len(RECORDINGS) == 48
    assert all(json.loads(path.read_text())["steps"] for path in RECORDINGS)
