"""Pages of records: cursor, order and limit as Horizon takes them, links to the pages around."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web

from sandbox.ledger.http.problems import bad_request
from sandbox.ledger.node import View

_DEFAULT_LIMIT = 10
_HIGHEST_LIMIT = 200
_INT64_DIGITS = 19
_IN_LEDGER = (1 << 32) - 1

Record = TypeVar("Record")
Place = tuple[Any, ...]


class BadParameterError(Exception):
    """A query parameter is wrong; ``response`` is the problem to answer."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.response = bad_request(field, reason)


def last_token(view: View) -> int:
    """The highest position in history that a view may show."""
    return view.ledger.sequence << 32 | _IN_LEDGER


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a collection is asked for."""

    cursor: str
    descending: bool
    limit: int

    @classmethod
    def of(cls, request: web.Request, view: View) -> Page:
        """From the query, in which ``now`` is behind all that the view shows.

        Raises:
            BadParameterError: a value is wrong.
        """
        order = request.query.get("order") or "asc"
        if order not in ("asc", "desc"):
            raise BadParameterError("order", "order: invalid value")
        cursor = request.query.get("cursor", "")
        if cursor == "now":
            cursor = str(last_token(view))
        cursor = request.headers.get("Last-Event-ID") or cursor
        if cursor.startswith("-"):
            raise BadParameterError("cursor", "cursor: must not be negative")
        return cls(cursor, order == "desc", _limit(request.query.get("limit", "")))

    def number(self) -> int | None:
        """The cursor as a position in history; None without one.

        Raises:
            BadParameterError: it is no position.
        """
        return _position(self.cursor) if self.cursor else None

    def pair(self) -> tuple[int, int] | None:
        """The cursor as an operation and a position behind it, all of the operation if it names none.

        Raises:
            BadParameterError: it is neither.
        """
        if not self.cursor:
            return None
        operation, dash, index = self.cursor.partition("-")
        return _position(operation), _position(index) if dash else _IN_LEDGER

    def of_history(
        self, records: Sequence[Record], token: Callable[[Record], int], last_token: int
    ) -> Iterator[Record]:
        """The records behind the cursor, in order. They ascend by token; above ``last_token`` is hidden."""
        end = bisect_right(records, last_token, key=token)
        cursor = self.number()
        if not self.descending:
            start = 0 if cursor is None else bisect_right(records, cursor, key=token)
            return (records[index] for index in range(start, end))
        if cursor is not None:
            end = min(end, bisect_left(records, cursor, key=token))
        return (records[index] for index in range(end - 1, -1, -1))

    def of_names(
        self, records: Iterable[Record], token: Callable[[Record], str], place: Callable[[str], Place]
    ) -> list[Record]:
        """The same for tokens that are text and have a place in an order, for which ValueError is none.

        Raises:
            BadParameterError: the cursor has no place.
        """
        ordered = sorted(records, key=lambda record: place(token(record)), reverse=self.descending)
        if not self.cursor:
            return ordered
        try:
            behind = place(self.cursor)
        except ValueError as error:
            raise BadParameterError("cursor", "cursor: invalid value") from error
        if self.descending:
            return [record for record in ordered if place(token(record)) < behind]
        return [record for record in ordered if place(token(record)) > behind]

    def take(self, records: Iterable[Record]) -> list[Record]:
        """As many as the page holds."""
        return list(islice(records, self.limit))


def _limit(text: str) -> int:
    if not text:
        return _DEFAULT_LIMIT
    if not text.isdecimal() or len(text) > _INT64_DIGITS or not 1 <= int(text) <= _HIGHEST_LIMIT:
        raise BadParameterError("limit", f"limit: must be between 1 and {_HIGHEST_LIMIT}")
    return int(text)


def _position(text: str) -> int:
    if not text.isdecimal() or len(text) > _INT64_DIGITS:
        raise BadParameterError("cursor", "cursor: invalid value")
    return int(text)


def page_response(
    request: web.Request, base_url: str, page: Page, tokens: Sequence[str], bodies: Sequence[bytes]
) -> web.Response:
    """The page with its links; ``bodies`` are rendered records, ``tokens`` their positions."""
    order, other = ("desc", "asc") if page.descending else ("asc", "desc")
    keep = {key: value for key, value in request.query.items() if key not in ("cursor", "limit", "order")}

    def link(cursor: str, direction: str) -> dict[str, str]:
        query = {"cursor": cursor, "limit": str(page.limit), "order": direction}
        return {"href": f"{base_url}{request.path}?{urlencode(keep | query)}"}

    links = {
        "self": link(page.cursor, order),
        "next": link(tokens[-1] if tokens else page.cursor, order),
        "prev": link(tokens[0] if tokens else page.cursor, other),
    }
    body = b'{"_links":%b,"_embedded":{"records":[%b]}}' % (json.dumps(links).encode(), b",".join(bodies))
    return hal(body)


def hal(body: bytes, status: int = 200) -> web.Response:
    """A resource."""
    return web.Response(
        status=status,
        body=body,
        content_type="application/hal+json",
        charset="utf-8",
        headers={"Cache-Control": "no-cache, no-store, max-age=0"},
    )
