"""Placing a request's one-shot ticket: stored, signed once, sent, found in a closed ledger or proved absent.

The mint is signed only after its ticket was found in a closed ledger. Ticket and mint come from the same
reserved channel account, the ticket with the earlier sequence: once the mint has used the ticket up, no
copy of the ticket's transaction can place it again.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.exc import IntegrityError
from temporalio import activity

from activities.stellar import proof, ticket
from activities.stellar.answers import Answer, Meaning
from activities.stellar.history import History
from activities.stellar.horizon import Horizon, Ledger
from activities.stellar.ledger_watch import LedgerWatch
from activities.stellar.rules import SubmissionRules
from activities.stellar.settle import LEDGERS_BEFORE_RESEND, LONGEST_BLIND, WorkerStopping
from activities.stellar.signers import Wallet
from activities.stellar.suspicion import Suspicions
from db import reads
from db.session import Database
from db.writes import tickets
from domain.errors import PrecheckFailed, TransitionRefused, Unavailable
from domain.ledger_accounts import AccountView
from domain.mint_request import MintRequest, MintStatus
from domain.submission import Landed, Proof
from domain.tickets import Ticket, TicketOutcome

PATIENCE_SECONDS = 60.0
"""So long one attempt follows a ticket: less than an attempt of the activity may take."""

_SEQUENCE_ONCE = "tickets_sequence_used_once"


class TicketWaits(Unavailable):
    """The ledger has not decided about the ticket yet: the next attempt goes on."""

    code = "ticket_waits"


class SequenceUsed(Unavailable):
    """Horizon shows a channel account as it was before: its sequence has been used already."""

    code = "sequence_used"


@dataclass(frozen=True, slots=True)
class TicketDraft:
    """What a ticket's transaction is made from."""

    channel: AccountView
    issuer: AccountView
    newest: Ledger


@dataclass(slots=True)
class _Wait:
    """What one attempt knows of a ticket; nothing is lost with it."""

    request: MintRequest
    looked_at_ledger: int = -1
    looked_at: float = 0.0
    sent_at_ledger: int | None = None
    answer: Answer | None = None


class TicketOffice:
    """Brings one ticket to its outcome."""

    def __init__(
        self, database: Database, horizon: Horizon, wallet: Wallet, rules: SubmissionRules, watch: LedgerWatch
    ) -> None:
        self._database = database
        self._horizon = horizon
        self._wallet = wallet
        self._rules = rules
        self._watch = watch
        self._suspicions = Suspicions()

    async def store(self, request: MintRequest, draft: TicketDraft) -> Ticket:
        """Sign the request's ticket and store it, or answer the one that another worker stored first.

        Tickets left behind by requests that have ended go with it. Raises PrecheckFailed when the issuer
        can hold no more, and SequenceUsed.
        """
        try:
            async with self._database.transaction() as tx:
                record = await reads.lock_request(tx, request.id)
                if record.ticket is not None:
                    return record.ticket
                if record.status is not MintStatus.APPROVED:
                    raise TransitionRefused(f"mint request {request.id} is {record.status} already")
                removes = await tickets.claim_left_behind(
                    tx, request_id=request.id, left=ticket.left_behind(draft.issuer)
                )
                ticket.judge_issuer(draft.issuer, len(removes))
                signed = ticket.sign_ticket(
                    request,
                    self._wallet,
                    self._rules,
                    channel=draft.channel.account_id,
                    sequence=draft.channel.sequence + 1,
                    newest=draft.newest,
                    removes=removes,
                )
                await tickets.store_ticket(tx, record=record, ticket=signed, at=datetime.now(UTC))
        except IntegrityError as error:
            if _SEQUENCE_ONCE not in str(error.orig):
                raise
            raise SequenceUsed(
                f"Horizon shows channel account {draft.channel.account_id} as it was before"
            ) from error
        return signed

    async def place(self, request: MintRequest, stored: Ticket) -> Ticket:
        """Follow the ticket until it is in a closed ledger.

        Raises PrecheckFailed if it was refused or provably never landed: then nothing may be signed for
        the request. Raises TicketWaits, WorkerStopping and HorizonUnavailable: again later.
        """
        concluded = stored if stored.outcome is not None else await self._follow(request, stored)
        if concluded.outcome is not TicketOutcome.PLACED or concluded.proof is None:
            raise PrecheckFailed(concluded.reason)
        if concluded.proof.landed is not None:
            # whatever is read from now on has to know of that ledger
            self._watch.saw(concluded.proof.landed.ledger)
        return concluded

    async def _follow(self, request: MintRequest, stored: Ticket) -> Ticket:
        wait, until = _Wait(request), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            newest = await self._watch.newest(self._watch.pause())
            concluded = await self._step(stored, wait, newest)
            if concluded is not None:
                return await self._conclude(concluded)
            await self._pause()
        raise TicketWaits(f"the ticket of mint request {stored.request_id} waits for the ledger")

    async def _step(self, stored: Ticket, wait: _Wait, newest: Ledger) -> Ticket | None:
        blind = time.monotonic() - wait.looked_at
        if newest.sequence <= wait.looked_at_ledger and blind < LONGEST_BLIND:
            return None
        wait.looked_at_ledger, wait.looked_at = newest.sequence, time.monotonic()
        if proof.bound_is_past(stored, newest):
            network = wait.request.network_passphrase
            finding = await proof.prove(self._horizon, stored, newest, network)
            return await self._judge(stored, wait, newest, finding)
        landed = await proof.find(self._horizon, stored)
        if landed is None and _due_to_send(wait, newest):
            wait.answer = await self._horizon.send(stored.envelope_xdr)
            wait.sent_at_ledger = newest.sequence
            if wait.answer.meaning is Meaning.UNFUNDED:
                activity.logger.error("channel account %s cannot pay the fee: fund it", stored.channel)
        return None if landed is None else ticket.judge_landed(stored, landed)

    async def _judge(
        self, stored: Ticket, wait: _Wait, newest: Ledger, finding: Landed | Proof | None
    ) -> Ticket | None:
        if isinstance(finding, Landed):
            return ticket.judge_landed(stored, finding)
        if finding is None:
            return None
        if finding.kind != "never_landed":
            history = History(self._horizon.url, wait.request, stored)
            finding = await self._suspicions.weigh(history, stored, finding, newest.sequence)
        return None if finding is None else ticket.judge_proof(stored, finding)

    async def _conclude(self, concluded: Ticket) -> Ticket:
        """Keep the outcome, or find the one that another worker kept first."""
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, concluded.request_id)
            if record.ticket is not None and record.ticket.outcome is not None:
                return record.ticket
            await tickets.conclude_ticket(tx, record=record, ticket=concluded, at=datetime.now(UTC))
        if concluded.outcome is TicketOutcome.LOST:
            activity.logger.error("mint request %s: %s", concluded.request_id, concluded.reason)
        return concluded

    async def _pause(self) -> None:
        pause = min(self._watch.pause(), LONGEST_BLIND)
        try:
            await asyncio.wait_for(activity.wait_for_worker_shutdown(), timeout=pause)
        except TimeoutError:
            return
        raise WorkerStopping("this worker is shutting down: another one goes on")


def _due_to_send(wait: _Wait, newest: Ledger) -> bool:
    if wait.answer is None or wait.sent_at_ledger is None:
        return True
    after = LEDGERS_BEFORE_RESEND.get(wait.answer.meaning)
    return after is not None and newest.sequence >= wait.sent_at_ledger + after
