"""For operators: alive, ready, and figures for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import httpx
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from temporalio.service import RPCError

from domain.errors import MintkeeperError, Unavailable
from starter.temporal import connect
from web.state import Wired

router = APIRouter(tags=["operators"])

_PATIENCE_SECONDS = 3.0


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(state: Wired) -> JSONResponse:
    """Database, Temporal and Horizon can be reached; 503 names those that can't."""
    names = ("database", "temporal", "horizon")
    answers = await asyncio.gather(
        _check(state.database.ping()), _check(_temporal()), _check(_horizon(state.settings.horizon_url))
    )
    ready = all(answer == "ok" for answer in answers)
    document = {"ready": ready, "checks": dict(zip(names, answers, strict=True))}
    return JSONResponse(document, status_code=200 if ready else 503)


@router.get("/metrics")
async def metrics(state: Wired) -> Response:
    """Prometheus text format; 503 with a line while the database, which counts, is away."""
    try:
        return Response(await state.scrapes.text(), media_type=CONTENT_TYPE_LATEST)
    except Unavailable as error:
        return PlainTextResponse(f"{error.message}\n", status_code=503)


async def _check(probe: Awaitable[object]) -> str:
    try:
        await asyncio.wait_for(probe, _PATIENCE_SECONDS)
    except (MintkeeperError, RPCError, httpx.HTTPError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__
    except TimeoutError:
        return f"no answer in {_PATIENCE_SECONDS:.0f} s"
    return "ok"


async def _temporal() -> None:
    await connect()


async def _horizon(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.get(url)).raise_for_status()
