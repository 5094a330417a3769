"""A ticket's transaction, what the issuer must have for it, and what the ledger's word makes of it; pure."""

from __future__ import annotations

from collections.abc import Sequence

from activities.stellar import envelope
from activities.stellar.horizon import Ledger
from activities.stellar.operations import ticket_operations
from activities.stellar.rules import BASE_FEE, SubmissionRules
from activities.stellar.signers import Wallet
from activities.stellar.verdict import landing_proof, refusal
from domain.errors import PrecheckFailed
from domain.ledger_accounts import BASE_RESERVE, AccountView, spendable
from domain.mint_request import MintRequest
from domain.submission import Landed, Proof
from domain.tickets import Ticket, TicketOutcome, request_of

MOST_SUBENTRIES = 1000
"""Trustlines, offers, signers and data entries that the ledger allows one account."""


def sign_ticket(
    request: MintRequest,
    wallet: Wallet,
    rules: SubmissionRules,
    *,
    channel: str,
    sequence: int,
    newest: Ledger,
    removes: Sequence[str],
) -> Ticket:
    """Build and sign the transaction that places the request's ticket and removes the left-behind ones.

    It bids the whole configured fee at once, so that it needs no fee bump: the network charges everybody
    the lowest price that got into the ledger, never more than that for a higher bid.
    """
    operations = ticket_operations(request, removes)
    draft = envelope.draft(
        operations,
        network_passphrase=request.network_passphrase,
        channel=channel,
        sequence=sequence,
        max_time=envelope.max_time_for(request, newest.close_time, rules.window_seconds),
        base_fee=max(rules.max_fee_stroops // len(operations), BASE_FEE),
        memo=request.digest(),
    )
    digest = envelope.sign(draft, wallet, channel)
    return Ticket(
        request_id=request.id,
        hash=digest,
        channel=channel,
        sequence=sequence,
        max_time=envelope.max_time_for(request, newest.close_time, rules.window_seconds),
        envelope_xdr=draft.to_xdr(),
        signed_at_ledger=newest.sequence,
        removes=tuple(removes),
    )


def left_behind(issuer: AccountView) -> list[str]:
    """Every request whose ticket stands on the issuer; which of them have ended, the database knows."""
    found = (request_of(name) for name in issuer.body.get("data", {}))
    return [request_id for request_id in found if request_id is not None]


def judge_issuer(issuer: AccountView, removed: int) -> None:
    """Raise PrecheckFailed unless the issuer can hold one more data entry after `removed` have gone."""
    if int(issuer.body["subentry_count"]) - removed >= MOST_SUBENTRIES:
        raise PrecheckFailed(
            f"issuer {issuer.account_id} has {MOST_SUBENTRIES} entries, the most that the ledger allows, so "
            "it can't hold the ticket: remove some, or switch the option one_shot_ticket off"
        )
    if spendable(issuer) + removed * BASE_RESERVE < BASE_RESERVE:
        raise PrecheckFailed(
            f"issuer {issuer.account_id} has no native units to spare for the reserve of the ticket: fund it"
        )


def judge_landed(ticket: Ticket, landed: Landed) -> Ticket:
    """The ticket as its ledger decided about it."""
    outcome = TicketOutcome.PLACED if landed.successful else TicketOutcome.FAILED
    reason = f"placed in ledger {landed.ledger}" if landed.successful else f"the ticket was {refusal(landed)}"
    return _concluded(ticket, outcome, reason, landing_proof(ticket, landed))


def judge_proof(ticket: Ticket, proof: Proof) -> Ticket:
    """The ticket whose transaction is in no ledger although its time bound has passed."""
    if proof.kind == "never_landed":
        reason = (
            f"the ticket never landed: ledger {proof.ledger} closed after its time bound, and its sequence "
            f"number is unused at ledger {proof.account_ledger}; no mint was signed"
        )
        return _concluded(ticket, TicketOutcome.NEVER_LANDED, reason, proof)
    reason = (
        f"sequence {ticket.sequence} of channel account {ticket.channel} is used up, but not by the ticket: "
        "no mint was signed, the account is frozen; find out who else uses it"
    )
    return _concluded(ticket, TicketOutcome.LOST, reason, proof)


def _concluded(ticket: Ticket, outcome: TicketOutcome, reason: str, proof: Proof) -> Ticket:
    return ticket.model_copy(update={"outcome": outcome, "reason": reason, "proof": proof})
