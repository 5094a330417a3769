"""Who may use the admin panel, and what a change of weight asks for besides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.datastructures import FormData

from db.writes.entries import By
from domain.errors import AccessRefused, InvalidInput
from domain.sessions import Person
from web.people import Present, address_of, field, require
from web.state import State

CODE = "code"


async def _at_desk(person: Present) -> Person:
    require(person, "admin")
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


def path(*parts: str) -> str:
    """A path of the panel; every part is escaped."""
    return "/".join(("/admin", *(quote(part, safe="") for part in parts)))
