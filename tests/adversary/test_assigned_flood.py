"""A flood of the signal `assigned`, which anybody with access to the namespace can send."""

from domain import steps
from domain.mint_request import MintStatus
from tests.support.sweeping import claim
from tests.workflows.test_auto_assign import shown

FLOOD = 200


async def looks(ticket) -> int:
    """How often the workflow has asked the database who has its request, by a local activity."""
    history = await ticket.handle.fetch_history()
    return sum(steps.READ_STANDING in str(event.marker_recorded_event_attributes) for event in history.events)


async def test_a_flood_of_signals_costs_one_look(desk):
    """A look that still waits for its turn serves everybody who asks meanwhile; the history stays short."""
    ticket = await desk.submit()
    for _ in range(FLOOD):
        await ticket.handle.signal("assigned")
    async with desk.worker():
        record = await desk.until_status(ticket, MintStatus.PENDING)
        await claim(desk.seeded.database, ticket.id, "bob", record.created_at)
        await ticket.handle.signal("assigned")
        assert await shown(desk, ticket) == "bob"
        assert await looks(ticket) <= 3
        assert (await desk.decide(ticket, "alice")).accepted
