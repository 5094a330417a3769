"""Out of ANOMALY: each way with real evidence from a real ledger, signed by an admin; and every refusal."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from stellar_sdk import AccountMerge
from temporalio.testing import ActivityEnvironment

from activities.decisions import DecisionActivities
from activities.stellar.inspect import Inspector
from db import reads
from db.writes import submissions
from domain.approvals import RESOLUTIONS, Decision, Verdict
from domain.audit import verify_chain
from domain.evidence import LedgerEvidence
from domain.mint_request import MintStatus
from domain.steps import DecideStep, InspectStep
from domain.submission import Outcome
from starter.decisions import sign_decision
from tests.db.factories import anomaly
from tests.support.anomalies import an_anomaly, concluded, lost, mint_by_hand, send
from tests.support.evidence import a_landing, landed, make_evidence


async def look(minting, request) -> LedgerEvidence:
    """What an inspection sees now."""
    inspector = Inspector(minting.database, minting.horizon)
    inspection = await ActivityEnvironment().run(inspector.inspect, InspectStep(request_id=request.id))
    return inspection.evidence


async def resolve(minting, request, verdict, evidence, *, by="adam", at=None, decision_id="dc_resolution"):
    """One signed resolution, as the workflow hands it to its activity; its outcome."""
    decision = Decision(
        decision_id=decision_id, request_id=request.id, request_digest=request.digest(), verdict=verdict,
        approver=by, reason="looked at it", issued_at=datetime.now(UTC), evidence=evidence,
    )  # fmt: skip
    signed = sign_decision(decision, minting.seeded.keys[by]).model_dump(mode="json", by_alias=True)
    step = DecideStep(
        request_id=request.id, tenant=request.tenant, signed=signed, expected=tuple(RESOLUTIONS),
        at=at or datetime.now(UTC),
    )  # fmt: skip
    return (await DecisionActivities(minting.database).decide(step)).outcome


async def used_by_a_stranger(minting):
    """The plain anomaly."""
    return (await an_anomaly(minting))[1]


async def minted_by_hand(minting):
    """Somebody built the mint anew, with the digest, on the channel account."""
    request, channel = await lost(minting)
    issuer, operations = minting.ledger.issuer, [mint_by_hand(minting.ledger, request)]
    await send(minting.ledger, channel, issuer, operations=operations, digest=request.digest())
    return await concluded(minting, request)


async def landed_and_hidden(minting):
    """It landed, but Horizon's history had a gap when the request was settled, and has none any more."""
    request = await minting.approved()
    await minting.submit(request, minting.hurried())
    await minting.ledger.close()
    record = await minting.record(request)
    async with minting.database.transaction() as tx:
        await submissions.conclude(tx, record=record, result=anomaly(record), at=datetime.now(UTC))
    return request


async def merged_away(minting):
    """The channel account is gone."""
    return (await an_anomaly(minting, AccountMerge(minting.ledger.holder.public_key)))[1]


WAYS = [
    (used_by_a_stranger, Verdict.FAILED, "FREE"),
    (used_by_a_stranger, Verdict.TIMEOUT_FAILED, "FREE"),
    (minted_by_hand, Verdict.CONFIRMED, "FREE"),
    (landed_and_hidden, Verdict.CONFIRMED, "FREE"),
    (merged_away, Verdict.FAILED, "FROZEN"),
]


@pytest.mark.parametrize(("make", "verdict", "channel"), WAYS, ids=[f"{w[0].__name__}-{w[1]}" for w in WAYS])
async def test_each_way_out(minting, make, verdict, channel):
    """The evidence is the proof; the channel account serves again only if it was seen to exist."""
    request = await make(minting)
    before = await minting.record(request)
    evidence = await look(minting, request)
    outcome = await resolve(minting, request, verdict, evidence)
    assert outcome.accepted, outcome.message
    record = await minting.record(request)
    proof = record.result.proof
    assert (record.status, record.result.outcome) == (MintStatus(verdict.upper()), Outcome(verdict.upper()))
    assert (proof.kind, proof.note, proof.evidence_sha256) == ("operator", "adam", evidence.sha256())
    assert LedgerEvidence.model_validate(proof.evidence) == evidence
    assert (await minting.channel_states())[before.submission.channel] == channel


@pytest.mark.parametrize(("make", "verdict", "channel"), WAYS, ids=[f"{w[0].__name__}-{w[1]}" for w in WAYS])
async def test_no_other_way_out(minting, make, verdict, channel):
    """The same evidence supports no opposite outcome: nothing changes."""
    request = await make(minting)
    evidence = await look(minting, request)
    opposite = {Verdict.CONFIRMED} if verdict is not Verdict.CONFIRMED else RESOLUTIONS - {verdict}
    for wrong in opposite:
        outcome = await resolve(minting, request, wrong, evidence)
        assert (outcome.accepted, outcome.reason) == (False, "evidence_contradicts")
    await assert_unmoved(minting, request)


async def assert_unmoved(minting, request):
    """Still in ANOMALY, frozen, and nobody was paid by us."""
    record = await minting.record(request)
    assert (record.status, record.result.outcome) == (MintStatus.ANOMALY, Outcome.ANOMALY)
    assert (await minting.channel_states())[record.submission.channel] == "FROZEN"


async def refused(minting, request, verdict, evidence, **how):
    """The reason of a refusal."""
    outcome = await resolve(minting, request, verdict, evidence, **how)
    assert not outcome.accepted
    await assert_unmoved(minting, request)
    return outcome.reason


async def test_a_resolution_without_real_evidence_changes_nothing(minting):
    """None, invented, somebody else's, or signed by the wrong person: an audit event, and that is all."""
    request = await used_by_a_stranger(minting)
    record, timeout = await minting.record(request), Verdict.TIMEOUT_FAILED
    invented = make_evidence(record)
    paid = landed(record, a_landing())
    assert await refused(minting, request, timeout, None) == "evidence_missing"
    assert await refused(minting, request, timeout, invented) == "evidence_unknown"
    assert await refused(minting, request, Verdict.CONFIRMED, paid) == "evidence_unknown"
    real = await look(minting, request)
    touched = real.model_copy(update={"channel_state": "FREE"})
    assert await refused(minting, request, timeout, touched) == "evidence_unknown"
    foreign = real.model_copy(update={"request_id": "mr_" + "Z" * 26})
    assert await refused(minting, request, timeout, foreign) == "evidence_contradicts"
    assert await refused(minting, request, timeout, real, by="alice") == "not_entitled"
    assert (await resolve(minting, request, timeout, real)).accepted


async def test_old_evidence_is_looked_at_again(minting):
    """An hour after the inspection, or held up for so long by an outage, it counts no more."""
    request = await used_by_a_stranger(minting)
    evidence = await look(minting, request)
    late = datetime.now(UTC) + timedelta(hours=1, minutes=1)
    assert await refused(minting, request, Verdict.FAILED, evidence, at=late) == "evidence_stale"


async def test_evidence_from_before_the_anomaly_is_no_way_around_the_proof(minting):
    """Looked at before the bound it supports nothing, whenever it is signed."""
    request, channel = await lost(minting)
    early = await look(minting, request)
    await send(minting.ledger, channel, operations=[AccountMerge(minting.ledger.holder.public_key)])
    await concluded(minting, request)
    assert await refused(minting, request, Verdict.TIMEOUT_FAILED, early) == "evidence_contradicts"


async def test_the_same_resolution_twice_takes_effect_once(minting):
    """A worker that died after the write answers the second attempt with the first outcome."""
    request = await used_by_a_stranger(minting)
    evidence = await look(minting, request)
    first = await resolve(minting, request, Verdict.FAILED, evidence)
    again = await resolve(minting, request, Verdict.FAILED, evidence)
    assert (first.accepted, again.accepted, again.status) == (True, True, "FAILED")
    assert "recorded before" in again.message
    other = await resolve(minting, request, Verdict.TIMEOUT_FAILED, evidence, decision_id="dc_another")
    assert (other.accepted, other.reason) == (False, "not_open")


async def test_the_audit_chain_holds_the_look_and_the_signature(minting):
    """An auditor finds the evidence's hash twice, the evidence under the signature, and the chain intact."""
    request = await used_by_a_stranger(minting)
    evidence = await look(minting, request)
    await resolve(minting, request, Verdict.FAILED, evidence)
    async with minting.database.transaction() as tx:
        events = await reads.audit_events(tx, request.tenant)
        timeline = await reads.timeline(tx, request.id)
        rows = await tx.execute(
            text("SELECT state FROM stellar_channels WHERE request_id = :id"), {"id": request.id}
        )
    told = {entry["kind"]: entry["details"] for entry in timeline if "details" in entry}
    assert verify_chain(events).intact
    assert told["ledger.inspected"]["sha256"] == evidence.sha256()
    assert told["decision.failed"]["evidenceSha256"] == evidence.sha256()
    assert rows.all() == []


async def test_the_freed_channel_account_mints_again(minting):
    """The next submission reads the sequence as it stands now."""
    request = await used_by_a_stranger(minting)
    channel = (await minting.record(request)).submission.channel
    await resolve(minting, request, Verdict.FAILED, await look(minting, request))
    for key in ("second", "third"):
        assert (await minting.mint(await minting.approved(key))).outcome is Outcome.CONFIRMED
    async with minting.database.transaction() as tx:
        rows = await tx.execute(text("SELECT outcome FROM submissions WHERE channel = :c"), {"c": channel})
    assert "CONFIRMED" in {row.outcome for row in rows}
