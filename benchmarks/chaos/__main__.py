"""`make chaos`: one run from a seed, a table, and exit code 1 if any demand is broken."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.chaos.plan import FULL, SHORT, make_plan
from benchmarks.chaos.report import document, passed, table
from benchmarks.chaos.storm import run


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the plan to run; a new one if not given")
    parser.add_argument("--short", action="store_true", help="the size of the test")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    parser.add_argument("--keep", type=Path, help="data directory to leave behind, with logs and ledger")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    say = Console(stderr=True)
    say.print(f"seed {seed}: the same plan comes with --seed {seed}")
    outcome = asyncio.run(run(make_plan(seed, SHORT if options.short else FULL), say, options.keep))
    Console().print(table(outcome))
    if options.json:
        options.json.write_text(json.dumps(document(outcome), indent=2) + "\n")
    sys.exit(0 if passed(outcome) else 1)


if __name__ == "__main__":
    main()
