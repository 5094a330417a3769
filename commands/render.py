"""What people see: tables and panels. Text from users is never read as markup."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from commands.documents import Document, next_due
from domain.amounts import format_amount
from domain.ledger_options import MintForm
from domain.mint_request import TERMINAL, MintStatus, utc_text
from domain.records import RequestRecord

if TYPE_CHECKING:
    from commands.findings import Finding

_STYLES = {
    MintStatus.PENDING: "yellow",
    MintStatus.APPROVED: "cyan",
    MintStatus.SUBMITTING: "cyan",
    MintStatus.CONFIRMED: "green",
    MintStatus.ANOMALY: "bold white on red",
}
_TOLD = (
    *("stage", "deliveries", "tier", "onBehalfOf", "assignee", "status", "outcome", "text", "filename"),
    *("message", "reason"),
)
"""Details of an audit event that a timeline tells people; `show --json` has them all."""

_TURNS = dict.fromkeys(map(ord, "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
"""Characters without width by which a user's text could turn around, or break, the line that it stands in."""

_PLAIN_WIDTH = 200
"""Columns where no terminal sets a width, so that ids and hashes stay whole in a pipe."""


def print_rich(*parts: RenderableType) -> None:
    """Print to stdout, as wide as the terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PLAIN_WIDTH
    console = Console(file=sys.stdout, width=width)
    with console.capture() as printed:
        console.print(*parts)
    sys.stdout.write(printed.get().translate(_TURNS))


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> None:
    """Print a table of texts, or `empty` when there is nothing in it."""
    if not rows:
        print_rich(Text(empty))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        # what names a line can be copied in one piece
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    print_rich(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def request_table(records: Sequence[RequestRecord]) -> None:
    """Print `list`: one line a request."""
    now = datetime.now(UTC)
    rows = [
        (
            record.request.id,
            status_text(record),
            f"{format_amount(record.request.amount)} {record.request.asset.code}",
            record.request.topic,
            record.request.requester,
            record.assignee,
            _awaited(record),
            time_left(record, now),
            _expiry(record, now),
        )
        for record in records
    ]
    columns = ("id", "status", "amount", "topic", "requester", "assignee", "awaits", "next", "expires")
    plain_table(columns, rows, "no requests")


def request_view(record: RequestRecord, document: Document, url: str | None) -> None:
    """Print `show`: the panel, then the timeline."""
    print_rich(request_panel(record, document, url))


def request_panel(record: RequestRecord, document: Document, url: str | None) -> RenderableType:
    """A request at a glance, with its timeline below."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for name, value in _facts(record, document, url):
        facts.add_row(name, value if isinstance(value, Text) else Text(value))
    title = Text(f" {record.request.id} ").append(status_text(record))
    return Group(Panel(facts, title=title, expand=False), _timeline(document["timeline"]))


def _facts(record: RequestRecord, document: Document, url: str | None) -> Iterator[tuple[str, str | Text]]:
    request, now = record.request, datetime.now(UTC)
    yield "mint", f"{format_amount(request.amount)} {request.asset} -> {request.destination}"
    yield "for", f"{request.requester} of {request.tenant}, topic {request.topic}"
    yield "track number", request.track_number
    if request.memo:
        yield "memo", request.memo
    if request.ledger_deadline:
        yield "no later than", utc_text(request.ledger_deadline)
    if request.resubmission_of:
        yield "re-submission of", request.resubmission_of
    if record.resubmitted_as:
        yield "re-submitted as", record.resubmitted_as
    for approval in record.approvals:
        whose = f"for {approval.on_behalf_of}, " if approval.on_behalf_of else ""
        yield "approved by", f"{approval.approver} ({whose}tier {approval.tier}) {approval.reason}".rstrip()
    if record.status is MintStatus.PENDING:
        tiers = ", ".join(map(str, document["eligible_tiers"]))
        yield "awaits", f"{record.missing.text()}; tier {tiers} may decide"
        yield "assignee", _assignee(record)
        if document["acknowledged"]:
            yield "on it", f"{document['acknowledged']['by']} since {document['acknowledged']['at']}"
    if due := next_due(record):
        yield "next", f"{due.name} {_countdown(due.at, now)}"
        yield "expires", f"{document['expires_at']} ({_countdown(record.expires_at, now)})"
    if record.status is MintStatus.ANOMALY:
        yield "next", f"see what happened: mintkeeper ledger inspect {request.id}"
    if ticket := document["ticket"]:
        yield "ticket", f"{ticket['name']}, {ticket['reason'] or 'waits for the ledger'}"
    if sent := document["submission"]:
        yield from _submission_facts(sent)
        for bump in record.submission.fee_bumps if record.submission else ():
            yield "fee bump", f"{bump.hash}, fee at most {bump.fee} stroops"
    if record.reason:
        yield "reason", record.reason
    yield "digest", document["digest"]
    if url:
        yield "workflow", Text(url, style="blue underline")


def _assignee(record: RequestRecord) -> str:
    if record.assigned_at is None:
        since = f" since {utc_text(record.unassigned_since)}" if record.unassigned_since else ""
        return f"nobody{since}"
    how = ", by the sweep: whoever claims it gets it" if record.assigned_automatically else ""
    return f"{record.assignee} since {utc_text(record.assigned_at)}{how}"


def _submission_facts(sent: Document) -> Iterator[tuple[str, str]]:
    bound = datetime.fromtimestamp(sent["max_time"], UTC).isoformat().replace("+00:00", "Z")
    yield "transaction", sent["hash"]
    yield "from", f"{sent['channel']}, sequence {sent['sequence']}, time bound {bound}"
    if sent["form"] != MintForm.PAYMENT:
        yield "form", sent["form"].replace("_", " ")
    if sent["claimable_balance_id"]:
        yield "claimable balance", f"{sent['claimable_balance_id']}, the issuer's from {sent['reclaim_from']}"
    if sent["outcome"]:
        ledger = f" in ledger {sent['ledger']}" if sent["ledger"] else ""
        yield "outcome", f"{sent['outcome']}{ledger} (proof: {sent['proof']['kind']})"


def _timeline(entries: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("when", "what", "who", "details", box=box.SIMPLE_HEAD, pad_edge=False)
    for entry in entries:
        table.add_row(*(Text(cell) for cell in _timeline_cells(entry)))
    return table


def _timeline_cells(entry: Mapping[str, Any]) -> tuple[str, str, str, str]:
    details = entry.get("text") or _details(entry.get("details"))
    return str(entry["at"]), str(entry["kind"]), str(entry.get("actor") or ""), details


def _details(details: object) -> str:
    """The few details that the panel above the timeline does not show already."""
    given = details if isinstance(details, Mapping) else {}
    told = {name: given[name] for name in _TOLD if given.get(name) not in (None, "")}
    return ", ".join(f"{name} {_cell(value)}" for name, value in told.items())


def timeline_line(entry: Mapping[str, Any]) -> str:
    """One entry of a timeline as a line."""
    return "  ".join(cell for cell in _timeline_cells(entry) if cell)


def results_table(document: Document) -> None:
    """Print what became of each row of a file."""
    rows = [
        (row["line"], Text("refused", style="red"), row["error"]["message"])
        if "error" in row
        else (row["line"], Text(row["status"]), f"{row['id']}  {row['summary']}")
        for row in document["results"]
    ]
    plain_table(("line", "result", ""), rows, "the file has no rows")
    print_rich(Text(f"{document['submitted']} submitted, {document['refused']} refused"))


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr; call the answer once for each thing done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def status_text(record: RequestRecord) -> Text:
    """The state in its colour."""
    return Text(record.status.value, style=_STYLES.get(record.status, "red"))


def time_left(record: RequestRecord, now: datetime) -> str:
    """What time does next and when; for an ended request, since when."""
    if due := next_due(record):
        return f"{due.name} {_countdown(due.at, now)}"
    if record.status in TERMINAL:
        return f"ended {_span(now - (record.ended_at or record.last_activity_at))} ago"
    return "the ledger decides" if record.status is not MintStatus.ANOMALY else "an admin has to resolve it"


def _expiry(record: RequestRecord, now: datetime) -> str:
    return _countdown(record.expires_at, now) if record.status is MintStatus.PENDING else ""


def _awaited(record: RequestRecord) -> str:
    return record.missing.text() if record.status is MintStatus.PENDING else ""


def _countdown(moment: datetime, now: datetime) -> str:
    return f"in {_span(moment - now)}" if moment > now else f"{_span(now - moment)} overdue"


def _span(span: timedelta) -> str:
    seconds = int(abs(span.total_seconds()))
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours >= 48:
        return f"{hours // 24} d"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes >= 5 else f"{seconds} s"


def findings_table(findings: Sequence[Finding]) -> None:
    """Print what `doctor` found."""
    styles = {"ok": "green", "note": "yellow", "failed": "red"}
    rows = [
        (finding.name, Text(finding.state, style=styles[finding.state]), finding.detail, finding.mend)
        for finding in findings
    ]
    plain_table(("check", "", "found", "to mend it"), rows, "nothing to check")


def plain_fields(document: Mapping[str, Any]) -> None:
    """Print one thing as names and values."""
    grid = Table.grid(padding=(0, 2))
    for name, value in document.items():
        grid.add_row(Text(name.replace("_", " "), style="dim"), Text(_cell(value)))
    print_rich(grid)
