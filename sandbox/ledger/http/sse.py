"""Server-sent events: ledgers and transactions as they happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web

from sandbox.ledger.node import Node, View

EventBody = tuple[int, bytes]
Source = Callable[[View, int], Iterable[EventBody]]
_EVENTS_PER_STREAM = 1000


def wants_stream(request: web.Request) -> bool:
    """Whether the client asked for events instead of a page."""
    return "text/event-stream" in request.headers.get("Accept", "")


async def stream(
    request: web.Request, node: Node, cursor: int | None, newest: Callable[[View], int], source: Source
) -> web.StreamResponse:
    """Send what comes behind ``cursor``; None starts behind what is there already.

    ``newest`` gives the position of the newest event, ``source`` the events behind a position.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    await response.write(b'retry: 1000\nevent: open\ndata: "hello"\n\n')
    position = newest(node.ingested()) if cursor is None else cursor
    sent = 0
    while sent < _EVENTS_PER_STREAM:
        for token, body in source(node.ingested(), position):
            await response.write(b"id: %d\ndata: %b\n\n" % (token, body))
            position = token
            sent += 1
        await node.next_close()
    await response.write(b'retry: 10\nevent: close\ndata: "byebye"\n\n')
    return response


def start_of(request: web.Request) -> int | None:
    """Where a stream starts: behind a position, from the beginning without one, or ``now``."""
    cursor = request.headers.get("Last-Event-ID") or request.query.get("cursor", "")
    if cursor == "now":
        return None
    return int(cursor) if cursor.isdecimal() else 0
