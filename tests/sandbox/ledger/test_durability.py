"""What has closed survives a restart; what only waited may be lost, as on a real node."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import sys

import aiohttp
import pytest
from stellar_sdk import (
    Asset,
    ChangeTrust,
    Claimant,
    ClaimPredicate,
    CreateClaimableBalance,
    ManageData,
    Payment,
)

from sandbox.ledger.server import SandboxOptions, running_sandbox, serve
from sandbox.ledger.store import WrongNetworkError


async def furnish(ledger):
    """One entry of every kind, a failed transaction and a fee bump; returns what to look at afterwards."""
    issuer, holder = ledger.key("issuer"), ledger.key("holder")
    await ledger.fund(issuer, holder)
    asset = Asset("EURT", issuer.public_key)
    failed = await ledger.build(issuer, Payment(holder.public_key, asset, "1"))
    await ledger.offer(failed)
    await ledger.close()
    assert await ledger.run(holder, ChangeTrust(asset), ManageData("note", b"kept")) == ["tx_success"]
    claimant = Claimant(holder.public_key, ClaimPredicate.predicate_before_relative_time(60))
    payment = Payment(holder.public_key, asset, "7")
    inner = await ledger.build(issuer, payment, CreateClaimableBalance(asset, "2", [claimant]))
    bump = ledger.bump(holder, inner, fee=200)
    await ledger.offer(bump)
    await ledger.close()
    return [
        f"/accounts/{issuer.public_key}",
        f"/accounts/{holder.public_key}",
        f"/accounts/{holder.public_key}/payments",
        "/claimable_balances",
        "/assets",
        "/ledgers?limit=200",
        "/transactions?include_failed=true&limit=200",
        f"/transactions/{failed.hash_hex()}",
        f"/transactions/{inner.hash_hex()}",
        f"/transactions/{bump.hash_hex()}",
        "/fee_stats",
        "/",
    ]


async def look(ledger, paths):
    """Every resource, with the address of this run taken out."""
    texts = []
    for path in paths:
        async with ledger.http.get(path) as answer:
            assert answer.status == 200, path
            texts.append((await answer.text()).replace(ledger.url, ""))
    return texts


async def test_restart_loses_nothing_closed(drive, tmp_path):
    """Every resource is the same after a restart, byte for byte."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data) as ledger:
        paths = await furnish(ledger)
        before, now = await look(ledger, paths), ledger.time
    async with drive(data=data) as ledger:
        assert await look(ledger, paths) == before
        ledger.time = now
        holder, issuer = ledger.key("holder"), ledger.key("issuer")
        assert await ledger.run(holder, Payment(issuer.public_key, Asset.native(), "1")) == ["tx_success"]


async def test_sequence_numbers_and_refusals_survive(drive, tmp_path):
    """An applied transaction stays applied: history answers for it, and the queue refuses it."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data) as ledger:
        alice, bob = ledger.key("alice"), ledger.key("bob")
        await ledger.fund(alice, bob)
        envelope = await ledger.build(alice, Payment(bob.public_key, Asset.native(), "1"))
        await ledger.offer(envelope)
        await ledger.close()
        waiting = await ledger.build(bob, Payment(alice.public_key, Asset.native(), "1"))
        await ledger.offer(waiting)
    async with drive(data=data) as ledger:
        assert await ledger.offer(envelope) == "ERROR"
        assert await ledger.codes(envelope) == ["tx_success"]
        assert await ledger.offer(waiting) == "PENDING"


async def test_older_views_do_not_reach_behind_a_restart(drive, tmp_path):
    """How the entries were before a restart is not known: an older view shows the newest, and says so."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data) as ledger:
        await ledger.fund(ledger.key("alice"))
        newest = (await ledger.get("/"))[1]["history_latest_ledger"]
    async with drive(data=data) as ledger:
        await ledger.fault("two_views", ledgers=2)
        stamps = set()
        for _ in range(4):
            async with ledger.http.get(f"/accounts/{ledger.key('alice').public_key}") as answer:
                stamps.add((answer.status, answer.headers["Latest-Ledger"]))
    assert stamps == {(200, str(newest))}


async def test_file_of_another_network_is_refused(drive, tmp_path):
    """Signatures are bound to a network: its ledger cannot be continued under another passphrase."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data):
        pass
    options = SandboxOptions(network_passphrase="Another network", data=data)
    with pytest.raises(WrongNetworkError, match="Sandbox ledger under test"):
        async with running_sandbox(options):
            pass


async def test_a_killed_process_loses_nothing_closed(tmp_path, drive):
    """SIGKILL right after an answer: the ledger it spoke of is there at the next start."""
    data = tmp_path / "ledger.sqlite"
    url, process = await started("--data", str(data), "--interval", "0")
    async with (
        drive() as helper,
        helper.http.get(f"{url}/friendbot?addr={helper.key('x').public_key}") as answer,
    ):
        record = await answer.json()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    url, process = await started("--data", str(data), "--manual-close")
    async with drive() as helper, helper.http.get(f"{url}/transactions/{record['hash']}") as answer:
        assert (await answer.json())["ledger"] == record["ledger"]
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_a_ledger_that_cannot_be_kept_is_not_shown(tmp_path, drive):
    """When the file cannot be written, closing fails and everything stays as it was."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data) as ledger:
        with contextlib.closing(sqlite3.connect(data)) as other:
            other.execute("ALTER TABLE entries RENAME TO elsewhere")
        await ledger.post("/friendbot", params={"addr": ledger.key("alice").public_key})
        async with ledger.http.post("/sandbox/close") as answer:
            assert answer.status == 500
        assert (await ledger.get("/"))[1]["core_latest_ledger"] == 2
        assert (await ledger.get(f"/accounts/{ledger.key('alice').public_key}"))[0] == 404
        with contextlib.closing(sqlite3.connect(data)) as other:
            other.execute("ALTER TABLE elsewhere RENAME TO entries")
        await ledger.close()
        assert (await ledger.get(f"/accounts/{ledger.key('alice').public_key}"))[0] == 200


async def test_serving_ends_when_the_ledger_cannot_go_on(tmp_path):
    """A clock that cannot keep its ledgers ends the server with the error, instead of time standing still."""
    data = tmp_path / "ledger.sqlite"
    ready, stop = asyncio.Event(), asyncio.Event()
    options = SandboxOptions(network_passphrase="Ends", interval=0.05, data=data)
    serving = asyncio.create_task(serve(options, lambda _: ready.set(), stop))
    await ready.wait()
    with contextlib.closing(sqlite3.connect(data)) as other:
        other.execute("DROP TABLE ledgers")
    with pytest.raises(sqlite3.OperationalError, match="ledgers"):
        await asyncio.wait_for(serving, 30)


async def test_serves_until_it_is_told_to_stop():
    """`serve` gives its address once it answers, and returns after `stop`."""
    addresses, stop = asyncio.Queue(), asyncio.Event()
    options = SandboxOptions(network_passphrase="Stops", manual_close=True)
    serving = asyncio.create_task(serve(options, addresses.put_nowait, stop))
    url = await addresses.get()
    async with aiohttp.ClientSession(url) as http, http.get("/") as answer:
        assert (await answer.json(content_type=None))["network_passphrase"] == "Stops"
    stop.set()
    await serving
    async with aiohttp.ClientSession(url) as http:
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get("/")


async def started(*arguments):
    """A sandbox ledger as a process of its own, and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.ledger", *arguments, stdout=asyncio.subprocess.PIPE
    )
    return (await process.stdout.readline()).decode().strip(), process


async def test_files_of_earlier_versions_are_taken_over(drive, tmp_path):
    """A file that lacks what later versions keep is completed at the start; what it holds stays as it is."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data) as ledger:
        paths = await furnish(ledger)
        before, now = await look(ledger, paths), ledger.time
    with contextlib.closing(sqlite3.connect(data)) as other:
        other.execute("ALTER TABLE transactions DROP COLUMN changes")
        for column in ("capacity", "crowd", "crowd_bid", "base_fee"):
            other.execute(f"ALTER TABLE ledgers DROP COLUMN {column}")
    async with drive(data=data) as ledger:
        assert await look(ledger, paths) == before
        ledger.time = now
        assert await ledger.run(ledger.key("holder"), ManageData("b", b"1")) == ["tx_success"]
