"""From a signed funding transaction to its certain end: it landed, it failed, or it never will land."""

from __future__ import annotations

import asyncio

from temporalio import activity

from activities.pulse import Pulse
from activities.stellar import proof
from activities.stellar.answers import Answer, Meaning
from activities.stellar.horizon import Horizon, Ledger
from activities.stellar.settle import WorkerStopping
from domain.channel_accounts import FUNDING_ID, Delivered, Funding
from domain.errors import Refused
from domain.submission import Landed, Proof, StoredEnvelope

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
"""Seconds between two looks: short at first, for ledgers that close at once."""

LEDGERS_BEFORE_RESEND = 3
"""So many ledgers may close without a transaction that was taken; any other is sent again at the next."""


async def deliver(horizon: Horizon, funding: Funding, network: str, pulse: Pulse) -> Delivered:
    """Send the one envelope, again and again, and look until the ledger or the proof has decided.

    `network` is the passphrase that it was signed for. Raises ConfigurationError for a Horizon of another
    network, Refused when the funding account can't pay the fee, Unavailable when Horizon is out of reach
    or the worker stops: the next attempt sends the same.
    """
    # the proof asks about an envelope, whoever it belongs to
    envelope = StoredEnvelope(
        request_id=FUNDING_ID,
        channel=funding.account,
        **funding.model_dump(exclude={"account", "payments"}),
    )
    answer = await _send(horizon, funding)
    sent_at: int | None = None
    pause = SHORTEST_PAUSE
    while True:
        newest = await horizon.newest_ledger()
        pulse({"step": "waiting for ledger", "newest": newest.sequence, "answer": answer.word})
        finding = await _find(horizon, envelope, newest, network)
        if finding is not None:
            return _judge(finding, answer)
        sent_at = newest.sequence if sent_at is None else sent_at
        if _due_to_send(answer, newest.sequence - sent_at):
            answer, sent_at = await _send(horizon, funding), newest.sequence
        await _wait(max(pause, answer.retry_after or 0.0))
        pause = min(pause * 2, LONGEST_PAUSE)


async def _send(horizon: Horizon, funding: Funding) -> Answer:
    answer = await horizon.send(funding.envelope_xdr)
    if answer.meaning is Meaning.UNFUNDED:
        raise Refused(f"funding account {funding.account} cannot pay the fee: fund it")
    return answer


async def _find(
    horizon: Horizon, envelope: StoredEnvelope, newest: Ledger, network: str
) -> Landed | Proof | None:
    if proof.bound_is_past(envelope, newest):
        return await proof.prove(horizon, envelope, newest, network)
    return await horizon.transaction(envelope.hash)


def _due_to_send(answer: Answer, ledgers: int) -> bool:
    if answer.meaning is Meaning.REFUSED:
        return False
    return ledgers >= (LEDGERS_BEFORE_RESEND if answer.meaning is Meaning.TAKEN else 1)


def _judge(finding: Landed | Proof, answer: Answer) -> Delivered:
    if isinstance(finding, Proof):
        return Delivered(landed=False, word=answer.word, ledger=finding.account_ledger or 0)
    operations = finding.result_codes.get("operations")
    codes = operations if isinstance(operations, list) else [finding.result_codes.get("transaction", "")]
    telling = [str(code) for code in codes if code != "op_success"]
    return Delivered(landed=finding.successful, word=" ".join(dict.fromkeys(telling)), ledger=finding.ledger)


async def _wait(seconds: float) -> None:
    try:
        await asyncio.wait_for(activity.wait_for_worker_shutdown(), timeout=seconds)
    except TimeoutError:
        return
    raise WorkerStopping("this worker is shutting down: another one goes on")
