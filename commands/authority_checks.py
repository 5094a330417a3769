"""Checks of `doctor` for what acknowledgement links rest on: the authority's keys, and clocks that agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from commands.context import Cli
from commands.findings import Finding
from commands.rotating import authority_setting
from domain.errors import MintkeeperError

if TYPE_CHECKING:
    from db.session import Database

OLD = timedelta(days=90)
"""A key that signs for so long should have a successor."""

SKEW_NOTED, SKEW_FAILED = timedelta(seconds=2), timedelta(seconds=30)
"""Deadlines are judged by the workers' clocks and leases by the database's rows: they must agree."""


def authority(cli: Cli) -> Iterator[Finding]:
    """Each signer of the setting: there, its owner's only, readable, with a key that is not too old."""
    setting = authority_setting(cli)
    urls = [url.strip() for url in setting.split(",") if url.strip()]
    if not urls:
        mend = "run 'mintkeeper keys rotate --file FILE' and set MINTKEEPER_AUTHORITY_KEY=file:FILE"
        yield Finding(
            "authority key",
            "note",
            "none: messages carry no acknowledgement links, and browsers decide nothing",
            mend,
        )
    for number, url in enumerate(urls, 1):
        name = "authority key" if len(urls) == 1 else f"authority key {number}"
        try:
            yield _signer(name, url)
        except MintkeeperError as error:
            yield Finding(name, "failed", error.message, "correct MINTKEEPER_AUTHORITY_KEY or its file")


def _signer(name: str, url: str) -> Finding:
    from starter.authority import open_authority

    count = len(open_authority(url).keys)
    kind, _, place = url.partition(":")
    if kind != "file":
        return Finding(name, "ok", f"variable {place}")
    made = _made(Path(place))
    detail = f"{place}: {count} key{'s' if count > 1 else ''}, the first made on {made:%Y-%m-%d}"
    if datetime.now(UTC) - made > OLD:
        return Finding(name, "note", f"{detail}, over {OLD.days} days ago", "run 'mintkeeper keys rotate'")
    return Finding(name, "ok", detail)


def _made(path: Path) -> datetime:
    """When the key that signs was made; a key in PEM does not say, so its file's date counts."""
    from starter.key_file import is_seed_file, parse_seeds

    content = path.read_bytes()
    if is_seed_file(content):
        return parse_seeds(content.decode("utf-8", "replace"), str(path))[0].created
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


async def clock(database: Database) -> Finding:
    """This machine's clock against the database's; half of the question's time is its inaccuracy."""
    from db.reads.clock import clock as database_clock

    async with database.transaction() as tx:
        before = datetime.now(UTC)
        theirs = await database_clock(tx)
        after = datetime.now(UTC)
    skew = abs(theirs - (before + (after - before) / 2)) - (after - before) / 2
    detail = f"{max(skew.total_seconds(), 0):.1f} s from the database's"
    if skew > SKEW_FAILED:
        return Finding("clock", "failed", detail, "let both machines keep time by NTP")
    if skew > SKEW_NOTED:
        return Finding("clock", "note", detail, "let both machines keep time by NTP")
    return Finding("clock", "ok", detail)
