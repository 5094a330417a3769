"""Out of office: the period, who stands in, and what may be asked for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from domain.approvals import ActorRole
from domain.errors import InvalidInput
from domain.text import PlainText, UserName

LONGEST: Final = timedelta(days=92)
"""Longest absence: whoever is away for longer needs a successor, not a delegate."""

AHEAD: Final = timedelta(days=366)
"""How long before its start an absence may be set: a year of five digits would stop all who read it."""

MOST_PLANNED: Final = 50
"""So many absences of one person may last or be to come: every decision of their delegates reads them."""

BACKDATED: Final = timedelta(minutes=5)
"""How far in the past an absence may start when it is set; the authority moves only from then on."""

_frozen = ConfigDict(frozen=True)


def _text(value: Any) -> Any:
    if isinstance(value, str | datetime):
        return value
    msg = "a moment is a text such as 2026-12-24T09:00:00Z"
    raise ValueError(msg)


Moment = Annotated[AwareDatetime, BeforeValidator(_text)]
"""With its time zone, and never a bare number."""


class Absence(BaseModel):
    """A period [starts_at, ends_at) in which `user` is out of office; `delegate` acts for them, if any."""

    model_config = _frozen

    id: str
    tenant: str
    user: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    """Moved to the moment at which it was ended early."""
    delegate: str | None = None
    reason: str = ""
    set_by: str
    set_at: AwareDatetime
    ended_by: str | None = None
    """Who ended it early."""

    def lasts(self, at: datetime) -> bool:
        """Tell whether the user is away at `at`."""
        return self.starts_at <= at < self.ends_at


class Party(BaseModel):
    """Somebody of a delegation, as they are now; the keys are raw, registered and not revoked."""

    model_config = _frozen

    name: str
    active: bool
    roles: frozenset[ActorRole]
    tier: int | None
    public_keys: tuple[bytes, ...] = ()


class Delegation(BaseModel):
    """A lasting absence with a delegate, and what is needed to prove that somebody entitled signed it."""

    model_config = _frozen

    absence: Absence
    absent: Party
    setter: Party | None
    """Who is said to have signed it; None: nobody of that name is registered."""
    envelope: Any
    """The signed command `absence.set`, as it is stored."""


class Wish(BaseModel):
    """The body of a command `absence.set`; its target is the user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    starts_at: Annotated[Moment, Field(alias="from")]
    ends_at: Annotated[Moment, Field(alias="until")]
    delegate: UserName | None = None
    reason: PlainText = ""

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Wish:
        """Read what was signed; raises InvalidInput with the field."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise InvalidInput(f"the absence's {where} is not valid: {first['msg']}", where) from error

    def check(self, user: str, now: datetime) -> None:
        """Raise InvalidInput for a period or a delegate that can't be, at `now`."""
        if self.ends_at <= self.starts_at:
            raise InvalidInput("the absence ends before it starts", "until")
        if self.ends_at <= now:
            raise InvalidInput("the absence is over already: no authority moves in the past", "until")
        if self.starts_at < now - BACKDATED:
            raise InvalidInput(
                f"the absence starts more than {BACKDATED.seconds // 60} minutes in the past: "
                "let it start now",
                "from",
            )
        if self.starts_at > now + AHEAD:
            raise InvalidInput(f"the absence starts in more than {AHEAD.days} days: set it later", "from")
        if self.ends_at - self.starts_at > LONGEST:
            raise InvalidInput(f"the absence is longer than {LONGEST.days} days", "until")
        if self.delegate is not None and same_person(self.delegate, user):
            raise InvalidInput("nobody stands in for themselves: name somebody else", "delegate")


def same_person(one: str, other: str) -> bool:
    """Names that differ in case only are one person's."""
    return one.casefold() == other.casefold()


def absence_id(command_id: str) -> str:
    """The id of the absence that a command sets: a row can't claim another's command as its own."""
    digest = hashlib.sha256(f"absence:{command_id}".encode()).digest()
    return "abs_" + base64.b32encode(digest).decode()[:26]
