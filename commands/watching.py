"""Following a request live."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from rich.console import Console
from rich.live import Live

from commands.context import Cli
from commands.documents import Document, request_document
from commands.lookup import find_request
from commands.render import request_panel, timeline_line
from db import reads
from domain.mint_request import TERMINAL
from domain.records import RequestRecord

Seen = tuple[RequestRecord, Document]


async def follow(cli: Cli, name: str, interval: float) -> Seen:
    """Show every change until the request has ended, and answer its last state.

    On a terminal one panel that renews itself; elsewhere a line for each new entry of the timeline.
    """
    if sys.stderr.isatty():
        return await _live(cli, name, interval)
    shown = 0
    async for record, document in _states(cli, name, interval):
        for entry in document["timeline"][shown:]:
            cli.note(timeline_line(entry))
        shown = len(document["timeline"])
        last = record, document
    return last


async def _live(cli: Cli, name: str, interval: float) -> Seen:
    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        async for record, document in _states(cli, name, interval):
            url = cli.request_url(record.request.id)
            live.update(request_panel(record, document, url), refresh=True)
            last = record, document
    return last


async def _states(cli: Cli, name: str, interval: float) -> AsyncIterator[Seen]:
    async with cli.database() as database:
        while True:
            async with database.transaction() as tx:
                record = await find_request(tx, name)
                timeline = await reads.timeline(tx, record.request.id)
            yield record, request_document(record, timeline)
            if record.status in TERMINAL:
                return
            await asyncio.sleep(interval)
