"""The two activities between approval and the ledger's word, on the queue `stellar`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.pulse import beating
from activities.stellar.channel_gate import WAIT_SECONDS, ChannelGate
from activities.stellar.handover import Handover
from activities.stellar.horizon import Horizon, HorizonUnavailable
from activities.stellar.inspect import Inspector
from activities.stellar.ledger_watch import LedgerWatch
from activities.stellar.prices import FeePrices
from activities.stellar.rules import SubmissionRules
from activities.stellar.sender import Sender
from activities.stellar.settle import Settler, WorkerStopping
from activities.stellar.signers import Wallet
from activities.stellar.submit import LedgerLags, NoChannelFree, Submitter
from activities.stellar.ticket_office import SequenceUsed, TicketWaits
from db.session import Database
from domain import steps
from domain.errors import MintkeeperError
from domain.mint_request import MintStatus
from domain.steps import SubmitAnswer, SubmitStep
from domain.submission import SubmissionResult

_SOON_AGAIN = (NoChannelFree, LedgerLags, SequenceUsed, TicketWaits)
_EXPECTED = (*_SOON_AGAIN, WorkerStopping)

FIRST_LOOKS_SECONDS = 12.0
"""Two ledgers of a public network, which closes one every 5 to 6 s."""


class StellarActivities:
    """Holds what both activities share; `worker.py` builds one for the process.

    `first_looks_seconds` is how long `submit` waits for the ledger before it leaves that to `settle`,
    `line_seconds` how long it waits for a channel account before Temporal tries again.
    """

    def __init__(
        self,
        database: Database,
        horizon: Horizon,
        wallet: Wallet,
        rules: SubmissionRules,
        *,
        first_looks_seconds: float = FIRST_LOOKS_SECONDS,
        line_seconds: float = WAIT_SECONDS,
    ) -> None:
        watch = LedgerWatch(horizon, wallet.issuer)
        prices = FeePrices(horizon, rules)
        sender = Sender(database, horizon, wallet, rules, prices)
        handover = Handover()
        self._watch = watch
        gate = ChannelGate(line_seconds)
        self._submitter = Submitter(database, horizon, wallet, rules, watch, prices, sender, handover, gate)
        self._settler = Settler(database, horizon, watch, sender, handover, gate)
        self._first_looks_seconds = first_looks_seconds
        self.inspector = Inspector(database, horizon)
        """For operators: it looks, and changes nothing."""

    @activity.defn(name=steps.SUBMIT)
    async def submit(self, step: SubmitStep) -> SubmitAnswer:
        """Pre-check, reserve, sign once, store, send; or FAILED before anything was signed.

        Then looks for as long as a ledger or two take: most payments land within, and no second
        activity is needed for them.
        """
        with _again_later():
            async with beating() as pulse, self._watch.following():
                answer = await self._submitter.submit(step.request_id)
                if answer.status is not MintStatus.SUBMITTING or self._first_looks_seconds == 0:
                    return answer
                result = await self._settler.look_first(step.request_id, pulse, self._first_looks_seconds)
                if result is None:
                    return answer
                return answer.model_copy(update={"status": result.outcome.status, "result": result})

    @activity.defn(name=steps.SETTLE)
    async def settle(self, step: SubmitStep) -> SubmissionResult:
        """Confirm, or prove that it never landed; heartbeats until the ledger has decided."""
        with _again_later():
            async with beating() as pulse:
                return await self._settler.settle(step.request_id, pulse)


@contextmanager
def _again_later() -> Iterator[None]:
    """Every error of ours is retried by Temporal: only the ledger, a proof or a pre-check ends a request."""
    try:
        yield
    except MintkeeperError as error:
        benign = isinstance(error, _EXPECTED)
        raise ApplicationError(
            error.message,
            type=error.code,
            next_retry_delay=_delay(error),
            category=ApplicationErrorCategory.BENIGN if benign else ApplicationErrorCategory.UNSPECIFIED,
        ) from error


def _delay(error: MintkeeperError) -> timedelta | None:
    """None leaves it to the retry policy's backoff."""
    # spread, so that those who wait do not all come back at once
    spread = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    if isinstance(error, NoChannelFree):
        return timedelta(seconds=spread + error.seconds)
    if isinstance(error, _SOON_AGAIN):
        return timedelta(seconds=spread)
    if isinstance(error, WorkerStopping):
        return timedelta(milliseconds=10)
    if isinstance(error, HorizonUnavailable) and error.retry_after is not None:
        return timedelta(seconds=error.retry_after)
    return None
