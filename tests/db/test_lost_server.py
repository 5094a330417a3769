"""A server that goes away at any point of a transaction is Unavailable, never an error nobody foresaw."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.session import Database
from domain.errors import Refused, Unavailable
from tests.support.mortal_server import MortalServer, mortal_server

POOL = 10
"""As many connections as a worker has: every one of them is dead after a restart."""

ONE, MANY = text("SELECT 1"), text("SELECT * FROM generate_series(1, 1000)")
LONG, LARGE = text("SELECT pg_sleep(60)"), text("SELECT length(:much)")
MUCH = {"much": "x" * 8_000_000}
"""More than any buffer between client and server holds."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[MortalServer]:
    """A server that no other test uses."""
    async with mortal_server() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def database(server) -> AsyncIterator[Database]:
    """A pool on the living server."""
    await server.start()
    opened = Database(server.url, pool_size=POOL)
    yield opened
    await opened.close()


async def end_sessions(server):
    """As an administrator, or a failover, does."""
    await server.end_sessions()


async def restart(server):
    """Sessions are ended in order; soon it serves again."""
    await server.end(signal.SIGINT)
    await server.start()


async def stop_at_once(server):
    """Sessions are broken off, and nobody answers until somebody starts it again."""
    await server.end(signal.SIGQUIT)


async def kill(server):
    """SIGKILL to the server, whose sessions notice by themselves."""
    await server.end(signal.SIGKILL)


BLOWS = [end_sessions, restart, stop_at_once, kill]

STATEMENTS = {
    "run": lambda tx: tx.run(ONE),
    "value": lambda tx: tx.value(ONE),
    "row": lambda tx: tx.row(MANY),
    "rows": lambda tx: tx.rows(MANY),
    "large": lambda tx: tx.run(LARGE, MUCH),
    "execute": lambda tx: tx.execute(ONE),
    "scalar": lambda tx: tx.scalar(ONE),
    "scalars": lambda tx: tx.scalars(MANY),
    "roll back": lambda tx: tx.roll_back(),
    "commit": lambda tx: tx.commit(),
}


def of(blow) -> str:
    """How a blow is called."""
    return blow.__name__


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("blow", BLOWS, ids=of)
@pytest.mark.parametrize("after", STATEMENTS)
@pytest.mark.parametrize("first", ["run", "execute"])
async def test_what_comes_after_the_end_of_the_session_is_unavailable(server, database, blow, first, after):
    """Whichever statement meets the dead session, and whichever way opened the transaction."""
    with pytest.raises(Unavailable):
        async with database.transaction() as tx:
            await STATEMENTS[first](tx)
            await blow(server)
            await STATEMENTS[after](tx)


@pytest.mark.parametrize("after", STATEMENTS)
@pytest.mark.parametrize("first", ["run", "execute"])
async def test_who_goes_on_after_the_loss_hears_of_it_again(server, database, first, after):
    """A dead connection refuses every statement after the one that found out, too."""
    with pytest.raises(Unavailable):
        async with database.transaction() as tx:
            await STATEMENTS[first](tx)
            await end_sessions(server)
            with pytest.raises(DBAPIError):
                await STATEMENTS[first](tx)
            await STATEMENTS[after](tx)


@pytest.mark.parametrize("blow", BLOWS, ids=of)
@pytest.mark.parametrize("first", ["run", "execute"])
async def test_a_commit_on_a_dead_session_is_unavailable(server, database, blow, first):
    """Nobody is told that something lasts of which the server never heard."""
    with pytest.raises(Unavailable):
        async with database.transaction() as tx:
            await STATEMENTS[first](tx)
            await blow(server)


@pytest.mark.parametrize("blow", BLOWS, ids=of)
@pytest.mark.parametrize("run", ["run", "execute"])
async def test_a_statement_under_way_is_unavailable(server, database, blow, run):
    """The server goes away while the client waits for its answer."""

    async def wait():
        async with database.transaction() as tx:
            await getattr(tx, run)(LONG)

    waiting = asyncio.create_task(wait())
    await under_way(server, 1)
    await blow(server)
    with pytest.raises(Unavailable):
        await waiting


@pytest.mark.parametrize("blow", BLOWS, ids=of)
@pytest.mark.parametrize("first", ["run", "execute"])
async def test_a_refusal_on_a_dead_session_stays_one_or_is_unavailable(server, database, blow, first):
    """What the rules refuse needs no server any more; taking back what it wrote may."""
    with pytest.raises((Refused, Unavailable)):
        async with database.transaction() as tx:
            await STATEMENTS[first](tx)
            await blow(server)
            raise Refused("no")


@pytest.mark.parametrize("blow", BLOWS, ids=of)
@pytest.mark.parametrize("first", ["run", "execute"])
async def test_a_whole_pool_of_dead_sessions_is_unavailable_and_then_well(server, database, blow, first):
    """Every connection that lay ready is found dead once at most; then there are new ones."""
    for _ in range(2):
        await server.start()
        await fill(database)
        await blow(server)
        ends = [await end_of(database, first) for _ in range(POOL)]
        assert set(ends) <= {None, Unavailable}
        await server.start()
        await until_well(database)
        async with asyncio.TaskGroup() as group:
            for _ in range(POOL):
                group.create_task(database.ping())


async def test_no_moment_of_a_restart_brings_anything_else(server, database):
    """Under load from stop to start: refused, starting up, recovering and back are all Unavailable."""
    ends: set[type[Exception] | None] = set()
    over = asyncio.Event()

    async def go_on():
        while not over.is_set():
            ends.update([await end_of(database, "execute"), await end_of(database, "rows")])
            # a socket that nobody listens on refuses at once, without a turn of the event loop
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for _ in range(POOL):
            group.create_task(go_on())
        for blow in BLOWS * 2:
            await blow(server)
            await server.start()
            await until_well(database)
        over.set()
    assert ends == {None, Unavailable}


@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout", "idle_session_timeout"])
async def test_a_session_that_the_server_found_idle_is_unavailable(database, setting):
    """An administrator's limit ends the session like any other loss; it says so with a code of its own."""
    with pytest.raises(Unavailable):
        async with database.transaction() as tx:
            await tx.run(text(f"SET SESSION {setting} = 1"))
            if setting == "idle_session_timeout":
                await tx.commit()
            await until_alone(database)
            await tx.run(ONE)
    await database.ping()


async def test_a_cancelled_task_leaves_a_pool_that_serves(server, database):
    """Whoever is cancelled in the middle of a statement sees that, also while the sessions are ended."""
    for blow in (None, end_sessions):
        tasks = [asyncio.create_task(sleep_in(database)) for _ in range(POOL)]
        await under_way(server, POOL)
        for task in tasks:
            task.cancel()
        if blow is not None:
            await blow(server)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} <= {asyncio.CancelledError, Unavailable}
        await until_well(database)


async def sleep_in(database):
    """A transaction that lasts until somebody ends it."""
    async with database.transaction() as tx:
        await tx.run(LONG)


async def end_of(database, statement) -> type[Exception] | None:
    """The kind of error of a transaction of one statement, or None."""
    try:
        async with database.transaction() as tx:
            await STATEMENTS[statement](tx)
    except Exception as error:
        return type(error)
    return None


async def until_well(database):
    """Wait until a transaction succeeds."""
    async with asyncio.timeout(30):
        while await end_of(database, "run") is not None:
            await asyncio.sleep(0.01)


async def fill(database):
    """Let the pool have all its connections ready."""
    together = asyncio.Barrier(POOL)

    async def hold():
        async with database.transaction() as tx:
            await tx.run(ONE)
            await together.wait()

    await asyncio.gather(*(hold() for _ in range(POOL)))


async def under_way(server, count):
    """Wait until so many long statements run."""
    watch = Database(server.url, pool_size=1)
    running = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    async with asyncio.timeout(30):
        while True:
            async with watch.transaction() as tx:
                if await tx.value(running) == count:
                    break
    await watch.close()


async def until_alone(database):
    """Wait until only the one who asks has a session."""
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(30):
        while True:
            async with database.transaction() as tx:
                if await tx.value(others) == 0:
                    return
