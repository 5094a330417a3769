"""What people do with a request: each a form of its page, and a redirect back with what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData, UploadFile

from domain.approvals import ActorRole, RefusalReason
from domain.errors import AccessRefused, DecisionRefused, MintkeeperError, NotFound, OutcomeUnknown, Refused
from web import request_deeds as deeds
from web.acting import load_visible
from web.errors import status_of
from web.filters import sentence
from web.pages.request import render
from web.people import SignedIn, form_of, require
from web.rendering import redirect
from web.request_deeds import Deed
from web.request_view import Typed
from web.state import Wired

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_DESK: Final[tuple[ActorRole, ...]] = ("approver", "admin")
"""Who works on requests: a mere requester gives them to nobody, and an auditor only looks."""

_ALL: Final[tuple[ActorRole, ...]] = ("requester", "approver", "admin")


@dataclass(frozen=True)
class _Verb:
    """A form of the page, by the last word of its address."""

    do: Callable[[Deed], Awaitable[str]]
    """Does it and answers the news; raises what the rules say against it."""
    roles: tuple[ActorRole, ...] = _ALL
    opens: str = ""
    """The form that the page shows open afterwards."""


_VERBS: Final = {
    "approve": _Verb(deeds.approve),
    "reject": _Verb(deeds.reject),
    "cancel": _Verb(deeds.cancel),
    "code": _Verb(deeds.send_code, _DESK, opens="approve"),
    "claim": _Verb(deeds.claim, _DESK),
    "release": _Verb(deeds.release, _DESK),
    "assign": _Verb(deeds.assign, _DESK),
    "acknowledge": _Verb(deeds.acknowledge, _DESK),
    "comment": _Verb(deeds.comment),
}


@router.post("/requests/{name}/resubmit")
async def resubmit(request: Request, state: Wired, person: SignedIn, name: str) -> Response:
    """Ask again for what ended without a mint, and go to the new request."""
    require(person, *_ALL)
    deed = Deed(request, state, person, await load_visible(state, person, name), await form_of(request))
    try:
        receipt = await deeds.resubmit(deed)
    except MintkeeperError as error:
        return await undone(deed, "resubmit", error)
    news = "Asked again, with fresh approvals: this is the new request."
    return redirect(state, f"/requests/{receipt.request.id}", news)


@router.post("/requests/{name}/{word}")
async def act(request: Request, state: Wired, person: SignedIn, name: str, word: str) -> Response:
    """Do what the form says, and tell on the page what came of it."""
    verb = _VERBS.get(word)
    if verb is None:
        raise NotFound("there is no such page")
    require(person, *verb.roles)
    deed = Deed(request, state, person, await load_visible(state, person, name), await form_of(request))
    try:
        news = await verb.do(deed)
    except MintkeeperError as error:
        return await undone(deed, word, error)
    opened = f"?open={verb.opens}" if verb.opens else ""
    return redirect(state, f"/requests/{deed.record.request.id}{opened}", news)


@router.get("/requests/{name}/{word}")
async def look_instead(state: Wired, person: SignedIn, name: str, word: str) -> Response:
    """The page itself, for who comes back to the address of a form, as after signing in."""
    if word not in (*_VERBS, "resubmit", "documents"):
        raise NotFound("there is no such page")
    record = await load_visible(state, person, name)
    return redirect(state, f"/requests/{record.request.id}")


async def undone(deed: Deed, word: str, error: MintkeeperError) -> Response:
    """Tell what a rule refuses on the page as it is now; where a second try helps, nothing typed is lost."""
    if isinstance(error, Refused) and not _worth_another_try(error):
        return redirect(deed.state, f"/requests/{deed.record.request.id}", sentence(error.message), bad=True)
    told = sentence(error.message)
    if isinstance(error, OutcomeUnknown):
        told = (
            "No answer yet: it may still take effect. Look again in a moment; sending the same form once "
            "more does no harm."
        )
    kept = _kept(deed.form)
    if isinstance(error, DecisionRefused):
        # that decision is answered for good: what is typed next is another one
        kept.pop("decision_id", None)
    typed = Typed(word, kept, told)
    return await render(
        deed.request, deed.state, deed.person, deed.record.request.id, typed, status_of(error)
    )


def _kept(form: FormData) -> dict[str, str]:
    """What was typed, but for the code, which is good once."""
    return {
        name: value for name, value in form.items() if not isinstance(value, UploadFile) and name != "code"
    }


def _worth_another_try(error: Refused) -> bool:
    """A wrong or missing code, or reason, can be typed again."""
    if isinstance(error, DecisionRefused):
        return error.reason in (RefusalReason.STEP_UP_REQUIRED, RefusalReason.REASON_MISSING)
    return isinstance(error, AccessRefused)
