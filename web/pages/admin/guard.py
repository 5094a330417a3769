"""Who may use the admin panel, and what a change of weight asks for besides."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from db.writes.entries import By
from domain.errors import AccessRefused, InvalidInput, MintkeeperError
from domain.passes import AccessRefusal
from domain.sessions import Person, SessionKind
from web.people import Admin, address_of, field
from web.rendering import redirect
from web.state import State

CODE = "code"
_LONGEST_NEWS = 700
"""Characters: a cookie carries it to the next page."""


async def _at_desk(person: Admin) -> Person:
    if person.kind is not SessionKind.BROWSER:
        raise AccessRefused(
            "the admin panel is for people: sign in with a browser", AccessRefusal.NOT_ENTITLED
        )
    return person


AtDesk = Annotated[Person, Depends(_at_desk)]
"""Parameter type of every handler of the panel: an active admin, signed in with a browser."""


def by(person: Person) -> By:
    """Whose dictionaries, and who changes them now."""
    return By(person.tenant, person.name, datetime.now(UTC))


async def second_factor(request: Request, state: State, person: Person, form: FormData) -> None:
    """Ask for a fresh code where an authenticator is set up; raises InvalidInput with the field `code`.

    Call it last before the change: a code is good once.
    """
    if not person.has_totp:
        return
    typed = field(form, CODE).strip()
    if not typed:
        told = "type the code that your authenticator app shows now"
        raise InvalidInput("a change like this needs a second factor", fields={CODE: told})
    try:
        await state.accounts.step_up(person, typed, address=address_of(request))
    except AccessRefused as error:
        raise InvalidInput("the second factor is not right", fields={CODE: error.message}) from error


async def attempt(state: State, back: str, work: Awaitable[str]) -> Response:
    """Do something and go back to a page, which says what was done or why it was not."""
    try:
        told, bad = await work, False
    except MintkeeperError as error:
        told, bad = error.message, True
    return redirect(state, back, shortened(told), bad=bad)


def shortened(told: str) -> str:
    """As much of it as a cookie carries."""
    return told if len(told) <= _LONGEST_NEWS else f"{told[:_LONGEST_NEWS]}…"


def path(*parts: str) -> str:
    """A path of the panel; every part is escaped."""
    return "/".join(("/admin", *(quote(part, safe="") for part in parts)))
