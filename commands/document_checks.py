"""What the doctor finds of documents and one-time codes: their storage, and the secret behind them."""

from __future__ import annotations

from commands.attaching import storage_url
from commands.codes import session_secret
from commands.context import Cli
from commands.findings import Finding
from domain.errors import MintkeeperError
from settings import Settings


async def documents(cli: Cli, settings: Settings) -> list[Finding]:
    """The storage answers, and the session secret is long enough."""
    return [await _storage(cli), _secret(cli, settings)]


async def _storage(cli: Cli) -> Finding:
    from storage import open_storage

    url = storage_url(cli)
    if not url:
        mend = "set MINTKEEPER_STORAGE_URL to file:///directory or s3://bucket/prefix"
        return Finding("storage", "note", "none is configured: no documents can be handed in", mend)
    try:
        await open_storage(url).check()
    except MintkeeperError as error:
        return Finding("storage", "failed", error.message, "start it, or correct MINTKEEPER_STORAGE_URL")
    return Finding("storage", "ok", f"reachable: {url}")


def _secret(cli: Cli, settings: Settings) -> Finding:
    if cli.stack is None and not settings.session_secret:
        mend = "set MINTKEEPER_SESSION_SECRET to 32 random characters or more"
        return Finding("session secret", "note", "none is set: no one-time codes, no client access", mend)
    try:
        session_secret(cli)
    except MintkeeperError as error:
        return Finding("session secret", "failed", error.message, "correct MINTKEEPER_SESSION_SECRET")
    return Finding("session secret", "ok", "set")
