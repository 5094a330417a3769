"""Live progress on stderr: a table that follows the requests, or one line per event where no terminal is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from commands.demo.plays import Part
from commands.render import status_text, time_left
from domain.amounts import format_amount
from domain.records import RequestRecord


class Screen:
    """What people watch while the demo plays; tells the same to a log."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)

    @contextmanager
    def lit(self) -> Iterator[None]:
        """Show the table while the block runs; a log needs none."""
        if not self._console.is_terminal:
            yield
            return
        with self._live:
            yield

    def note(self, text: str) -> None:
        """A step of the stack."""
        self._console.print(Text(text, style="dim"), soft_wrap=True)

    def invite(self, count: int, url: str, password: str) -> None:
        """The last word: what a new user can do now. By itself, so that it is neither wrapped nor missed."""
        lines = (
            "",
            f"{count} mint requests wait for you. Open the web UI and sign in:",
            "",
            f"    {url}",
            "    user      alice",
            f"    password  {password}",
            "",
            "The same password: bob (tier 1), carol (2), dave (3), rita (asks), adam (admin), lena (audits).",
            "",
            "Everything stays up until Ctrl-C.",
        )
        self._console.print(Text("\n".join(lines)), soft_wrap=True)

    def tell(self, part: Part) -> None:
        """Something was done with a request."""
        line = f"{part.request.track_number}  {part.story}: {part.news}"
        self._console.print(Text(line), soft_wrap=True)

    def show(self, rows: list[tuple[Part, RequestRecord | None]]) -> None:
        """Where everything stands now."""
        table = Table("request", "amount", "story", "status", "clock", box=box.SIMPLE_HEAD, pad_edge=False)
        now = datetime.now(UTC)
        for part, record in rows:
            table.add_row(
                part.request.track_number,
                f"{format_amount(part.request.amount)} {part.request.asset.code}",
                Text(part.story),
                status_text(record) if record else Text("…"),
                Text(time_left(record, now)) if record else Text(""),
            )
        self._live.update(table)
