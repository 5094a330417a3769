"""A sandbox ledger that closes by hand, and somebody who drives it over HTTP."""

from __future__ import annotations

import contextlib
import hashlib

import aiohttp
import pytest
from stellar_sdk import Account, Keypair, TransactionBuilder

from sandbox.ledger.genesis import root_keypair
from sandbox.ledger.server import SandboxOptions, running_sandbox

PASSPHRASE = "Sandbox ledger under test"
START = 1_700_000_000


def key(name):
    """The same key for the same name in every run."""
    return Keypair.from_raw_ed25519_seed(hashlib.sha256(name.encode()).digest())


class Driver:
    """Builds, signs and submits transactions, closes ledgers, reads accounts."""

    passphrase = PASSPHRASE
    key = staticmethod(key)

    def __init__(self, url, http):
        self.url = url
        self.http = http
        self.time = START
        self.root = root_keypair(PASSPHRASE)

    async def get(self, path, **params):
        """Status and body of a GET."""
        async with self.http.get(path, params=params) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path, **kwargs):
        """Status and body of a POST."""
        async with self.http.post(path, **kwargs) as answer:
            return answer.status, await answer.json(content_type=None)

    async def fault(self, kind, **more):
        """Switch a fault on."""
        status, body = await self.post("/sandbox/faults", json={"kind": kind, **more})
        assert status == 201, body

    async def clear_faults(self):
        """Switch all faults off."""
        async with self.http.delete("/sandbox/faults") as answer:
            assert answer.status == 200

    async def close(self, seconds=5):
        """Close a ledger that many seconds after the last."""
        self.time += seconds
        status, body = await self.post("/sandbox/close", params={"at": str(self.time)})
        assert status == 200, body
        return body["ledger"]

    async def account(self, owner):
        """The account as Horizon shows it."""
        status, body = await self.get(f"/accounts/{owner.public_key}")
        assert status == 200, body
        return body

    async def sequence(self, owner):
        """Its sequence number."""
        return int((await self.account(owner))["sequence"])

    async def build(self, owner, *operations, fee=100, sequence=None, max_time=0, min_time=0, signers=None):
        """A signed envelope; ``sequence`` is the number it uses, the next one by default."""
        used = await self.sequence(owner) + 1 if sequence is None else sequence
        builder = TransactionBuilder(Account(owner.public_key, used - 1), PASSPHRASE, base_fee=fee)
        builder.add_time_bounds(min_time, max_time)
        for operation in operations:
            builder.append_operation(operation)
        envelope = builder.build()
        for signer in signers if signers is not None else [owner]:
            envelope.sign(signer)
        return envelope

    def bump(self, payer, inner, fee):
        """A signed fee bump that pays ``fee`` per operation."""
        bump = TransactionBuilder.build_fee_bump_transaction(payer, fee, inner, PASSPHRASE)
        bump.sign(payer)
        return bump

    async def offer(self, envelope):
        """The node's answer: PENDING, DUPLICATE and so on, or the code of a refusal."""
        _, body = await self.post("/transactions_async", data={"tx": envelope.to_xdr()})
        return body["tx_status"]

    async def run(self, owner, *operations, **kwargs):
        """Submit, close, and give the recorded transaction's result codes."""
        envelope = await self.build(owner, *operations, **kwargs)
        status = await self.offer(envelope)
        if status != "PENDING":
            return await self.codes(envelope)
        await self.close()
        return await self.codes(envelope)

    async def codes(self, envelope):
        """Result codes as a synchronous submission shows them; operations only unless it was a success."""
        status, body = await self.post("/transactions", data={"tx": envelope.to_xdr()})
        if status == 200:
            return ["tx_success"]
        codes = body["extras"]["result_codes"]
        return [codes["transaction"], *codes.get("operations", [])]

    async def fund(self, *owners):
        """Create accounts with friendbot."""
        for owner in owners:
            status, body = await self.post("/friendbot", params={"addr": owner.public_key})
            assert status == 201, body
        await self.close()


@contextlib.asynccontextmanager
async def driving(**options):
    """A driver for a fresh ledger."""
    wanted = {"network_passphrase": PASSPHRASE, "manual_close": True} | options
    async with running_sandbox(SandboxOptions(**wanted)) as url, aiohttp.ClientSession(url) as http:
        driver = Driver(url, http)
        if wanted["manual_close"]:
            await driver.post("/sandbox/close", params={"at": str(START)})
        yield driver


@pytest.fixture
def drive():
    """Opens a driver with other options: ``async with drive(queue_rule="many") as ledger``."""
    return driving


@pytest.fixture
async def ledger():
    """A driver for a ledger that closes by hand and takes one waiting transaction per source."""
    async with driving() as driver:
        yield driver
