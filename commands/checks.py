"""The checks of `doctor`: each answers what it found, never raises, and says how to mend it."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from commands import access_checks, authority_checks, document_checks
from commands.context import Cli
from commands.findings import Finding
from domain.errors import MintkeeperError
from domain.steps import MAINTENANCE_QUEUE, MINT_QUEUE, STELLAR_QUEUE, UPLOADS_QUEUE
from settings import Settings

_PATIENCE_SECONDS = 5.0


async def examine(cli: Cli) -> list[Finding]:
    """Run every check, in the order in which one would mend things."""
    try:
        settings = cli.settings()
    except MintkeeperError as error:
        return [Finding("settings", "failed", error.message, "correct the environment")]
    findings = [_stack(cli)]
    findings += [finding async for finding in _database(cli, settings)]
    findings += [finding async for finding in _temporal(cli)]
    # a proxy never leads to a local stack
    findings.append(await _horizon(settings, through_proxy=cli.stack is None))
    findings += _signers(cli, settings)
    findings += _channels(cli, settings)
    findings += await document_checks.documents(cli, settings)
    findings += _keys(cli)
    findings += authority_checks.authority(cli)
    findings += [finding async for finding in access_checks.access(cli, settings)]
    return findings


def _stack(cli: Cli) -> Finding:
    if cli.stack is None:
        return Finding("stack", "note", f"no local stack runs in {cli.data_dir}; the environment counts")
    return Finding("stack", "ok", f"a local stack runs in {cli.data_dir}")


async def _database(cli: Cli, settings: Settings) -> AsyncIterator[Finding]:
    from db.migrate import is_current

    if not settings.database_url:
        mend = "set MINTKEEPER_DATABASE_URL, or start a stack with 'mintkeeper up'"
        yield Finding("database", "failed", "no database is configured", mend)
        return
    try:
        async with cli.database() as database:
            await database.ping()
            skew = await authority_checks.clock(database)
        current = await asyncio.to_thread(is_current, settings.database_url)
    except MintkeeperError as error:
        yield Finding("database", "failed", error.message, "start it, or correct MINTKEEPER_DATABASE_URL")
        return
    yield Finding("database", "ok", "reachable")
    yield skew
    if current:
        yield Finding("schema", "ok", "at the newest revision")
    else:
        yield Finding("schema", "failed", "not at the newest revision", "run 'mintkeeper migrate'")


async def _temporal(cli: Cli) -> AsyncIterator[Finding]:
    from temporalio.service import RPCError

    from starter.temporal import missing_search_attributes, worker_polls

    try:
        client = await cli.temporal()
        missing = await missing_search_attributes(client)
        polled = {
            queue: await worker_polls(client, queue)
            for queue in (MINT_QUEUE, STELLAR_QUEUE, MAINTENANCE_QUEUE, UPLOADS_QUEUE)
        }
    except MintkeeperError as error:
        yield Finding("temporal", "failed", error.message, "run 'mintkeeper up', or set TEMPORAL_ADDRESS")
        return
    except RPCError as error:
        yield Finding("temporal", "failed", error.message, "check TEMPORAL_NAMESPACE and its permissions")
        return
    yield Finding("temporal", "ok", f"reachable, namespace {client.namespace}")
    if missing:
        mend = "run 'mintkeeper schedules apply'"
        yield Finding("search attributes", "failed", f"not registered: {', '.join(missing)}", mend)
    else:
        yield Finding("search attributes", "ok", "all registered")
    for queue, alive in polled.items():
        yield _worker(queue, alive)


def _worker(queue: str, alive: bool) -> Finding:
    if alive:
        return Finding(f"worker {queue}", "ok", "polls")
    return Finding(
        f"worker {queue}", "failed", "nobody polls the queue", f"run 'mintkeeper worker --queues {queue}'"
    )


async def _horizon(settings: Settings, *, through_proxy: bool) -> Finding:
    import httpx

    if not settings.horizon_url:
        mend = "set MINTKEEPER_HORIZON_URL, or start a stack with 'mintkeeper up'"
        return Finding("horizon", "failed", "no Horizon is configured", mend)
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE_SECONDS, trust_env=through_proxy) as http:
            answer = await http.get(settings.horizon_url)
            answer.raise_for_status()
            network = answer.json()["network_passphrase"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        detail = f"mintkeeper: cannot reach Horizon at {settings.horizon_url}: {type(error).__name__} {error}"
        return Finding("horizon", "failed", detail.strip(), "start it, or correct MINTKEEPER_HORIZON_URL")
    if network != settings.network_passphrase:
        detail = f"it serves {network!r}, but {settings.network_passphrase!r} is configured"
        return Finding("horizon", "failed", detail, "correct MINTKEEPER_NETWORK_PASSPHRASE")
    return Finding("horizon", "ok", f"reachable, network {network!r}")


def _signers(cli: Cli, settings: Settings) -> Iterator[Finding]:
    if cli.stack is not None:
        yield Finding("signers", "ok", "the local stack's own")
        return
    if not settings.issuer_signer:
        mend = "set MINTKEEPER_ISSUER_SIGNER to env:NAME or file:/path"
        yield Finding("issuer signer", "failed", "none is configured", mend)
    else:
        yield _signer("issuer signer", settings.issuer_signer)
    for number, url in enumerate(settings.channel_signers, 1):
        yield _signer(f"channel signer {number}", url)
    if settings.funding_signer:
        yield _signer("funding signer", settings.funding_signer)


def _signer(name: str, url: str) -> Finding:
    kind, _, place = url.partition(":")
    if kind == "env":
        found = bool(os.environ.get(place))
        return Finding(
            name, "ok" if found else "failed", f"variable {place}", "" if found else f"set {place}"
        )
    if kind == "file":
        return _private_file(name, Path(place))
    return Finding(name, "failed", "it is neither env:NAME nor file:/path", "correct the setting")


def _channels(cli: Cli, settings: Settings) -> Iterator[Finding]:
    if cli.stack is not None:
        yield Finding("channels", "ok", f"the provider console at {cli.stack.providers_url}")
        return
    configured = {
        "slack": (settings.slack_bot_token, "MINTKEEPER_SLACK_BOT_TOKEN"),
        "email": (
            settings.sendgrid_api_key and settings.email_from,
            "MINTKEEPER_SENDGRID_API_KEY and _EMAIL_FROM",
        ),
        "telegram": (settings.telegram_bot_token, "MINTKEEPER_TELEGRAM_BOT_TOKEN"),
        "pagerduty": (settings.pagerduty_routing_key, "MINTKEEPER_PAGERDUTY_ROUTING_KEY"),
    }
    for name, (value, variable) in configured.items():
        if value:
            yield Finding(f"channel {name}", "ok", "configured")
        else:
            mock = f"not configured: messages become console lines [{name.upper()} MOCK]"
            yield Finding(f"channel {name}", "note", mock, f"set {variable}")


def _keys(cli: Cli) -> Iterator[Finding]:
    files = sorted((cli.data_dir / "keys").glob("*.pem"))
    if not files:
        yield Finding("keys", "note", f"none in {cli.data_dir / 'keys'}", "run 'mintkeeper keys new USER'")
    bad = [finding for file in files if (finding := _private_file(f"key {file.stem}", file)).failed]
    yield from bad
    if files and not bad:
        yield Finding("keys", "ok", ", ".join(file.stem for file in files))


def _private_file(name: str, path: Path) -> Finding:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return Finding(name, "failed", f"{path}: {error.strerror}", "put the key there")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding(name, "failed", f"{path} can be read by others", f"run 'chmod 600 {path}'")
    return Finding(name, "ok", str(path))
