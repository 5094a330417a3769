"""What a request handler needs: settings and open connections."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, cast

from fastapi import Depends, Request
from temporalio.client import Client

from db.session import Database
from domain.ack import Authority
from domain.mint_request import workflow_id
from domain.passes import SessionSecret, open_secret
from settings import Settings
from starter.accounts import Accounts
from starter.destinations import Destinations
from starter.temporal import connect
from web.background import Background
from web.figures import Figures
from web.live import Hub
from web.metrics import Scrapes
from web.pace import Pace


@dataclass(frozen=True)
class State:
    """Built once when the application starts."""

    settings: Settings
    database: Database
    authority: Authority
    scrapes: Scrapes
    clients: list[Client] = field(default_factory=list)
    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a chain is verified: one at a time is load enough."""
    background: Background = field(default_factory=Background)
    pace: Pace = field(default_factory=Pace)

    @cached_property
    def secret(self) -> SessionSecret:
        """What sessions, codes and passes follow from; raises ConfigurationError."""
        return open_secret(self.settings.session_secret)

    @cached_property
    def accounts(self) -> Accounts:
        """Who may sign in, and who has; raises ConfigurationError."""
        return Accounts(self.database, self.secret)

    @cached_property
    def live(self) -> Hub:
        """Open pages that are told what happens."""
        return Hub(self.database, self.background)

    @cached_property
    def destinations(self) -> Destinations:
        """Looks at accounts on the ledger."""
        return Destinations(self.settings.horizon_url, self.settings.network_passphrase)

    @cached_property
    def figures(self) -> Figures:
        """What the dashboard shows."""
        return Figures(self.database, self.background)

    async def temporal(self) -> Client:
        """The one connection to Temporal, opened when it is first needed; raises Unavailable."""
        async with self.connecting:
            if not self.clients:
                self.clients.append(await connect())
        return self.clients[0]

    @property
    def is_https(self) -> bool:
        """Browsers reach us encrypted: cookies may travel no other way."""
        return self.settings.public_url.startswith("https://")

    def workflow_url(self, request_id: str) -> str | None:
        """The request's workflow in the Temporal Web UI, where one is configured."""
        base = self.settings.temporal_ui_url.rstrip("/")
        namespace = os.environ.get("TEMPORAL_NAMESPACE", "default")
        return f"{base}/namespaces/{namespace}/workflows/{workflow_id(request_id)}" if base else None


def _state(request: Request) -> State:
    return cast(State, request.app.state.mintkeeper)


Wired = Annotated[State, Depends(_state)]
"""Parameter type by which a handler receives the state."""
