"""Collections of the history: as a page, or as a stream of server-sent events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from aiohttp import web

from sandbox.ledger.http.context import Context
from sandbox.ledger.http.paging import Page, page_response
from sandbox.ledger.http.watch import streaming, wants_stream
from sandbox.ledger.node import View

# What a collection shows of a page: positions and rendered records.
Fetch = Callable[[Page, View], Sequence[tuple[str, bytes]]]


async def answer(request: web.Request, context: Context, fetch: Fetch) -> web.StreamResponse:
    """A page of a collection, or the records behind the cursor as they come, whatever the client accepts."""
    if wants_stream(request):
        return await _stream(request, context, fetch)
    view = context.node.view()
    page = Page.of(request, view)
    found = fetch(page, view)
    tokens, bodies = [token for token, _ in found], [body for _, body in found]
    return page_response(request, context.base_url, page, tokens, bodies)


async def _stream(request: web.Request, context: Context, fetch: Fetch) -> web.StreamResponse:
    """As many events as a page holds, then goodbye: the client comes back for more."""
    node = context.node
    page = Page.of(request, node.ingested())
    upcoming, found = node.upcoming, fetch(page, node.ingested())
    async with streaming(request) as response:
        while True:
            for token, body in found:
                await response.write(b"id: %b\ndata: %b\n\n" % (token.encode(), body))
            if len(found) == page.limit:
                break
            if found:
                page = replace(page, cursor=found[-1][0], limit=page.limit - len(found))
            await upcoming.wait()
            upcoming, found = node.upcoming, fetch(page, node.ingested())
    return response
