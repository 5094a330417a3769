"""Finding what a command names, or saying that it does not exist."""

from __future__ import annotations

from commands.context import Cli
from db import reads
from db.session import Database, Transaction
from domain.errors import NotFound
from domain.records import RequestRecord


async def find_request(tx: Transaction, name: str) -> RequestRecord:
    """The request of that id or track number; raises NotFound."""
    if name.upper().startswith("MK-"):
        record = await reads.request_by_track_number(tx, name.upper())
    else:
        record = await reads.request(tx, name)
    if record is None:
        raise NotFound(f"there is no mint request {name}: see 'mintkeeper list'")
    return record


async def load_request(database: Database, name: str) -> RequestRecord:
    """`find_request` in a transaction of its own."""
    async with database.transaction() as tx:
        return await find_request(tx, name)


async def check_tenant(tx: Transaction, tenant: str) -> None:
    """Raise NotFound for a tenant that does not exist: a typing mistake must not look like an empty list."""
    known = [each.code for each in await reads.tenants(tx)]
    if tenant not in known:
        raise NotFound(f"unknown tenant {tenant!r}: there are {', '.join(sorted(known)) or 'none yet'}")


async def only_tenant_of(tx: Transaction, cli: Cli, user: str) -> str:
    """The tenant meant where none is named: the stack's, else the one that knows the user.

    Raises NotFound when none does, ConfigurationError when several do.
    """
    if cli.stack is not None:
        return cli.stack.tenant
    known = [each.code for each in await reads.tenants(tx)]
    found = [code for code in known if any(one.name == user for one in await reads.users(tx, code))]
    if not found:
        raise NotFound(f"unknown user {user!r}: see 'mintkeeper user list'")
    return found[0] if len(found) == 1 else cli.tenant(None)


async def check_user(tx: Transaction, name: str, tenant: str | None) -> None:
    """Raise NotFound for a user whom no tenant (or not this one) knows."""
    tenants = [tenant] if tenant else [each.code for each in await reads.tenants(tx)]
    known = [user.name for code in tenants for user in await reads.users(tx, code)]
    if name not in known:
        raise NotFound(f"unknown user {name!r}: see 'mintkeeper user list'")
