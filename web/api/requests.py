"""Mint requests, to read."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from commands.documents import request_document
from commands.listing import select
from domain.mint_request import MintStatus
from web.lookup import document_of
from web.state import Wired

router = APIRouter(prefix="/api/requests", tags=["requests"])

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]


@router.get("")
async def list_requests(
    state: Wired, status: MintStatus | None = None, tenant: str | None = None, limit: Limit = 200
) -> dict[str, Any]:
    """The most urgent first, each as `mintkeeper list --json` gives it."""
    async with state.database.transaction() as tx:
        records = await select(tx, status=status, tenant=tenant, mine=None, stuck=False, limit=limit)
    return {"requests": [request_document(record) for record in records]}


@router.get("/{request_id}")
async def show_request(state: Wired, request_id: str) -> dict[str, Any]:
    """One request by id or track number, as `mintkeeper show --json` gives it."""
    return await document_of(state.database, request_id)
