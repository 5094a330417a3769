"""Requests, approvals and submissions for the database's tests."""

import hashlib
import itertools
from datetime import UTC, datetime, timedelta

from db import reads
from db.seed import POLICY, TENANT
from db.writes import decisions, requests, submissions
from domain.amounts import STROOPS_PER_UNIT, Asset
from domain.approvals import Approval, match_rule
from domain.mint_request import MintRequest, request_id_for_key
from domain.submission import Landed, Outcome, Proof, Submission, SubmissionResult

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ISSUER = "GBZXN7PIRZGNMHGA7MUUUF4GWPY5AYPV6LY4UV2GL6VJGIQRXFDNMADI"
HOLDER = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"
CHANNEL = "GCHANNEL"
ENVELOPE = {"payload": "cGF5bG9hZA==", "payloadType": "decision", "signatures": [{"sig": "c2ln"}]}

_keys = itertools.count()


def later(**delta):
    """A moment after the opening."""
    return START + timedelta(**delta)


def a_request(*, units=2500, key=None, **changes):
    """A mint request of the demo tenant."""
    fields = {
        "id": request_id_for_key(TENANT, key or f"key-{next(_keys)}"),
        "tenant": TENANT,
        "network_passphrase": "Test Network",
        "asset": Asset(code="EURT", issuer=ISSUER),
        "amount": units * STROOPS_PER_UNIT,
        "destination": HOLDER,
        "topic": "treasury-eu",
        "requester": "rita",
    }
    return MintRequest(**{**fields, **changes})


async def open_one(tx, request=None, *, rule=None, policy=POLICY, at=START, **changes):
    """Open a request as the workflow does."""
    request = request or a_request(**changes)
    rule = rule or match_rule(await reads.rules(tx, TENANT), TENANT, request.asset, request.amount)
    return await requests.open_request(
        tx,
        request=request,
        policy=policy,
        rule=rule,
        sla_scale=1,
        created_at=at,
        expires_at=at + timedelta(minutes=policy.auto_close_minutes),
        run_id="run-1",
    )


def an_approval(record, approver="alice", tier=1, at=None):
    """An accepted approval of a record."""
    return Approval(
        decision_id=f"decision-{record.request.id[-8:]}-{approver}",
        approver=approver,
        tier=tier,
        reason="fine",
        at=at or later(hours=1),
    )


async def approve(tx, record, approver="alice", tier=1, *, satisfied=True, at=None):
    """Record an approval as the decision activity does."""
    at = at or later(hours=1)
    return await decisions.record_approval(
        tx,
        record=record,
        approval=an_approval(record, approver, tier, at),
        envelope=ENVELOPE,
        satisfied=satisfied,
        at=at,
    )


def a_submission(record, *, channel=CHANNEL, sequence=1):
    """The signed envelope of a record."""
    return Submission(
        request_id=record.request.id,
        hash=hashlib.sha256(record.request.id.encode()).hexdigest(),
        channel=channel,
        sequence=sequence,
        max_time=1_800_000_000,
        envelope_xdr="AAAA",
        signed_at_ledger=7,
    )


async def submit(tx, record, *, channel=CHANNEL, sequence=1, at=None):
    """Reserve the channel and store the envelope."""
    assert await submissions.reserve(tx, request_id=record.request.id, accounts=[channel]) == channel
    submission = a_submission(record, channel=channel, sequence=sequence)
    return await submissions.store_submission(
        tx, record=record, submission=submission, at=at or later(hours=2)
    )


async def submitting(tx, *, channel=CHANNEL, sequence=1, **changes):
    """A request whose envelope is stored."""
    record = await approve(tx, await open_one(tx, **changes))
    return await submit(tx, record, channel=channel, sequence=sequence)


def confirmed(record, ledger=42):
    """The result of a payment that landed."""
    landed = Landed(
        found_hash=record.submission.hash, ledger=ledger, closed_at=later(hours=2), successful=True
    )
    return SubmissionResult(
        outcome=Outcome.CONFIRMED,
        reason="found in a closed ledger",
        proof=Proof(kind="landed", landed=landed),
        ledger=ledger,
    )


def timed_out(record):
    """The result of an envelope that can never land."""
    proof = Proof(
        kind="never_landed",
        ledger=50,
        max_time=record.submission.max_time,
        absent_hashes=(record.submission.hash,),
        account=record.submission.channel,
        account_sequence=record.submission.sequence - 1,
        account_ledger=50,
        transaction_sequence=record.submission.sequence,
    )
    return SubmissionResult(outcome=Outcome.TIMEOUT_FAILED, reason="never landed", proof=proof)


def anomaly(record):
    """The result when the sequence is consumed and the hash absent."""
    proof = Proof(kind="sequence_consumed", account=record.submission.channel, account_sequence=9)
    return SubmissionResult(outcome=Outcome.ANOMALY, reason="sequence consumed, hash absent", proof=proof)
