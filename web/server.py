"""Runs the web application."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from domain.errors import Unavailable
from settings import Settings
from web.app import create_app

HOST = "127.0.0.1"
"""Browsers should reach it through a proxy that speaks TLS; a container publishes on loopback."""


async def serve(
    settings: Settings, port: int, on_ready: Callable[[str], None], stop: asyncio.Event, host: str = HOST
) -> None:
    """Serve on `host` until `stop` is set; running answers are finished first.

    `on_ready` gets the base URL. Raises Unavailable when the port is taken, ConfigurationError.
    """
    app = create_app(settings)
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise Unavailable(
            f"the web server cannot listen on port {port} of {host}: choose another --port"
        ) from error
    with listener:
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, timeout_graceful_shutdown=5))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(stop.wait())
        on_ready(f"http://{host}:{listener.getsockname()[1]}")
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if server.started:
            # an open stream would be waited for
            app.state.mintkeeper.live.close()
        server.should_exit = True
        stopping.cancel()
        await serving
