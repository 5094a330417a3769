"""Choosing the requests that `list` shows."""

from __future__ import annotations

from datetime import UTC, datetime

from commands.lookup import check_tenant, check_user
from commands.urgency import is_stuck, urgency
from db import reads
from db.session import Transaction
from domain.errors import InvalidInput
from domain.mint_request import MintStatus
from domain.records import RequestRecord

_EVERY_OPEN_REQUEST = 1_000_000


async def select(
    tx: Transaction, *, status: str | None, tenant: str | None, mine: str | None, stuck: bool, limit: int
) -> list[RequestRecord]:
    """Matching requests, the most urgent first.

    Raises InvalidInput for an unknown state, NotFound for an unknown tenant or user.
    """
    wanted = _status(status)
    if tenant is not None:
        await check_tenant(tx, tenant)
    if mine is not None:
        await check_user(tx, mine, tenant)
    # who is stuck is found out below, among all that are open
    most = _EVERY_OPEN_REQUEST if stuck else limit
    if mine is None:
        found = await reads.requests(tx, status=wanted, tenant=tenant, stuck=stuck, limit=most)
    else:
        asked = await reads.requests(
            tx, status=wanted, tenant=tenant, requester=mine, stuck=stuck, limit=most
        )
        decidable = await reads.requests(
            tx, status=wanted, tenant=tenant, decidable_by=mine, stuck=stuck, limit=most
        )
        found = list({record.request.id: record for record in [*asked, *decidable]}.values())
    now = datetime.now(UTC)
    return sorted((record for record in found if not stuck or is_stuck(record, now)), key=urgency)[:limit]


def _status(text: str | None) -> MintStatus | None:
    if text is None:
        return None
    try:
        return MintStatus(text.upper())
    except ValueError as error:
        raise InvalidInput(f"unknown state {text!r}: there are {', '.join(MintStatus)}", "status") from error
