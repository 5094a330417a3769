"""Checks of `doctor` for signing in: somebody can, and what travels is encrypted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from commands.context import Cli
from commands.findings import Finding
from domain.errors import MintkeeperError
from settings import Settings

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


async def access(cli: Cli, settings: Settings) -> AsyncIterator[Finding]:
    """Who can sign in as an admin, over what, and with which provider."""
    yield await _admins(cli)
    yield _public_url(settings)
    if settings.oidc_issuer:
        yield _provider(settings)


async def _admins(cli: Cli) -> Finding:
    from db.reads.accounts import admins_with_account

    mend = "run 'mintkeeper user invite NAME' for an admin"
    try:
        async with cli.transaction() as tx:
            without = [tenant for tenant, count in await admins_with_account(tx) if not count]
    except MintkeeperError as error:
        return Finding("accounts", "note", error.message)
    if without:
        detail = f"no admin of {', '.join(without)} can sign in with a browser"
        return Finding("accounts", "note", detail, mend)
    return Finding("accounts", "ok", "each tenant has an admin who can sign in")


def _public_url(settings: Settings) -> Finding:
    parts = urlsplit(settings.public_url)
    if not settings.public_url:
        mend = "set MINTKEEPER_PUBLIC_URL to where people reach the web UI"
        return Finding("public url", "note", "none is set: links in messages lead nowhere", mend)
    if parts.scheme == "https" or parts.hostname in _LOCAL:
        return Finding("public url", "ok", settings.public_url)
    mend = "put a proxy with TLS before the web server, and name it in MINTKEEPER_PUBLIC_URL"
    return Finding(
        "public url", "note", f"{settings.public_url}: passwords and sessions travel unencrypted", mend
    )


def _provider(settings: Settings) -> Finding:
    from db.session import Database
    from starter.oidc import Provider

    try:
        title = Provider(settings, Database(settings.database_url, pool_size=1)).title
    except MintkeeperError as error:
        return Finding("sign-in provider", "failed", error.message, "correct the settings MINTKEEPER_OIDC_…")
    return Finding("sign-in provider", "ok", title)
