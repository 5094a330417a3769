"""`make bench`: run every measurement on one local stack, print a table, write JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from benchmarks import channels, lateness, lifecycle, pages, sweeps
from benchmarks.desk import open_desk
from starter.local.stack import StackOptions, running_stack

CHANNELS = 60
"""More than requests in flight, so that no request waits for a channel account."""

CHANNELS_MEASURED = 50
LEDGER_SECONDS = 5.0
"""As on the public network."""

FEWEST = 20_000
"""Requests with which the planner has a reason to use an index."""

Figures = dict[str, dict[str, object]]


async def run(count: int, rounds: int, reminders: int, ledgers: int, requests: int, say: Console) -> Figures:
    """Measure on stacks of their own, in directories that are removed afterwards."""
    figures = await _at_once(count, rounds, reminders, say)
    with tempfile.TemporaryDirectory(prefix="mintkeeper-bench-") as directory:
        say.print(f"{CHANNELS_MEASURED} channel accounts over {ledgers} ledgers of {LEDGER_SECONDS:g} s")
        use = await channels.measure(Path(directory), CHANNELS_MEASURED, LEDGER_SECONDS, ledgers)
    say.print(f"periodic sweeps over {requests} requests")
    swept = await sweeps.measure(requests)
    say.print(f"pages over {pages.PENDING} pending requests")
    return {**figures, "channels": use, **swept, **await pages.measure()}


async def _at_once(count: int, rounds: int, reminders: int, say: Console) -> Figures:
    """On a ledger that closes as soon as something waits."""
    with tempfile.TemporaryDirectory(prefix="mintkeeper-bench-") as directory:
        options = StackOptions(Path(directory), sla_scale=1, ledger_interval=0, channels=CHANNELS)
        async with running_stack(options, say.print) as stack, open_desk(stack, options.data_dir) as desk:
            say.print(f"{rounds} rounds of {count} bare workflows and {count} full lifecycles")
            throughput = await lifecycle.measure(desk, count, rounds)
            say.print(f"{reminders} reminders due in the same second")
            return {"lifecycle": throughput, "reminders": await lateness.measure(desk, reminders)}


def table(figures: Figures) -> Table:
    """The figures beside their goals."""
    one, late, use = figures["lifecycle"], figures["reminders"], figures["channels"]
    shown = Table("figure", "measured", "goal", title="mintkeeper benchmark")
    shown.add_row("full lifecycles per second", str(one["lifecycles_per_second"]), "")
    shown.add_row("bare workflows per second", str(one["bare_per_second"]), "")
    shown.add_row("ratio (median of rounds)", f"{one['ratio']}  {one['ratios']}", "at least 0.7")
    shown.add_row("history events, plain path", str(one["events"]), "at most 40")
    shown.add_row("history bytes, plain path", str(one["history_bytes"]), "at most 24576")
    shown.add_row(f"reminder lateness of {late['reminders']}, median", f"{late['median_seconds']} s", "")
    shown.add_row("reminder lateness, 99th percentile", f"{late['p99_seconds']} s", "at most 5 s")
    accepted = f"{late['accepted']} of {late['deliveries']}"
    shown.add_row("deliveries of that second accepted, those to leads too", accepted, "every one")
    each = f"mints per channel and ledger, {use['channels']} channels, {use['ledgers']} ledgers"
    shown.add_row(each, str(use["per_channel_and_ledger"]), "at least 0.45")
    shown.add_row(
        "Horizon requests per mint, 100 in flight", str(use["horizon_requests_per_mint"]), "at most 4"
    )
    check, sweep = figures["sla_check"], figures["auto_assign_unclaimed"]
    shown.add_row(f"sla_check over {check['requests']} requests", f"{check['seconds']} s", "below 5 s")
    shown.add_row(f"{check['alerts']} new alerts of it, each sent once", f"{check['alert_seconds']} s", "")
    shown.add_row(f"auto_assign_unclaimed, {sweep['due']} of them due", f"{sweep['seconds']} s", "below 5 s")
    for name, figure in (("sla_check", check), ("auto_assign_unclaimed", sweep)):
        shown.add_row(f"how {name} reads them", "; ".join(cast("list[str]", figure["scans"])), "by indexes")
    pages.add_rows(shown, figures)
    return shown


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="workflows of each kind in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reminders", type=int, default=1000)
    parser.add_argument("--ledgers", type=int, default=20, help="so long channel accounts are measured")
    parser.add_argument("--requests", type=int, default=100_000, help="so many the sweeps go over")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    options = parser.parse_args()
    if options.requests < FEWEST:
        parser.error(f"--requests: at least {FEWEST}, for a smaller table is rightly read as a whole")
    say = Console(stderr=True)
    counts = (options.count, options.rounds, options.reminders, options.ledgers, options.requests)
    figures = asyncio.run(run(*counts, say))
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    Console().print(table(figures))
    say.print(f"the same as JSON: {options.json}")


if __name__ == "__main__":
    main()
