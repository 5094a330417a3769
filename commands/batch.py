"""Submitting many requests from a CSV file: a good row goes through, a bad one is reported by its line."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.documents import Document
from commands.submitting import Receipt, Submitter, prepare
from domain.errors import InvalidInput, MintkeeperError, Unavailable
from settings import Settings
from starter.requests import Wanted

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("asset", "amount", "to", "topic", "requester", "tenant", "memo", "deadline", "key")
"""Named as the options of `submit`; a column that is missing or a cell that is empty takes the option."""

_PARALLEL = 8

Defaults = dict[str, str | None]


@dataclass(frozen=True)
class Row:
    """One line of the file: what it asks for, or why it can't be read."""

    line: int
    wanted: Wanted | None
    error: MintkeeperError | None = None


@dataclass(frozen=True)
class RowResult:
    """What became of a row."""

    line: int
    receipt: Receipt | None
    error: MintkeeperError | None

    def document(self) -> Document:
        """As `submit --file --json` gives it."""
        if self.receipt is not None:
            return {"line": self.line, **self.receipt.document()}
        error = self.error or MintkeeperError("not submitted")
        return {"line": self.line, "error": {"code": error.code, "message": error.message}}


def read_rows(path: Path, defaults: Defaults) -> list[Row]:
    """Read the file; raises InvalidInput when it is not a CSV with our columns at all."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_rows(csv.reader(file, strict=True), path, defaults))
    except OSError as error:
        raise InvalidInput(f"{path} can't be read: {error.strerror}", "file") from error
    except csv.Error as error:
        raise InvalidInput(f"{path} is not CSV: {error}", "file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text", "file") from error


def _rows(reader: Reader, path: Path, defaults: Defaults) -> Iterator[Row]:
    header = [name.strip().lower() for name in next(reader, [])]
    unknown = sorted(set(header) - set(COLUMNS))
    if not header or unknown or len(set(header)) < len(header):
        named = f"unknown column {unknown[0]!r}" if unknown else "no header, or a column twice"
        raise InvalidInput(f"{path}: {named}; the columns are {', '.join(COLUMNS)}", "file")
    while True:
        # a quoted cell may span lines: a row is known by the line on which it begins
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, None, InvalidInput(f"this line is not CSV: {error}", "file"))
            return
        if any(cell.strip() for cell in cells):
            yield _row(line, header, cells, defaults)


def _row(line: int, header: list[str], cells: list[str], defaults: Defaults) -> Row:
    if len(cells) != len(header):
        message = f"{len(cells)} cells where the header has {len(header)}"
        return Row(line, None, InvalidInput(message, "file"))
    given = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
    try:
        return Row(line, wanted_from({**defaults, **given}))
    except InvalidInput as error:
        return Row(line, None, error)


def wanted_from(given: Defaults) -> Wanted:
    """Put a request together from options or cells; raises InvalidInput for one that is missing."""
    for name in ("asset", "amount", "to", "topic", "requester", "tenant"):
        if not given.get(name):
            raise InvalidInput(f"{name} is missing: give --{name}, or a column of that name", name)
    return Wanted(
        tenant=given["tenant"] or "",
        asset=given["asset"] or "",
        amount=given["amount"] or "",
        destination=given["to"] or "",
        topic=given["topic"] or "",
        requester=given["requester"] or "",
        memo=given.get("memo") or "",
        deadline=given.get("deadline") or None,
        key=given.get("key") or None,
    )


async def submit_rows(
    rows: Iterable[Row], submitter: Submitter, settings: Settings, on_result: Callable[[RowResult], None]
) -> list[RowResult]:
    """Submit every good row, several at a time; after an outage the rest are reported as not tried."""
    turn = asyncio.Semaphore(_PARALLEL)
    outage: list[Unavailable] = []

    async def one(row: Row) -> RowResult:
        async with turn:
            result = await _submit_row(row, submitter, settings, outage)
        on_result(result)
        return result

    return list(await asyncio.gather(*(one(row) for row in rows)))


async def _submit_row(
    row: Row, submitter: Submitter, settings: Settings, outage: list[Unavailable]
) -> RowResult:
    if row.wanted is None:
        return RowResult(row.line, None, row.error)
    try:
        request = prepare(row.wanted, settings)
        if outage:
            return RowResult(row.line, None, Unavailable(f"not tried after an outage: {outage[0].message}"))
        receipt = await submitter.submit(request, keyed=row.wanted.key is not None)
        return RowResult(row.line, receipt, None)
    except Unavailable as error:
        outage.append(error)
        return RowResult(row.line, None, error)
    except MintkeeperError as error:
        return RowResult(row.line, None, error)


def results_document(results: list[RowResult]) -> Document:
    """As `submit --file --json` gives it; `error` is there when a row was refused."""
    refused = [result.line for result in results if result.receipt is None]
    document: Document = {
        "results": [result.document() for result in results],
        "submitted": len(results) - len(refused),
        "refused": len(refused),
    }
    if refused:
        lines = f"line{'s' if len(refused) > 1 else ''} {', '.join(map(str, refused[:20]))}"
        more = f" and {len(refused) - 20} more" if len(refused) > 20 else ""
        message = f"{len(refused)} of {len(results)} rows were refused: {lines}{more}"
        document["error"] = {"code": "rows_refused", "message": message}
    return document
