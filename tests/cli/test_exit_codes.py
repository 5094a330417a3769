"""The exit code is right every time, although the Temporal client's threads may still run."""

import asyncio

import pytest

from tests.cli.conftest import CommandLine
from tests.support.schedules import forget_schedules

RUNS = 100
AT_ONCE = 4
"""More processes than cores, so that they end at unlucky moments."""


async def test_a_command_that_uses_temporal_never_fails_at_its_end(cli, temporal_server):
    """A process that used the client could abort in 3 to 8 % of its exits: 100 runs, 100 times the truth."""
    address = temporal_server.client.service_client.config.target_host
    turn = asyncio.Semaphore(AT_ONCE)

    async def run(*arguments: str):
        async with turn:
            return await cli(*arguments, TEMPORAL_ADDRESS=address)

    assert (await run("schedules", "apply")).code == 0
    results = await asyncio.gather(*(run("schedules", "list", "--json") for _ in range(RUNS)))
    await forget_schedules(temporal_server.client)
    assert [result.code for result in results] == [0] * RUNS
    assert all(result.json["schedules"] for result in results)


@pytest.mark.parametrize(
    ("arguments", "code"), [(("show", "mr_1"), 1), (("show",), 2), (("doctor", "--help"), 0)]
)
async def test_the_process_ends_with_the_code_of_its_command(tmp_path, environment, arguments, code):
    """Refused or failed is 1, wrong usage is 2, done is 0: as a shell sees it."""
    assert (await CommandLine(tmp_path, environment)(*arguments)).code == code
