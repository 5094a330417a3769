"""What people see when something the CLI depends on is down."""

from tests.cli.conftest import CLOSED_PORT, submit_arguments


async def test_the_database_is_down(cli):
    """The line says which host did not answer, never the password."""
    result = await cli("list", "--json", MINTKEEPER_DATABASE_URL=f"postgresql://u:secret@{CLOSED_PORT}/x")
    assert (result.code, result.error["code"]) == (1, "unavailable")
    assert f"cannot reach the database at {CLOSED_PORT}" in result.error["message"]
    assert "secret" not in result.out + result.err


async def test_no_database_is_configured(cli):
    """Without a stack and without a setting the CLI says how to get one."""
    result = await cli("list", "--json", MINTKEEPER_DATABASE_URL="")
    assert (result.code, result.error["code"]) == (1, "configuration")
    assert "mintkeeper up" in result.error["message"]


async def test_a_database_without_a_schema(cli, postgres_url):
    """An empty database is told from a broken one."""
    result = await cli("list", "--json", MINTKEEPER_DATABASE_URL=postgres_url)
    assert (result.code, result.error["code"]) == (1, "configuration")
    assert "mintkeeper migrate" in result.error["message"]


async def test_temporal_is_down(cli, seeded):
    """The promised sentence, for a submission as for a decision, and nothing is started."""
    expected = f"mintkeeper: cannot reach Temporal at {CLOSED_PORT}: start it with 'mintkeeper up'"
    result = await cli(*submit_arguments(), MINTKEEPER_DATABASE_URL=seeded.url)
    assert (result.code, result.error["code"]) == (1, "unavailable")
    assert result.error["message"] == expected
    assert result.err == f"error: {expected}\n"


async def test_everything_is_down(cli):
    """The doctor names each part that is down, and how to mend it."""
    result = await cli("doctor", "--json")
    assert (result.code, result.error["code"]) == (1, "unhealthy")
    checks = {check["name"]: check for check in result.error["checks"]}
    for name, address in (("database", CLOSED_PORT), ("temporal", CLOSED_PORT), ("horizon", CLOSED_PORT)):
        assert checks[name]["state"] == "failed"
        assert address in checks[name]["detail"]
        assert checks[name]["mend"]
