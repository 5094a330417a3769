"""A real worker process that kills itself with SIGKILL at one named point of `submit` or `settle`.

Started as `python -m tests.chaos.dying_worker DIRECTORY` with the product's own settings in the
environment. Every line of stdin, `NAME POINT [hurried]`, makes one more worker process, forked since the
imports cost more than all the rest; stdout tells its process id and, once it is dead, its exit code.

A point reads `submit.before.send#1`: activity, moment, what, and which of them in this attempt. What is
a question to Horizon, or a transaction as `commit@` the question that went before it (`commit@opening`:
none did). Whichever request comes to the point first dies with the worker; its steps up to there are in
the file DIRECTORY/NAME. Hurried, `submit` leaves all waiting to `settle`.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio import activity

from activities.stellar.activities import FIRST_LOOKS_SECONDS, StellarActivities
from activities.stellar.channel_accounts import ChannelAccountActivities
from activities.stellar.horizon import Horizon
from activities.stellar.rules import SubmissionRules
from activities.stellar.signers import build_wallet
from db.session import Database
from settings import Settings
from starter import temporal
from worker import mint_worker, stellar_worker

OPENING = "opening"
WATCHER = "watcher"


class Fate:
    """Follows every attempt of an activity, and ends the process at the point."""

    def __init__(self, point: str, note: Path) -> None:
        self._point = point
        self._note = note
        self._steps: Counter[str] = Counter()
        self._asked: dict[str, str] = {}

    def ask(self, question: str) -> None:
        """An attempt is about to ask Horizon."""
        self._asked[_attempt()] = question
        self.step("before", question)

    def asked(self) -> str:
        """What this attempt asked Horizon last."""
        return self._asked.get(_attempt(), OPENING)

    def step(self, moment: str, what: str) -> None:
        """Note the step, then go on or die: the note is with the system before the signal."""
        doing, workflow = _activity()
        step = f"{doing}.{moment}.{what}"
        key = f"{_attempt()} {step}"
        self._steps[key] += 1
        taken = f"{step}#{self._steps[key]}"
        with self._note.open("a") as note:
            note.write(f"{taken} {workflow}\n")
        if taken == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def _activity() -> tuple[str, str]:
    """What runs for which workflow; the watcher follows the ledger for all of them."""
    if not activity.in_activity():
        return WATCHER, WATCHER
    return activity.info().activity_type, activity.info().workflow_id


def _attempt() -> str:
    if not activity.in_activity():
        return WATCHER
    info = activity.info()
    return f"{info.workflow_run_id} {info.activity_id} {info.attempt}"


class MortalHorizon:
    """The real client; the process may die before it asks and after it was answered."""

    def __init__(self, horizon: Horizon, fate: Fate) -> None:
        self._horizon = horizon
        self._fate = fate
        self.url = horizon.url
        self.background = horizon.background

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        question = getattr(self._horizon, name)

        async def ask(*arguments: Any) -> Any:
            self._fate.ask(name)
            answer = await question(*arguments)
            self._fate.step("after", name)
            return answer

        return ask


class MortalDatabase:
    """The real database; the process may die before and after each commit."""

    def __init__(self, database: Database, fate: Fate) -> None:
        self._database = database
        self._fate = fate

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A transaction that PostgreSQL rolls back when the process dies inside it."""
        what = f"commit@{self._fate.asked()}"
        async with self._database.transaction() as tx:
            yield tx
            self._fate.step("before", what)
        self._fate.step("after", what)


async def serve(point: str, note: Path, first_looks_seconds: float) -> None:
    """The queues `mint` and `stellar`, as worker.py serves them, until the point is reached."""
    settings, fate = Settings(), Fate(point, note)
    client = await temporal.connect()
    database, horizon = Database(settings.database_url), Horizon(settings.horizon_url)
    wallet, rules = build_wallet(settings), SubmissionRules.of(settings)
    means = (MortalDatabase(database, fate), MortalHorizon(horizon, fate), wallet, rules)
    stellar = StellarActivities(*means, first_looks_seconds=first_looks_seconds)
    accounts = ChannelAccountActivities(*means)
    async with mint_worker(client, database), stellar_worker(client, stellar, accounts):
        await asyncio.Event().wait()


def main(directory: Path) -> None:
    """Raise one worker for each order, and see it die."""
    for order in sys.stdin:
        name, point, *how = order.split()
        child = os.fork()
        if child == 0:
            # what the SDK's core logs belongs nowhere near the answers
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            asyncio.run(serve(point, directory / name, 0.0 if how == ["hurried"] else FIRST_LOOKS_SECONDS))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
