"""Workers that die at a chosen step: around every question to Horizon and every database transaction."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from temporalio import activity

from activities.stellar.horizon import Horizon
from db.session import Database, Transaction


class Killed(BaseException):
    """The worker is gone: nothing in the product may catch this and go on."""


class Life:
    """Counts the steps a worker takes, and ends it at one of them."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at = dies_at
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        """Take a step; raises Killed at the chosen one and at every later one.

        What the watcher does at its own pace is no step, but it dies with the worker.
        """
        if activity.in_activity():
            self.steps.append(name)
        if len(self.steps) > self.dies_at:
            raise Killed(name)

    @property
    def over(self) -> bool:
        """Whether the worker has died."""
        return len(self.steps) > self.dies_at


class MortalHorizon:
    """The real client; the worker may die before it asks and after it was answered."""

    def __init__(self, horizon: Horizon, life: Life) -> None:
        self._horizon = horizon
        self._life = life
        self.url = horizon.url
        self.background = horizon.background

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        question = getattr(self._horizon, name)

        async def ask(*arguments: Any) -> Any:
            self._life.step(f"before {name}")
            answer = await question(*arguments)
            self._life.step(f"after {name}")
            return answer

        return ask


class MortalDatabase:
    """The real database; the worker may die before, inside and after each transaction."""

    def __init__(self, database: Database, life: Life) -> None:
        self._database = database
        self._life = life

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that is rolled back when the worker dies inside it."""
        self._life.step("before transaction")
        async with self._database.transaction() as tx:
            yield tx
            self._life.step("before commit")
        self._life.step("after commit")
