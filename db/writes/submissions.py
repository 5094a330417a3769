"""The way to the ledger: channel accounts, the one stored envelope, its fee bumps, attempts, outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.reads.records import SUBMISSION_JSON, lock_request
from db.session import Transaction
from db.writes import audit
from db.writes.notices import status_notices
from db.writes.requests import with_status
from db.writes.routing import routing
from db.writes.steps import advance, step_statement
from domain.errors import ConfigurationError, NotFound, Refused, TransitionRefused
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.submission import FeeBump, Outcome, Proof, Submission, SubmissionResult

_REQUEST_LOCK = text("SELECT status FROM mint_requests WHERE id = :id FOR NO KEY UPDATE")
_RESERVE = text("""
WITH own AS (
    SELECT account FROM stellar_channels WHERE request_id = :id
), free AS (
    SELECT account FROM stellar_channels
    WHERE state = 'FREE' AND NOT EXISTS (SELECT 1 FROM own)
        AND (account = ANY (CAST(:accounts AS varchar[])) OR (:family AND key_index IS NOT NULL))
    ORDER BY account LIMIT 1 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE stellar_channels SET state = 'RESERVED', request_id = :id
    FROM free WHERE stellar_channels.account = free.account
    RETURNING stellar_channels.account
)
SELECT account FROM own UNION ALL SELECT account FROM taken
""")
_RESERVED = text("SELECT account FROM stellar_channels WHERE request_id = :id")
_WAITING_BEFORE = text("""
SELECT (SELECT count(*) FROM mint_requests AS other
        WHERE other.status = 'APPROVED' AND other.decided_at < mine.decided_at)::float
    / greatest(1, (SELECT count(*) FROM stellar_channels WHERE state IN ('FREE', 'RESERVED')))
FROM mint_requests AS mine WHERE mine.id = :id
""")
_ADD_ACCOUNTS = text("""
INSERT INTO stellar_channels (account, state)
SELECT account, 'FREE' FROM unnest(CAST(:accounts AS varchar[])) AS account ORDER BY account
ON CONFLICT (account) DO NOTHING
RETURNING account
""")
_FAMILY_EXISTS = text("""
SELECT 1 FROM stellar_channels WHERE key_index IS NOT NULL AND state <> 'PLANNED' LIMIT 1
""")
_STORE = step_statement(
    """stored AS (
    INSERT INTO submissions (request_id, hash, channel, sequence, max_time, envelope_xdr, signed_at_ledger,
        plan, stored_at)
    SELECT request_id, :hash, :channel, :sequence, :max_time, :envelope_xdr, :signed_at_ledger,
        CAST(:plan AS jsonb), :at
    FROM found RETURNING request_id)""",
    source="stored",
)
CONCLUDING = step_statement(
    """concluded AS (
    UPDATE submissions SET outcome = :outcome, outcome_reason = :outcome_reason, ledger = :ledger,
        proof = CAST(:proof AS jsonb), concluded_at = :at
    FROM found WHERE submissions.request_id = found.request_id)""",
    """released AS (
    UPDATE stellar_channels SET state = CASE WHEN :frozen THEN 'FROZEN' ELSE 'FREE' END,
        request_id = CASE WHEN :frozen THEN stellar_channels.request_id END
    FROM found WHERE stellar_channels.request_id = found.request_id)""",
)
"""A step that ends a submission and lets its channel go."""

_SUBMISSION_SQL = "SELECT {submission} FROM submissions s WHERE s.request_id = :id"
_GIVE_BACK = step_statement(
    """lost AS (
    SELECT request_id FROM tickets WHERE request_id = :id AND outcome = 'LOST')""",
    """released AS (
    UPDATE stellar_channels SET state = CASE WHEN EXISTS (SELECT 1 FROM lost) THEN 'FROZEN' ELSE 'FREE' END,
        request_id = (SELECT request_id FROM lost)
    FROM found WHERE stellar_channels.request_id = found.request_id)""",
)
_SUBMISSION = text(_SUBMISSION_SQL.format(submission=SUBMISSION_JSON))
_BUMP = text("""
WITH bumped AS (
    UPDATE mint_requests SET version = version + 1 WHERE id = :id AND status = 'SUBMITTING'
        AND NOT EXISTS (SELECT 1 FROM fee_bumps WHERE hash = :hash)
    RETURNING id, tenant
), stored AS (
    INSERT INTO fee_bumps (hash, request_id, position, fee, envelope_xdr, at)
    SELECT :hash, id, (SELECT count(*) FROM fee_bumps WHERE request_id = :id), :fee, :envelope_xdr, :at
    FROM bumped
)
SELECT tenant FROM bumped
""")
_BUMP_KNOWN = text("SELECT 1 FROM fee_bumps WHERE hash = :hash AND request_id = :id")
_ATTEMPT = text("""
INSERT INTO submission_attempts (request_id, hash, answer, detail, at)
VALUES (:id, :hash, :answer, :detail, :at)
""")


async def reserve(
    tx: Transaction, *, request_id: str, accounts: Sequence[str], family: bool = False
) -> str | None:
    """The channel account that belongs to the request until it is terminal; None while all are taken.

    One of `accounts`, or with `family` any that was made from the key family. A request that has one
    keeps it. Accounts not seen before become known as free. Raises NotFound, Refused for a request that
    has nothing to submit, and ConfigurationError while the family has no account yet.
    """
    status = await tx.value(_REQUEST_LOCK, {"id": request_id})
    if status is None:
        raise NotFound(f"there is no mint request {request_id}")
    if status not in (MintStatus.APPROVED, MintStatus.SUBMITTING):
        raise Refused(f"mint request {request_id} is {status}: it needs no channel account")
    params = {"id": request_id, "accounts": list(accounts), "family": family}
    taken = await tx.value(_RESERVE, params)
    if taken is None and await tx.row(_ADD_ACCOUNTS, params) is not None:
        taken = await tx.value(_RESERVE, params)
    if taken is None and not accounts and await tx.value(_FAMILY_EXISTS) is None:
        raise ConfigurationError(
            "there is no channel account yet: make some with 'mintkeeper channels create N'"
        )
    return None if taken is None else str(taken)


async def reserved(tx: Transaction, request_id: str) -> str | None:
    """The channel account that the request has, or None."""
    account = await tx.value(_RESERVED, {"id": request_id})
    return None if account is None else str(account)


async def waiting_before(tx: Transaction, request_id: str) -> float:
    """How many approved requests a channel account were decided before this one, and wait or are signed."""
    return float(await tx.value(_WAITING_BEFORE, {"id": request_id}) or 0.0)


async def store_submission(
    tx: Transaction, *, record: RequestRecord, submission: Submission, at: datetime
) -> RequestRecord:
    """Step `submission.stored`: keep the one envelope and go to SUBMITTING, before anything is sent.

    Signing takes a while, and comments or claims may come meanwhile: the record is read anew. Raises
    TransitionRefused when a ticket has come meanwhile that this envelope would not use up.
    """
    record = await lock_request(tx, record.request.id)
    if submission.plan.ticket is not (record.ticket is not None):
        raise TransitionRefused(
            f"mint request {record.request.id}: a mint uses up a ticket exactly if there is one: build anew"
        )
    after = with_status(record, MintStatus.SUBMITTING, at).model_copy(update={"submission": submission})
    columns = submission.model_dump(exclude={"request_id", "fee_bumps", "plan"})
    return await advance(
        tx,
        before=record,
        after=after,
        step="submission.stored",
        kind="submission.stored",
        actor="system",
        at=at,
        details={
            "hash": submission.hash,
            "channel": submission.channel,
            "sequence": str(submission.sequence),
            "maxTime": submission.max_time,
            "signedAtLedger": submission.signed_at_ledger,
            "plan": submission.plan.model_dump(mode="json"),
        },
        statement=_STORE,
        extra={**columns, "plan": submission.plan.model_dump_json()},
    )


async def load_submission(tx: Transaction, request_id: str) -> Submission | None:
    """The stored envelope of a request with its fee bumps, or None before it is signed."""
    found = await tx.value(_SUBMISSION, {"id": request_id})
    return None if found is None else Submission.model_validate(found)


async def add_fee_bump(tx: Transaction, *, request_id: str, bump: FeeBump, at: datetime) -> None:
    """Keep a fee bump before it is sent; the same bump again changes nothing.

    Raises Refused when the request is not SUBMITTING: nothing more is signed for it.
    """
    status = await tx.value(_REQUEST_LOCK, {"id": request_id})
    params = {"id": request_id, "at": at, **bump.model_dump()}
    tenant = await tx.value(_BUMP, params)
    if tenant is not None:
        await audit.append(
            tx,
            tenant=tenant,
            request_id=request_id,
            step=f"fee_bump:{bump.hash}",
            kind="submission.fee_bumped",
            actor="system",
            at=at,
            details={"hash": bump.hash, "fee": str(bump.fee)},
        )
    elif await tx.value(_BUMP_KNOWN, params) is None:
        raise Refused(f"mint request {request_id} is {status or 'unknown'}: no fee bump is signed for it")


async def note_attempt(
    tx: Transaction, *, request_id: str, hash: str, answer: str, detail: str, at: datetime
) -> None:
    """Note that an envelope was sent and what was answered."""
    params = {"id": request_id, "hash": hash, "answer": answer, "detail": detail, "at": at}
    await tx.run(_ATTEMPT, params)


async def conclude(
    tx: Transaction, *, record: RequestRecord, result: SubmissionResult, at: datetime
) -> RequestRecord:
    """Step `concluded`, or `resolved` out of ANOMALY: the outcome with its proof, and the channel let go.

    The channel becomes FREE, or FROZEN for an ANOMALY.
    """
    if record.status is MintStatus.ANOMALY and result.outcome is Outcome.ANOMALY:
        return record
    step = "resolved" if record.status is MintStatus.ANOMALY else "concluded"
    after = with_status(record, result.outcome.status, at, result.reason)
    after = after.model_copy(update={"result": result})
    return await advance(
        tx,
        before=record,
        after=after,
        step=step,
        kind=f"submission.{step}",
        actor="ledger",
        at=at,
        details={"outcome": result.outcome, "reason": result.reason, "proof": proof_details(result.proof)},
        notices=status_notices(after, await routing(tx, record.request), at),
        statement=CONCLUDING,
        extra=concluding_params(result),
    )


def concluding_params(result: SubmissionResult) -> dict[str, Any]:
    """What the statement CONCLUDING needs to know of a result."""
    return {
        "outcome": result.outcome.value,
        "outcome_reason": result.reason,
        "ledger": result.ledger,
        "proof": result.proof.model_dump_json(),
        "frozen": result.outcome is Outcome.ANOMALY,
    }


def proof_details(proof: Proof) -> dict[str, Any]:
    """A proof as canonical JSON can carry it: 64-bit sequences as text."""
    details = proof.model_dump(mode="json", exclude_defaults=True)
    for name in ("account_sequence", "transaction_sequence"):
        if name in details:
            details[name] = str(details[name])
    return details


async def fail_before_signing(
    tx: Transaction, *, record: RequestRecord, reason: str, at: datetime
) -> RequestRecord:
    """Step `precheck.failed`: APPROVED to FAILED with no mint signed; a reserved channel is given back.

    It is frozen instead if somebody else used the sequence of the request's ticket. Raises Refused while
    that ticket may still land.
    """
    if record.ticket is not None and record.ticket.outcome is None:
        raise Refused(f"the ticket of mint request {record.request.id} may still land: {reason}")
    result = SubmissionResult(
        outcome=Outcome.FAILED, reason=reason, proof=Proof(kind="precheck", note=reason)
    )
    after = with_status(record, MintStatus.FAILED, at, reason).model_copy(update={"result": result})
    return await advance(
        tx,
        before=record,
        after=after,
        step="precheck.failed",
        kind="precheck.failed",
        actor="system",
        at=at,
        details={"outcome": Outcome.FAILED, "reason": reason, "proof": proof_details(result.proof)},
        notices=status_notices(after, await routing(tx, record.request), at),
        statement=_GIVE_BACK,
    )
