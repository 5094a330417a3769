"""One look at the ledger for a request, in the order of the proof: what an operator needs to know."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from activities.stellar import decoding
from activities.stellar.history import History
from activities.stellar.horizon import Horizon, Ledger
from db import reads
from db.reads.inspections import channel_state
from db.session import Database
from db.writes.inspections import record_inspection
from domain import steps
from domain.errors import NotFound, Refused
from domain.evidence import DecodedEnvelope, LedgerEvidence, SeenChannel, SeenHash, SeenLedger, decides
from domain.ledger_accounts import AccountView
from domain.records import RequestRecord
from domain.steps import Inspection, InspectStep
from domain.submission import Submission
from domain.weighing import weigh


class Inspector:
    """Looks, and puts what it saw on the audit chain; it sends nothing and decides nothing."""

    def __init__(self, database: Database, horizon: Horizon) -> None:
        self._database = database
        self._horizon = horizon

    @activity.defn(name=steps.INSPECT)
    async def inspect(self, step: InspectStep) -> Inspection:
        """Gather the evidence of one moment.

        Raises Refused where nothing was signed, NotFound, ConfigurationError for another network, or
        HorizonUnavailable. Dying after the record only leaves a record that nobody uses.
        """
        newest = await self._horizon.newest_ledger()
        # read after that ledger was seen: a fee bump stored later could not land any more
        record, state = await self._load(step.request_id)
        if record.submission is None:
            raise Refused(f"nothing was signed for {step.request_id}: the ledger can't know it")
        evidence = await self._look(record, record.submission, newest, state)
        finding = weigh(evidence, record)
        async with self._database.transaction() as tx:
            await record_inspection(
                tx, tenant=record.request.tenant, evidence=evidence, finding=finding, at=datetime.now(UTC)
            )
        return Inspection(finding=finding, sha256=evidence.sha256(), evidence=evidence)

    async def _load(self, request_id: str) -> tuple[RequestRecord, str]:
        async with self._database.transaction() as tx:
            record = await reads.request(tx, request_id)
            if record is None:
                raise NotFound(f"there is no mint request {request_id}")
            state = await channel_state(tx, record.submission.channel) if record.submission else ""
        return record, state

    async def _look(
        self, record: RequestRecord, submission: Submission, newest: Ledger, state: str
    ) -> LedgerEvidence:
        request = record.request
        await self._horizon.check_network(request.network_passphrase)
        hashes = await self._hashes(submission)
        account = await self._horizon.account(submission.channel)
        channel = SeenChannel(
            account=submission.channel,
            ledger=account.ledger,
            sequence=account.sequence if isinstance(account, AccountView) else None,
        )
        history = History(self._horizon.url, request, submission, record.ticket)
        found = any(seen.landed and decides(seen.landed, submission.hash) for seen in hashes)
        consumed, searched = (None, None) if found else await history.sequence_use()
        others, issuer_search = await history.other_payments(consumed)
        return LedgerEvidence(
            request_id=request.id,
            request_digest=request.digest(),
            network=request.network_passphrase,
            status=record.status,
            stored_outcome=record.result.outcome if record.result else None,
            channel_state=state,
            envelope=_decoded(submission, request.network_passphrase),
            newest=SeenLedger(sequence=newest.sequence, closed_at=newest.closed_at, hash=newest.hash),
            hashes=hashes,
            channel=channel,
            consumed=consumed,
            channel_search=searched,
            others=others,
            issuer_search=issuer_search,
        )

    async def _hashes(self, submission: Submission) -> tuple[SeenHash, ...]:
        fees = [None, *(bump.fee for bump in submission.fee_bumps)]
        return tuple(
            [
                SeenHash(hash=hash_, fee=fee, landed=await self._horizon.transaction(hash_))
                for hash_, fee in zip(submission.hashes(), fees, strict=True)
            ]
        )


def _decoded(submission: Submission, network_passphrase: str) -> DecodedEnvelope:
    transaction = decoding.decode(submission.envelope_xdr, network_passphrase)
    bounds = transaction.preconditions.time_bounds if transaction.preconditions else None
    return DecodedEnvelope(
        hash=submission.hash,
        source=decoding.source_of(transaction),
        sequence=transaction.sequence,
        memo=decoding.memo_text(transaction.memo),
        max_time=bounds.max_time if bounds else 0,
        fee=transaction.fee,
        operations=decoding.operations_of(transaction),
        operation_count=len(transaction.operations),
    )
