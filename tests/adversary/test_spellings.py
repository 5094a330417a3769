"""One person under two spellings: old tenants may have `alice` and `Alice`, and that is one pair of eyes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from db.writes import dictionaries
from domain.errors import InvalidInput
from domain.mint_request import MintStatus
from tests.db.test_absences import a_pending, decide, only_tier_2, read
from tests.db.test_entries import put
from tests.support.absences import send_away


@pytest.fixture
async def twice(seeded):
    """The demo tenant with a second account for each of two people, as nothing refused them once."""
    keys = {}
    async with seeded.database.transaction() as tx:
        for name, tier in (("Alice", 2), ("Bob", 2)):
            by = {"tenant": "acme", "actor": "adam", "at": datetime.now(UTC)}
            await dictionaries.set_user(tx, name=name, roles=["approver"], tier=tier, **by)
            keys[name] = Ed25519PrivateKey.generate()
            public = keys[name].public_key().public_bytes_raw()
            await dictionaries.register_key(tx, user=name, public_key=public, **by)
    return replace(seeded, keys={**seeded.keys, **keys})


async def test_two_spellings_are_not_two_approvals(twice):
    """A rule of two approvals, one of tier 2: alice of tier 1 and Alice of tier 2 are one person."""
    record = await a_pending(twice)
    assert (await decide(twice, record, "alice")).accepted
    assert (await decide(twice, record, "Alice")).reason == "already_decided"
    assert (await read(twice, record)).status == MintStatus.PENDING
    assert (await decide(twice, record, "Bob")).status == MintStatus.APPROVED


async def test_nor_with_somebody_elses_authority(twice):
    """Alice stands in for carol, and has approved already under her other name."""
    await send_away(twice, "carol", "Alice")
    record = await a_pending(twice)
    assert (await decide(twice, record, "alice")).accepted
    assert (await decide(twice, record, "Alice")).reason == "already_decided"


async def test_whose_authority_was_used_does_not_use_it_under_another_name(twice):
    """Alice has approved for Bob; bob's own account comes too late, and so does anybody for it."""
    await only_tier_2(twice)
    absence = await send_away(twice, "Bob", "alice")
    record = await a_pending(twice)
    assert (await decide(twice, record, "alice")).accepted
    assert (await read(twice, record)).approvals[0].on_behalf_of == absence.user
    async with twice.database.transaction() as tx:
        by = {"tenant": "acme", "actor": "adam", "at": datetime.now(UTC)}
        await dictionaries.set_user(tx, name="bob", roles=["approver"], tier=2, **by)
    assert (await decide(twice, record, "bob")).reason == "already_decided"
    await send_away(twice, "bob", "dave")
    assert (await decide(twice, record, "dave")).reason == "already_decided"


@pytest.mark.parametrize("name", ["ALICE", "аlice", "ａlice", "alice\u200b", "alice ", "alıce", "aliс\u0065"])
async def test_no_new_account_looks_like_another(seeded, name):
    """Other case, Cyrillic, full width, zero width, a space: none becomes a user."""
    with pytest.raises(InvalidInput):
        await put(seeded, "user", name, {"roles": ["approver"], "tier": 3})
