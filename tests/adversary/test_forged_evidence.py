"""Resolutions without evidence, with forged evidence, or with evidence of something else."""

import base64
import json

from temporalio.client import WorkflowExecutionStatus

from domain.approvals import Verdict
from domain.evidence import SeenChannel
from domain.mint_request import MintStatus
from domain.submission import Outcome
from starter.ledger import inspection_id
from tests.support.anomalies import desk_loses_a_sequence, look
from tests.support.evidence import a_landing, landed, make_evidence


async def frozen(desk, ticket):
    """Nothing but the audit has moved."""
    record = await desk.record(ticket)
    assert (record.status, record.result.outcome) == (MintStatus.ANOMALY, Outcome.ANOMALY)
    assert (await ticket.handle.describe()).status is WorkflowExecutionStatus.RUNNING
    assert await desk.ledger.payments() == []


def tampered(signed, **changes):
    """A signed resolution whose evidence was changed on the way."""
    content = json.loads(base64.b64decode(signed.payload))
    content["evidence"] |= changes
    payload = base64.b64encode(json.dumps(content).encode()).decode()
    return signed.model_copy(update={"payload": payload})


async def test_raw_signals_with_forged_evidence_change_nothing_but_the_audit(minting_desk):
    """Whoever reaches the namespace, and even an admin with a key, can't invent what the ledger shows."""
    desk = minting_desk
    desk.window_seconds = 5
    async with desk.worker():
        ticket = await desk_loses_a_sequence(desk)
        record = await desk.record(ticket)
        inspection = await look(desk, ticket)
        real, timeout = inspection.evidence, Verdict.TIMEOUT_FAILED
        gone = real.model_copy(
            update={
                "channel": SeenChannel(
                    account=real.channel.account, ledger=real.newest.sequence, sequence=None
                )
            }
        )
        invented = make_evidence(record)
        paid = landed(record, a_landing(), newest=real.newest)
        forged = [
            ("evidence_missing", desk.sign(ticket, "adam", timeout)),
            ("evidence_unknown", desk.sign(ticket, "adam", timeout, evidence=invented)),
            ("evidence_unknown", desk.sign(ticket, "adam", Verdict.CONFIRMED, evidence=paid)),
            ("evidence_unknown", desk.sign(ticket, "adam", Verdict.FAILED, evidence=gone)),
            ("evidence_contradicts", desk.sign(ticket, "adam", Verdict.CONFIRMED, evidence=real)),
            (
                "bad_signature",
                tampered(desk.sign(ticket, "adam", timeout, evidence=real), status="SUBMITTING"),
            ),
            ("malformed", tampered(desk.sign(ticket, "adam", timeout, evidence=real), verdict="all is well")),
            ("not_entitled", desk.sign(ticket, "alice", timeout, evidence=real)),
        ]
        for _, signed in forged:
            await ticket.handle.signal("resolve", signed)
        assert await desk.until_refused(ticket, len(forged)) == [reason for reason, _ in forged]
        await frozen(desk, ticket)
        await ticket.handle.signal("resolve", desk.sign(ticket, "adam", Verdict.FAILED, evidence=real))
        assert (await ticket.handle.result()).status is MintStatus.FAILED
    described = await desk.client.get_workflow_handle(inspection_id(ticket.id)).describe()
    assert described.status is WorkflowExecutionStatus.COMPLETED


async def test_an_envelope_full_of_evidence_is_refused_and_wedges_nothing(minting_desk):
    """More than a payload may hold is malformed; the request goes on."""
    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        signed = desk.sign(ticket, "adam", Verdict.FAILED).model_dump(mode="json", by_alias=True)
        await ticket.handle.signal("resolve", signed | {"payload": "A" * 40_000})
        assert await desk.until_refused(ticket) == ["malformed"]
        assert (await desk.decide(ticket, "alice")).accepted
