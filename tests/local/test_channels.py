"""The local stack's channel accounts, made by its own worker."""

import logging
import os
import signal
import threading

import psycopg

from starter.local.channels import prepare_channels
from starter.local.environment import Addresses
from tests.local.stacks import mintkeeper, until
from tests.support.channels import crew_of, family_on


def addresses(seeded, client) -> Addresses:
    """A stack of the tests' own server and database."""
    elsewhere = dict.fromkeys(Addresses.__dataclass_fields__, "")
    address = client.service_client.config.target_host
    return Addresses(**elsewhere | {"database_url": seeded.url, "temporal_address": address})


async def test_only_what_is_missing_is_made(seeded, temporal_server):
    """A stack that starts again has its accounts already; one that wants more gets the rest."""
    async with family_on(seeded, interval=0) as family, crew_of(family, temporal_server.client):
        for wanted, there in ((2, 2), (2, 2), (3, 3), (1, 3)):
            await prepare_channels(addresses(seeded, temporal_server.client), wanted)
            assert sorted(await family.states()) == list(range(there))


async def test_a_network_without_friendbot_is_no_obstacle(seeded, temporal_server, caplog):
    """The stack comes up; a warning says whom to fund and which command to run then."""
    async with (
        family_on(seeded, funded=False, interval=0) as family,
        crew_of(family, temporal_server.client),
    ):
        with caplog.at_level(logging.WARNING):
            await prepare_channels(addresses(seeded, temporal_server.client), 3)
    assert f"{family.funder.public_key} does not exist" in caplog.text
    assert "mintkeeper channels create 3" in caplog.text


def test_fifty_are_made_while_mints_are_in_flight(up):
    """Both go through: the accounts are usable, the requests confirmed."""
    before = len(mintkeeper("channels", "list", data_dir=up.data_dir)["channels"])
    wanted = ("submit", "--amount", "3", "--topic", "treasury-eu", "--requester", "rita")
    ids = [mintkeeper(*wanted, data_dir=up.data_dir)["id"] for _ in range(2)]
    creating = threading.Thread(target=lambda: mintkeeper("channels", "create", "50", data_dir=up.data_dir))
    creating.start()
    for each in ids:
        mintkeeper("approve", each, "--as", "alice", data_dir=up.data_dir)
    creating.join()
    until(
        lambda: all(mintkeeper("show", each, data_dir=up.data_dir)["status"] == "CONFIRMED" for each in ids),
        "all confirmed",
    )
    channels = until(lambda: all_free(up), "all free again")
    assert len(channels) == before + 50
    assert {channel["key"] for channel in channels} == set(range(before + 50))


def test_a_worker_killed_while_it_makes_them_loses_nothing(up):
    """SIGKILL in the middle: the next worker goes on, no key index is left out or used twice."""
    before = len(mintkeeper("channels", "list", data_dir=up.data_dir)["channels"])
    creating = threading.Thread(target=lambda: mintkeeper("channels", "create", "40", data_dir=up.data_dir))
    creating.start()
    until(lambda: len(all_channels(up)) > before, "accounts planned")
    os.kill(up.pids()["worker"], signal.SIGKILL)
    creating.join()
    channels = all_free(up)
    assert {channel["key"] for channel in channels} == set(range(before + 40))
    assert all(channel["balance"] == "5.0000000" for channel in channels[before:])


def all_channels(up):
    """What the database knows."""
    with psycopg.connect(up.document()["database_url"]) as connection:
        return connection.execute("SELECT account FROM stellar_channels").fetchall()


def all_free(up):
    """Every channel account, once none is held."""
    channels = mintkeeper("channels", "list", data_dir=up.data_dir)["channels"]
    return channels if {channel["state"] for channel in channels} == {"FREE"} else None
