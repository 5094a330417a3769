"""Server-sent events: how a stream begins and ends, and streams of one resource that changes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web

from sandbox.ledger.node import Node, View

_HELLO: Final = b'retry: 1000\nevent: open\ndata: "hello"\n\n'
_GOODBYE: Final = b'retry: 10\nevent: close\ndata: "byebye"\n\n'
_MOST_EVENTS: Final = 10


def wants_stream(request: web.Request) -> bool:
    """Whether the client asked for events."""
    return "text/event-stream" in request.headers.get("Accept", "")


@contextlib.asynccontextmanager
async def streaming(request: web.Request) -> AsyncIterator[web.StreamResponse]:
    """A response to write events to, between the greeting and the goodbye."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    await response.write(_HELLO)
    yield response
    await response.write(_GOODBYE)


async def watch(request: web.Request, node: Node, read: Callable[[View], web.Response]) -> web.StreamResponse:
    """A resource now and each time a ledger has changed it; a problem ends it, or is the answer if first."""
    upcoming, found = node.upcoming, read(node.ingested())
    if found.status != web.HTTPOk.status_code:
        return found
    sent, shown = 0, b""
    async with streaming(request) as response:
        while found.status == web.HTTPOk.status_code:
            body = bytes(found.body) if isinstance(found.body, bytes) else b""
            if body != shown:
                await response.write(b"data: %b\n\n" % body)
                sent, shown = sent + 1, body
            if sent == _MOST_EVENTS:
                break
            await upcoming.wait()
            upcoming, found = node.upcoming, read(node.ingested())
    return response
