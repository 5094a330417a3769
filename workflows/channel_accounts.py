"""Channel accounts: create them, top them up, look at them.

What spends from the funding account runs under one workflow id, so that its sequence has one user.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from domain import channel_accounts as words
    from domain.channel_accounts import (
        ACCOUNTS_PER_TRANSACTION,
        BatchStep,
        ChannelKey,
        CreateOrder,
        CreateReport,
        Delivered,
        Funding,
        LiveAccounts,
        Payment,
        Progress,
        TopUpAnswer,
        TopUpOrder,
        TopUpReport,
        TopUpStep,
    )
    from domain.steps import STELLAR_QUEUE
    from workflows.handling import cause_of

MOST_FRUITLESS = 5
"""So many transactions in a row may come to nothing before people are asked."""

_OUTAGE = timedelta(hours=1)
"""So long Horizon or the database may be away."""

_LOST_WORKER = timedelta(seconds=10)

_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=10))


class _Funded:
    """What both spending workflows share: the progress, and the way of a transaction to its end."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._fruitless = 0
        self._at_ledger = 0

    @workflow.query
    def progress(self) -> Progress:
        """How many accounts are done, of how many."""
        return self._progress

    async def _deliver(self, funding: Funding) -> bool:
        """Whether it landed; raises when too many in a row did not."""
        delivered: Delivered = await _stellar(words.DELIVER_FUNDING, funding, Delivered)
        self._fruitless = 0 if delivered.landed else self._fruitless + 1
        self._at_ledger = max(self._at_ledger, delivered.ledger)
        if self._fruitless >= MOST_FRUITLESS:
            raise ApplicationError(
                f"{MOST_FRUITLESS} transactions of funding account {funding.account} came to nothing, the "
                f"last by {delivered.word or 'its time bound'}: see whether somebody else uses the account",
                type="refused",
            )
        return delivered.landed


@workflow.defn(name=words.CREATE_WORKFLOW)
class ChannelAccountsWorkflow(_Funded):
    """Makes N more channel accounts usable."""

    @workflow.run
    async def run(self, order: CreateOrder) -> CreateReport:
        """Plan, then create batch by batch; each batch is looked at before and after it is paid for."""
        self._progress = Progress(total=order.count)
        try:
            planned: tuple[ChannelKey, ...] = await _stellar(
                words.PLAN_CHANNELS, order, tuple[ChannelKey, ...]
            )
            for start in range(0, len(planned), ACCOUNTS_PER_TRANSACTION):
                batch = planned[start : start + ACCOUNTS_PER_TRANSACTION]
                await self._create(batch, order.balance)
                self._progress = Progress(done=start + len(batch), total=order.count)
        except (ActivityError, ApplicationError) as error:
            raise self._told_what_is_left(cause_of(error)) from error
        return CreateReport(channels=planned)

    async def _create(self, batch: tuple[ChannelKey, ...], balance: int) -> None:
        while True:
            step = BatchStep(channels=batch, balance=balance, at_ledger=self._at_ledger)
            funding: Funding | None = await _stellar(words.FUND_CHANNELS, step, Funding | None)
            if funding is None:
                return
            await self._deliver(funding)

    def _told_what_is_left(self, cause: ApplicationError) -> ApplicationError:
        done, total = self._progress.done, self._progress.total
        if done == 0:
            return cause
        rest = f"{done} of {total} channel accounts are made; then run 'channels create {total - done}'"
        return ApplicationError(f"{cause.message} ({rest})", type=cause.type)


@workflow.defn(name=words.TOP_UP_WORKFLOW)
class ChannelTopUpWorkflow(_Funded):
    """Brings every channel account below the mark up to another."""

    @workflow.run
    async def run(self, order: TopUpOrder) -> TopUpReport:
        """Look and pay until nothing is below the mark; nothing is signed before the last one's end."""
        paid: list[Payment] = []
        try:
            while True:
                step = TopUpStep(order=order, at_ledger=self._at_ledger)
                answer: TopUpAnswer = await _stellar(words.TOP_UP_CHANNELS, step, TopUpAnswer)
                if answer.funding is None:
                    return TopUpReport(payments=tuple(paid), missing=answer.missing)
                if await self._deliver(answer.funding):
                    paid += answer.funding.payments
                    self._progress = Progress(done=len(paid), total=len(paid))
        except (ActivityError, ApplicationError) as error:
            raise cause_of(error) from error


@workflow.defn(name=words.LOOK_WORKFLOW)
class ChannelBalancesWorkflow:
    """Asks the ledger about every channel account."""

    @workflow.run
    async def run(self) -> LiveAccounts:
        """One look; whoever asked does not wait for an outage to end."""
        accounts: LiveAccounts = await workflow.execute_activity(
            words.LOOK_AT_CHANNELS,
            result_type=LiveAccounts,
            task_queue=STELLAR_QUEUE,
            start_to_close_timeout=timedelta(minutes=1),
            heartbeat_timeout=_LOST_WORKER,
            retry_policy=RetryPolicy(maximum_attempts=2),
        )
        return accounts


async def _stellar(name: str, argument: BaseModel, result: Any) -> Any:
    """Run an activity of the queue `stellar`, whose workers alone hold signers."""
    return await workflow.execute_activity(
        name,
        argument,
        result_type=result,
        task_queue=STELLAR_QUEUE,
        start_to_close_timeout=_OUTAGE,
        schedule_to_close_timeout=_OUTAGE,
        heartbeat_timeout=_LOST_WORKER,
        retry_policy=_RETRY,
    )
