"""Using an acknowledgement link: JSON for API clients, a page for people."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from domain.ack import AckReceipt
from domain.errors import MintkeeperError
from starter.acks import acknowledge
from starter.temporal import connect
from web.errors import problem
from web.pages.acks import authority_of, left_page, receipt_page, refusal_page
from web.state import Wired

router = APIRouter(tags=["acks"])


# a path: the standard base64 alphabet has slashes
@router.post("/acks/{token:path}", responses={202: {}, 400: {}, 403: {}, 409: {}, 410: {}, 503: {}})
async def use(request: Request, state: Wired, token: str) -> Response:
    """Say "I am on it" with the token of a message; again with the same token: the same receipt."""
    for_people = "text/html" in request.headers.get("accept", "")
    try:
        receipt = await acknowledge(connect, state.database, authority_of(state), token)
    except MintkeeperError as error:
        return refusal_page(request, error) if for_people else await problem(request, error)
    if receipt is None:
        return left_page(request) if for_people else JSONResponse({"acknowledged": None}, status_code=202)
    return receipt_page(request, receipt) if for_people else _receipt(receipt)


def _receipt(receipt: AckReceipt) -> JSONResponse:
    return JSONResponse(receipt.model_dump(mode="json"))
