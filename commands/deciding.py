"""Sending a signed decision: by update, which answers, or by signal, which is durable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from commands.context import Cli
from commands.documents import Document
from commands.lookup import load_request
from domain.approvals import Decision, DecisionOutcome, SignedDecision, Verdict
from domain.errors import DecisionRefused, NotOpen, OutcomeUnknown
from domain.evidence import LedgerEvidence
from domain.mint_request import TERMINAL
from domain.records import RequestRecord
from starter.decisions import deliver, make_decision, sign_decision
from starter.ids import new_decision_id
from starter.keys import load_key
from starter.temporal import reachable


@dataclass(frozen=True)
class Order:
    """A decision as it was typed."""

    request_id: str
    verdict: str
    user: str
    reason: str
    key_file: Path | None
    decision_id: str | None
    signal: bool
    wait_seconds: float


async def decide(cli: Cli, order: Order, evidence: LedgerEvidence | None = None) -> None:
    """Sign and send; raises DecisionRefused, NotOpen, OutcomeUnknown and what else may go wrong.

    `evidence` goes with a resolution, under the same signature.
    """
    key = load_key(order.key_file or cli.key_file(order.user))
    decision_id = order.decision_id or new_decision_id()
    async with cli.database() as database:
        record = await load_request(database, order.request_id)
        decision = make_decision(
            decision_id=decision_id,
            request_id=record.request.id,
            digest=record.request.digest(),
            verdict=Verdict(order.verdict),
            approver=order.user,
            reason=order.reason,
            issued_at=datetime.now(UTC),
            evidence=evidence,
        )
        try:
            outcome = await _send(cli, decision, sign_decision(decision, key), order)
        except OutcomeUnknown as error:
            raise cli.fail(error.code, error.message, decision_id=decision_id) from error
        except NotOpen as error:
            raise refuse_closed(await load_request(database, record.request.id), error) from error
    _answer(cli, decision, outcome)


async def _send(cli: Cli, decision: Decision, signed: SignedDecision, order: Order) -> DecisionOutcome | None:
    """The workflow's answer; None when the decision was left as a signal."""
    async with reachable(await cli.temporal()) as client:
        return await deliver(client, decision, signed, signal=order.signal, limit_seconds=order.wait_seconds)


def refuse_closed(record: RequestRecord, error: NotOpen) -> NotOpen:
    """Refuse with what the database remembers: the workflow has ended, or was lost."""
    if record.status in TERMINAL:
        reason = f" ({record.reason})" if record.reason else ""
        return NotOpen(f"{record.request.id} is {record.status} already{reason}")
    return error


def _answer(cli: Cli, decision: Decision, outcome: DecisionOutcome | None) -> None:
    request_id, decision_id = decision.request_id, decision.decision_id
    signed = {} if decision.evidence is None else {"evidence_sha256": decision.evidence.sha256()}
    if outcome is None:
        look = f"mintkeeper show {request_id}"
        document: Document = {
            "id": request_id, "decision_id": decision_id, "sent": "signal", "accepted": None, "look": look,
            **signed,
        }  # fmt: skip
        cli.emit(
            document,
            lambda: f"decision {decision_id} is left with the workflow; its outcome is not known yet: {look}",
        )
        return
    if not outcome.accepted:
        raise DecisionRefused(outcome.message, outcome.reason or "refused")
    document = {"id": request_id, "decision_id": decision_id, **outcome.model_dump(mode="json"), **signed}
    cli.emit(document, lambda: f"{request_id}: {outcome.message}")
