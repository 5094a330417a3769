"""Puts the web application together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response

from db.session import Database
from domain.errors import MintkeeperError
from settings import Settings
from starter.authority import open_authority
from web import health
from web.api import absences as absences_api
from web.api import acks as acks_api
from web.api import conversation as conversation_api
from web.api import dictionaries as dictionaries_api
from web.api import escalations as escalations_api
from web.api import events as events_api
from web.api import policies as policies_api
from web.api import requests as api
from web.api import sendgrid, slack, telegram
from web.api import track as track_api
from web.errors import answer_error, http_error, invalid
from web.metrics import Scrapes
from web.openapi import describe
from web.pages import (
    account,
    admin,
    asking,
    audit,
    bulk,
    dashboard,
    federated,
    home,
    inbox,
    request,
    request_actions,
    request_documents,
    sign_in,
    track,
)
from web.pages import acks as acks_pages
from web.pages import requests as pages
from web.security import SecurityHeaders
from web.state import State

_STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings) -> FastAPI:
    """The application; its connections close when it stops. Raises ConfigurationError."""
    database = Database(settings.database_url, pool_size=4)
    authority = open_authority(settings.authority_key)
    sendgrid.check_key(settings.sendgrid_webhook_key)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.mintkeeper = State(settings, database, authority, Scrapes(database))
        try:
            yield
        finally:
            await app.state.mintkeeper.background.drain()
            await database.close()

    # the interactive API pages load scripts from elsewhere, which our content policy forbids
    app = FastAPI(title="mintkeeper", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(MintkeeperError, answer_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=_hosts(settings))
    app.include_router(health.router)
    app.include_router(api.router)
    app.include_router(policies_api.router)
    app.include_router(escalations_api.router)
    app.include_router(dictionaries_api.router)
    app.include_router(conversation_api.router)
    app.include_router(track_api.router)
    app.include_router(track.router)
    app.include_router(absences_api.router)
    app.include_router(events_api.router)
    app.include_router(home.router)
    app.include_router(dashboard.router)
    app.include_router(audit.router)
    app.include_router(sign_in.router)
    app.include_router(federated.router)
    app.include_router(account.router)
    app.include_router(inbox.router)
    app.include_router(bulk.router)
    app.include_router(pages.router)
    app.include_router(asking.router)
    # after those with a word of their own in the place of the id
    app.include_router(request.router)
    app.include_router(request_documents.router)
    app.include_router(request_actions.router)
    app.include_router(admin.router)
    app.include_router(acks_api.router)
    app.include_router(acks_pages.router)
    app.include_router(sendgrid.router)
    app.include_router(slack.router)
    app.include_router(telegram.router)
    describe(app)
    app.mount("/static", _Static(directory=_STATIC), name="static")
    return app


class _Static(StaticFiles):
    """Files that a browser keeps, and asks each time whether they are still so: an upgrade shows at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def _hosts(settings: Settings) -> list[str]:
    """Names under which a browser may reach us: without this, any site could read us by DNS rebinding."""
    public = urlsplit(settings.public_url).hostname
    return ["127.0.0.1", "localhost", *([public] if public else [])]
