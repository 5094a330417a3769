"""What a request handler needs: settings and open connections."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from db.session import Database
from domain.ack import Authority
from domain.mint_request import workflow_id
from settings import Settings
from web.metrics import Scrapes


@dataclass(frozen=True)
class State:
    """Built once when the application starts."""

    settings: Settings
    database: Database
    authority: Authority
    scrapes: Scrapes

    def workflow_url(self, request_id: str) -> str | None:
        """The request's workflow in the Temporal Web UI, where one is configured."""
        base = self.settings.temporal_ui_url.rstrip("/")
        namespace = os.environ.get("TEMPORAL_NAMESPACE", "default")
        return f"{base}/namespaces/{namespace}/workflows/{workflow_id(request_id)}" if base else None


def _state(request: Request) -> State:
    return cast(State, request.app.state.mintkeeper)


Wired = Annotated[State, Depends(_state)]
"""Parameter type by which a handler receives the state."""
