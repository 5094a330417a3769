"""A request with a ticket, from submission to its end, through a real Temporal server and its workflow."""

from datetime import UTC, datetime

from stellar_sdk import Keypair

from db.writes.dictionaries import set_ledger_options
from domain.ledger_options import LedgerOptions, MintForm
from domain.mint_request import MintStatus
from domain.tickets import TicketOutcome


async def test_a_ticketed_mint_goes_its_usual_way(minting_desk):
    """Approve once: the ticket lands, the mint uses it up, and the workflow ends CONFIRMED."""
    desk = minting_desk
    newcomer = Keypair.random()
    await desk.ledger.fund(newcomer)
    options = LedgerOptions(one_shot_ticket=True, claimable_balance=True)
    async with desk.seeded.database.transaction() as tx:
        await set_ledger_options(
            tx, tenant=desk.seeded.tenant, options=options, actor="adam", at=datetime.now(UTC)
        )
    async with desk.worker():
        ticket = await desk.submit(destination=newcomer.public_key)
        await desk.decide(ticket, "alice")
        record = await desk.until_status(ticket, MintStatus.CONFIRMED)
        result = await ticket.handle.result()
    assert result.status is MintStatus.CONFIRMED
    assert record.ticket.outcome is TicketOutcome.PLACED
    assert (record.submission.plan.form, record.submission.plan.ticket) == (MintForm.CLAIMABLE_BALANCE, True)
