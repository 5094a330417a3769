"""What a list's filter form says: every field may be missing or nonsense, and nonsense narrows nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from db.reads.lines import ORDERS, Narrowing
from domain.amounts import Asset, parse_amount
from domain.errors import InvalidInput
from domain.mint_request import MintStatus
from domain.sessions import Person

SOON: Final = timedelta(hours=2)
"""Less time left than this counts as overdue soon: policies call it urgent, too."""

LONGEST_SEARCH: Final = 200
MOST_PAGES: Final = 10_000


@dataclass(frozen=True)
class Chosen:
    """A filter form as it was sent, and what it means."""

    values: Mapping[str, str]
    statuses: tuple[MintStatus, ...]
    order: str
    page: int
    narrowing: Narrowing
    wrong: Mapping[str, str]
    """What could not be understood, by field."""

    @property
    def narrows(self) -> bool:
        """Something is filtered."""
        return self.narrowing != Narrowing() or bool(self.statuses)

    def query(self, **changes: str | int) -> str:
        """The address's query with changes; `page` goes unless it is one of them."""
        kept = {name: value for name, value in self.values.items() if value and name != "page"}
        pairs = [*(kept | {name: str(value) for name, value in changes.items()}).items()]
        pairs += [("status", status.value) for status in self.statuses]
        return "?" + urlencode([(name, value) for name, value in pairs if value])


_FIELDS = (
    "q",
    "topic",
    "asset",
    "least",
    "most",
    "assignee",
    "requester",
    "escalated",
    "soon",
    "sort",
    "page",
)


def chosen(params: QueryParams, person: Person, now: datetime) -> Chosen:
    """Read the filter form."""
    values = {name: params.get(name, "").strip()[:LONGEST_SEARCH] for name in _FIELDS}
    wrong: dict[str, str] = {}
    mine = {"me": person.name, "nobody": None, "": None}
    narrowing = Narrowing(
        topic=values["topic"] or None,
        asset=_asset(values["asset"], wrong),
        least=_amount(values, "least", wrong),
        most=_amount(values, "most", wrong),
        requester=values["requester"] or None,
        assignee=mine.get(values["assignee"], values["assignee"]),
        unassigned=values["assignee"] == "nobody",
        escalated=values["escalated"] == "1",
        expires_before=now + SOON if values["soon"] == "1" else None,
        search="".join(char for char in values["q"] if char.isprintable()),
    )
    return Chosen(
        values=values,
        statuses=_statuses(params.getlist("status")),
        order=values["sort"] if values["sort"] in ORDERS else ORDERS[0],
        page=_page(values["page"]),
        narrowing=narrowing,
        wrong=wrong,
    )


def pages(total: int, size: int) -> int:
    """So many pages there are; an empty list has one."""
    return max(1, -(-total // size))


def _statuses(names: Sequence[str]) -> tuple[MintStatus, ...]:
    return tuple(status for status in MintStatus if status.value in names)


def _page(said: str) -> int:
    return min(max(int(said), 1), MOST_PAGES) if said.isascii() and said.isdecimal() and len(said) < 9 else 1


def _asset(said: str, wrong: dict[str, str]) -> Asset | None:
    try:
        return Asset.parse(said) if said else None
    except InvalidInput as error:
        wrong["asset"] = error.message
        return None


def _amount(values: Mapping[str, str], name: str, wrong: dict[str, str]) -> int | None:
    try:
        return parse_amount(typed_amount(values[name])) if values[name] else None
    except InvalidInput as error:
        wrong[name] = error.message
        return None


def typed_amount(said: str) -> str:
    """An amount as it was typed; raises InvalidInput for a comma, which means 1,000 here and 0.1 there."""
    if "," in said:
        raise InvalidInput("write the amount without commas, and cents after a point: 2500.00", "amount")
    return said.strip()


def known(values: Iterable[str], also: str) -> list[str]:
    """What a field offers, with what was chosen even where it is offered no more."""
    return sorted({*values, *([also] if also else [])})
