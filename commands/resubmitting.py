"""Asking again for what ended without a mint."""

from __future__ import annotations

from commands.context import Cli
from commands.lookup import load_request
from commands.submitting import Receipt, Submitter, prepare
from domain.amounts import format_amount
from domain.errors import Refused
from domain.mint_request import RESUBMITTABLE, MintRequest
from domain.records import RequestRecord
from settings import Settings
from starter.requests import Wanted


async def resubmit_request(
    cli: Cli, name: str, *, requester: str, key: str | None, deadline: str | None
) -> Receipt:
    """Submit the same content as a new request; raises Refused unless the old one allows it.

    The old deadline for the ledger holds for the new request, too, unless another one is given.
    """
    settings = cli.settings()
    async with cli.database() as database:
        old = await load_request(database, name)
        request = prepare_again(old, settings, requester=requester, key=key, deadline=deadline)
        submitter = Submitter(database, await cli.temporal(), settings)
        return await submitter.submit(request, keyed=key is not None)


def prepare_again(
    old: RequestRecord, settings: Settings, *, requester: str, key: str | None, deadline: str | None = None
) -> MintRequest:
    """The request that asks for the same once more; raises Refused unless the old one allows it."""
    request = prepare(_wanted(old, requester, key, deadline), settings)
    # with a key, the request that took the old one's place may be this very one
    if old.resubmitted_as != request.id:
        _check(old)
    return request


def _check(old: RequestRecord) -> None:
    if old.status not in RESUBMITTABLE:
        raise Refused(f"{old.request.id} is {old.status}: only what ended without a mint can be re-submitted")
    if old.resubmitted_as is not None:
        raise Refused(f"{old.request.id} was re-submitted already, as {old.resubmitted_as}")


def _wanted(old: RequestRecord, requester: str, key: str | None, deadline: str | None) -> Wanted:
    request = old.request
    if deadline is None and request.ledger_deadline is not None:
        deadline = request.ledger_deadline.isoformat()
    return Wanted(
        tenant=request.tenant,
        asset=str(request.asset),
        amount=format_amount(request.amount),
        destination=request.destination,
        topic=request.topic,
        requester=requester,
        memo=request.memo,
        deadline=deadline,
        key=key,
        resubmission_of=request.id,
    )
