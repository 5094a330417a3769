"""From APPROVED to a stored envelope that has been sent once: each step only if not done before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.exc import IntegrityError
from temporalio import activity

from activities.stellar import envelope
from activities.stellar.channel_gate import ChannelGate
from activities.stellar.handover import Handover, Sent
from activities.stellar.horizon import Horizon, Ledger, refuse_other_network
from activities.stellar.ledger_watch import LedgerWatch
from activities.stellar.operations import mint_operations
from activities.stellar.prices import FeePrices
from activities.stellar.recent import Recent
from activities.stellar.rules import SubmissionRules
from activities.stellar.sender import Sender
from activities.stellar.signers import Wallet
from activities.stellar.ticket_office import TicketDraft, TicketOffice
from db import reads
from db.session import Database
from db.writes import submissions
from domain import precheck
from domain.destination import choose_plan, judge_means
from domain.errors import NotFound, PrecheckFailed, Refused, Unavailable
from domain.ledger_accounts import AccountView, NoAccount
from domain.ledger_options import MintForm, MintPlan
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.steps import SubmitAnswer
from domain.submission import Submission

ISSUER_SECONDS = 5.0
"""So long the issuer's flags, signers and thresholds may be remembered: they hardly ever change."""

LEDGER_SECONDS = 0.25
"""So old the newest ledger may be: an older close time only shortens the window."""

NETWORK_SECONDS = 600.0
"""So long Horizon's network passphrase may be remembered."""

LONGEST_LINE = 30.0
"""Seconds after which a request asks again for a channel account, however many come before it."""

_SEQUENCE_ONCE = "submissions_sequence_used_once"


class NoChannelFree(Unavailable):
    """Every channel account is in use by another request; `seconds` until it may be this one's turn."""

    code = "no_channel_free"

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class LedgerLags(Unavailable):
    """One of Horizon's sources is behind: a sequence read from it may have been used already."""

    code = "ledger_lags"


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What the ledger showed, judged fit for the mint."""

    newest: Ledger
    channel: AccountView
    issuer: AccountView
    plan: MintPlan


class Submitter:
    """Pre-check, reserve, sign once, store, send."""

    def __init__(
        self,
        database: Database,
        horizon: Horizon,
        wallet: Wallet,
        rules: SubmissionRules,
        watch: LedgerWatch,
        prices: FeePrices,
        sender: Sender,
        handover: Handover,
        gate: ChannelGate,
    ) -> None:
        self._database = database
        self._horizon = horizon
        self._wallet = wallet
        self._rules = rules
        self._watch = watch
        self._prices = prices
        self._sender = sender
        self._handover = handover
        self._gate = gate
        self._tickets = TicketOffice(database, horizon, wallet, rules, watch)
        self._issuer = Recent(lambda: horizon.account(wallet.issuer))
        self._network = Recent(horizon.network_passphrase)

    async def submit(self, request_id: str) -> SubmitAnswer:
        """Bring the request to SUBMITTING and send its envelope, or to FAILED by a failed pre-check.

        An attempt that starts anywhere goes on where the last one stopped: what the database shows as
        done is not done again. Raises NoChannelFree, LedgerLags, Unavailable or ConfigurationError: all
        of them mean again later.
        """
        signed = False
        try:
            record, channel = await self._begin_in_turn(request_id)
            if channel is not None:
                record = await self._store(record, await self._build(record, channel))
                signed = True
        except PrecheckFailed as refusal:
            record = await self._fail(request_id, refusal.message)
        if record.status is MintStatus.SUBMITTING and record.submission is not None:
            submission, answer = await self._sender.offer(record.submission)
            stored = record.model_copy(update={"submission": submission})
            self._handover.put(Sent(stored, answer, just_signed=signed))
        return _answer(record)

    async def _begin_in_turn(self, request_id: str) -> tuple[RequestRecord, str | None]:
        """Reserve a channel account, after those who came before; raises NoChannelFree after a while.

        Whoever has one already goes on at once: those in the line may be waiting for it.
        """
        try:
            return await self._begin(request_id, may_take=not self._gate.waited_for)
        except NoChannelFree:
            # even those who only stand behind the others hold an activity slot
            if self._gate.full:
                raise
        until = time.monotonic() + self._gate.seconds
        async with self._gate.turn():
            while True:
                try:
                    return await self._begin(request_id, may_take=True)
                except NoChannelFree:
                    if time.monotonic() >= until or activity.is_worker_shutdown():
                        raise
                    await self._gate.wait_for_freed()

    async def _begin(self, request_id: str, *, may_take: bool) -> tuple[RequestRecord, str | None]:
        """The request and its channel account, a new one if it `may_take` one; none past APPROVED."""
        async with self._database.transaction() as tx:
            record = await reads.request(tx, request_id)
            if record is None:
                raise NotFound(f"there is no mint request {request_id}")
            if record.status is MintStatus.PENDING:
                raise Refused(f"mint request {request_id} is not approved: nothing may be signed for it")
            if record.status is not MintStatus.APPROVED:
                return record, None
            precheck.judge_request(
                record.request,
                network_passphrase=self._rules.network_passphrase,
                issuer=self._wallet.issuer,
            )
            channel = await submissions.reserved(tx, request_id)
            if channel is None and may_take:
                channel = await submissions.reserve(
                    tx,
                    request_id=request_id,
                    accounts=self._wallet.channels,
                    family=self._wallet.family is not None,
                )
            ahead = 0.0 if channel is not None else await submissions.waiting_before(tx, request_id)
        if channel is None:
            # a channel account serves one request a ledger
            seconds = min(ahead * max(self._watch.pace, 1.0), LONGEST_LINE)
            raise NoChannelFree("every channel account is in use: trying again shortly", seconds)
        return record, channel

    async def _build(self, record: RequestRecord, channel_id: str) -> Submission:
        """Look at the ledger, judge, sign; before that the request's ticket, where the tenant wants one."""
        request = record.request
        ticketed = record.ticket is not None or record.ledger_options.one_shot_ticket
        if ticketed:
            await self._place_ticket(record, channel_id)
        outlook = await self._look(record, channel_id)
        plan = outlook.plan.model_copy(update={"ticket": ticketed})
        return envelope.sign_mint(
            request,
            self._wallet,
            channel=channel_id,
            sequence=outlook.channel.sequence + 1,
            max_time=envelope.max_time_for(request, outlook.newest.close_time, self._rules.window_seconds),
            signed_at_ledger=outlook.newest.sequence,
            base_fee=await self._prices.first_bid(len(mint_operations(request, plan))),
            plan=plan,
        )

    async def _place_ticket(self, record: RequestRecord, channel_id: str) -> None:
        """Let the request's ticket land in a closed ledger; a mint that can't land gets none."""
        ticket = record.ticket
        if ticket is None:
            outlook = await self._look(record, channel_id)
            draft = TicketDraft(outlook.channel, outlook.issuer, outlook.newest)
            ticket = await self._tickets.store(record.request, draft)
        await self._tickets.place(record.request, ticket)

    async def _look(self, record: RequestRecord, channel_id: str) -> _Outlook:
        """Look at the ledger and judge. The channel is read after it was reserved, so nobody moves it."""
        request = record.request
        known = self._watch.highest
        passphrase, newest, channel, destination = await asyncio.gather(
            self._network.get(NETWORK_SECONDS),
            self._watch.newest(LEDGER_SECONDS),
            self._horizon.account(channel_id),
            self._horizon.account(request.destination),
        )
        is_issuer = channel_id == self._wallet.issuer
        issuer = channel if is_issuer else await self._issuer.get(ISSUER_SECONDS)
        refuse_other_network(self._horizon.url, passphrase, self._rules.network_passphrase)
        height = max(newest.sequence, channel.ledger, destination.ledger)
        self._watch.saw(height)
        if channel.ledger < known:
            raise LedgerLags(f"Horizon shows ledger {channel.ledger}, although {known} has closed")
        precheck.judge_deadline(request, newest.close_time)
        with _not_older(issuer, height):
            known_issuer = precheck.judge_issuer(issuer)
        with _not_older(destination, height):
            plan = choose_plan(request, record.ledger_options, destination, newest.close_time)
        if plan.form is not MintForm.PAYMENT and destination.ledger < height:
            # a trustline that is only not known yet must not be passed by, nor be left unauthorised
            raise LedgerLags(f"as of ledger {destination.ledger}, not {height}: no payment can land")
        with _not_older(issuer, height):
            judge_means(request, plan, known_issuer)
        return _Outlook(newest, precheck.judge_channel(channel), known_issuer, plan)

    async def _store(self, record: RequestRecord, submission: Submission) -> RequestRecord:
        """Keep the envelope, or find the one that another worker kept first: only that one is ever sent."""
        try:
            async with self._database.transaction() as tx:
                return await submissions.store_submission(
                    tx, record=record, submission=submission, at=datetime.now(UTC)
                )
        except IntegrityError as error:
            # the database knows every sequence that landed; an account read that is behind it was too old
            if _SEQUENCE_ONCE not in str(error.orig):
                raise
            raise LedgerLags(
                f"Horizon shows channel account {submission.channel} as it was before"
            ) from error

    async def _fail(self, request_id: str, reason: str) -> RequestRecord:
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, request_id)
            if record.status is not MintStatus.APPROVED:
                return record
            failed = await submissions.fail_before_signing(
                tx, record=record, reason=reason, at=datetime.now(UTC)
            )
        self._gate.freed()
        return failed


@contextmanager
def _not_older(view: AccountView | NoAccount, height: int) -> Iterator[None]:
    """A refusal counts only at the newest height seen: a node that lags may not know the trustline yet.

    An answer without a height is taken as it is: a refusal signs nothing, so it can do no harm.
    """
    try:
        yield
    except PrecheckFailed as refusal:
        if 0 < view.ledger < height:
            raise LedgerLags(f"as of ledger {view.ledger}, not {height}: {refusal.message}") from refusal
        raise


def _answer(record: RequestRecord) -> SubmitAnswer:
    stored = record.submission
    if stored is None:
        return SubmitAnswer(status=record.status, reason=record.reason)
    return SubmitAnswer(
        status=record.status,
        reason=record.reason,
        hash=stored.hash,
        channel=stored.channel,
        sequence=stored.sequence,
        max_time=stored.max_time,
    )
