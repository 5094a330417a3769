"""One-shot tickets: the ledger itself refuses a second mint of the same request."""

import asyncio
import base64

import pytest
from sqlalchemy import text
from stellar_sdk import Asset, Keypair, ManageData, Payment, TransactionEnvelope
from temporalio.testing import ActivityEnvironment

from activities.stellar import envelope, ticket_office
from activities.stellar.inspect import Inspector
from commands.documents import request_document
from domain.ledger_options import MintForm, MintPlan
from domain.mint_request import MintStatus
from domain.steps import InspectStep
from domain.submission import Outcome
from domain.tickets import TicketOutcome, ticket_name
from settings import TESTNET_PASSPHRASE
from tests.support.minting import minting_on, tried
from tests.support.mortal import Killed, Life, MortalHorizon

TICKETED = MintPlan(ticket=True)


async def tickets_on(ledger) -> dict[str, str]:
    """The data entries of the issuer."""
    return (await ledger.server.accounts().account_id(ledger.issuer.public_key).call())["data"]


async def ticketed(minting, key="first", **changes):
    """An approved request of a tenant that wants tickets."""
    await minting.allow(one_shot_ticket=True)
    return await minting.approved(key, **changes)


class DiesWithTheTicket(Life):
    """A worker that dies when it looks again, after it has sent a ticket and seen it land."""

    def __init__(self):
        super().__init__(dies_at=0)

    def step(self, name):
        self.steps.append(name)
        if name == "before account" and "after send" in self.steps:
            raise Killed(name)


async def with_ticket(minting, key="first", **changes):
    """A request whose ticket stands on the ledger, and nothing was signed after that."""
    request = await ticketed(minting, key, **changes)
    doomed = minting.activities(horizon=MortalHorizon(minting.horizon, DiesWithTheTicket()))
    with pytest.raises(Killed):
        await minting.mint(request, doomed)
    assert (await minting.record(request)).status is MintStatus.APPROVED
    return request


async def test_the_ticket_lands_before_the_mint_is_signed(minting, ledger):
    """Ticket and mint come from one channel account, in that order; the mint uses the ticket up."""
    request = await ticketed(minting)
    result = await minting.mint(request)
    record = await minting.record(request)
    ticket, submission = record.ticket, record.submission
    assert (result.outcome, ticket.outcome) == (Outcome.CONFIRMED, TicketOutcome.PLACED)
    assert (ticket.channel, ticket.sequence) == (submission.channel, submission.sequence - 1)
    assert ticket.proof.landed.ledger <= submission.signed_at_ledger < result.ledger
    assert await tickets_on(ledger) == {}
    assert len(await ledger.payments()) == 1
    assert set((await minting.channel_states()).values()) == {"FREE"}


async def test_the_ticket_carries_the_digest(minting, ledger):
    """Whoever looks at the issuer account sees which content was approved."""
    request = await with_ticket(minting)
    written = base64.b64encode(bytes.fromhex(request.digest())).decode()
    assert await tickets_on(ledger) == {ticket_name(request.id): written}


async def rival(minting, request, channel, **changes):
    """A second valid mint of the same request, signed by hand on another channel account."""
    view = await minting.horizon.account(channel.public_key)
    return envelope.sign_mint(
        request.model_copy(update=changes), minting.ledger.wallet(), channel=channel.public_key,
        sequence=view.sequence + 1, max_time=minting.ledger.now + 600, signed_at_ledger=view.ledger,
        plan=TICKETED,
    )  # fmt: skip


async def test_of_two_valid_mints_of_one_request_only_one_lands(minting, ledger):
    """Whatever made two of them, a bug or a thief: the second finds no ticket and is rolled back."""
    request = await with_ticket(minting)
    both = [await rival(minting, request, channel) for channel in ledger.channels]
    for mint in both:
        assert (await minting.horizon.send(mint.envelope_xdr)).word == "PENDING"
    await ledger.close()
    found = [await minting.horizon.transaction(mint.hash) for mint in both]
    assert sorted(landed.successful for landed in found) == [False, True]
    [failed] = [landed for landed in found if not landed.successful]
    assert failed.result_codes["operations"] == ["op_success", "op_data_name_not_found"]
    assert len(await ledger.payments()) == 1


async def test_a_mint_by_hand_makes_ours_an_anomaly(minting, ledger):
    """Ours is refused by the ledger: no second payment, and nobody may call the request failed unseen."""
    request = await with_ticket(minting)
    used = (await minting.record(request)).ticket.channel
    [other] = [channel for channel in ledger.channels if channel.public_key != used]
    by_hand = await rival(minting, request, other)
    await minting.horizon.send(by_hand.envelope_xdr)
    await ledger.close(5)
    result = await minting.mint(request)
    assert result.outcome is Outcome.ANOMALY
    assert "used up or removed the ticket" in result.reason
    assert len(await ledger.payments()) == 1
    assert (await minting.channel_states())[used] == "FROZEN"
    # it landed before ours was signed, and the look at the ledger finds it all the same
    inspector = Inspector(minting.database, minting.horizon)
    seen = await ActivityEnvironment().run(inspector.inspect, InspectStep(request_id=request.id))
    assert [other.hash for other in seen.evidence.others] == [by_hand.hash]
    assert seen.finding.supports == (Outcome.CONFIRMED,)


async def test_a_used_ticket_is_never_placed_again(minting, ledger):
    """The ticket's own transaction, sent again by anybody, has a sequence that was used."""
    request = await ticketed(minting)
    await minting.mint(request)
    stored = (await minting.record(request)).ticket
    answer = await minting.horizon.send(stored.envelope_xdr)
    await ledger.close(2)
    assert answer.word == "tx_bad_seq"
    assert await tickets_on(ledger) == {}


async def test_a_ticket_that_never_landed_fails_before_signing(minting, ledger):
    """Proved in the same three steps; no mint was signed, the channel is given back, its sequence unused."""
    request = await ticketed(minting)
    await ledger.fault("timeout_never_land", count=1000)
    async with ledger.closing():
        answer = await tried(lambda: minting.submit(request, minting.hurried()))
    await ledger.clear_faults()
    record = await minting.record(request)
    proof = record.ticket.proof
    assert (answer.status, record.submission) == (MintStatus.FAILED, None)
    assert "the ticket never landed" in answer.reason
    assert record.ticket.outcome is TicketOutcome.NEVER_LANDED
    assert proof.ledger_closed_at.timestamp() > proof.max_time == record.ticket.max_time
    assert proof.account_sequence < proof.transaction_sequence == record.ticket.sequence
    assert set((await minting.channel_states()).values()) == {"FREE"}
    assert (await minting.mint(await minting.approved("second"))).outcome is Outcome.CONFIRMED


async def test_a_ticket_whose_sequence_was_used_by_somebody_else_freezes_the_channel(minting, ledger):
    """The request must not mint and fails; people find out who else signs for that account."""
    request = await ticketed(minting)
    # it is stored before it is sent, and sent again only in a later ledger
    await ledger.fault("timeout_never_land")
    submitting = asyncio.create_task(tried(lambda: minting.submit(request, minting.hurried())))
    await ledger.until_faults_are_met()
    stored = (await minting.record(request)).ticket
    [channel] = [key for key in ledger.channels if key.public_key == stored.channel]
    await ledger.run(channel, Payment(ledger.holder.public_key, Asset.native(), "1"))
    async with ledger.closing():
        answer = await submitting
    record = await minting.record(request)
    assert (answer.status, record.submission) == (MintStatus.FAILED, None)
    assert record.ticket.outcome is TicketOutcome.LOST
    assert (await minting.channel_states())[stored.channel] == "FROZEN"
    assert await tickets_on(ledger) == {}
    other = await minting.approved("second")
    assert (await minting.mint(other)).outcome is Outcome.CONFIRMED
    assert (await minting.record(other)).submission.channel != stored.channel


async def left_behind(minting, ledger, *keys):
    """Requests that failed their pre-check after their tickets were placed."""
    requests = [await with_ticket(minting, key) for key in keys]
    await ledger.trust(ledger.holder, "0.0000001")
    answers = [await minting.submit(request) for request in requests]
    await ledger.trust(ledger.holder)
    assert {answer.status for answer in answers} == {MintStatus.FAILED}
    return requests


async def test_the_next_ticket_removes_those_left_behind(minting, ledger):
    """They cost the issuer a reserve each; only tickets of requests that have ended are touched."""
    gone = await left_behind(minting, ledger, "gone-1", "gone-2")
    assert set(await tickets_on(ledger)) == {ticket_name(request.id) for request in gone}
    request = await with_ticket(minting, "next")
    assert set(await tickets_on(ledger)) == {ticket_name(request.id)}
    assert set((await minting.record(request)).ticket.removes) == {each.id for each in gone}
    assert (await minting.mint(request)).outcome is Outcome.CONFIRMED
    assert await tickets_on(ledger) == {}


async def test_the_ticket_of_a_request_that_still_runs_stays(minting, ledger):
    """Removing it would make that mint fail."""
    first = await with_ticket(minting, "first")
    second = await with_ticket(minting, "second")
    assert set(await tickets_on(ledger)) == {ticket_name(first.id), ticket_name(second.id)}
    results = [await minting.mint(request) for request in (first, second)]
    assert {result.outcome for result in results} == {Outcome.CONFIRMED}


async def test_data_entries_of_others_stay(minting, ledger):
    """Only what is a ticket of a request that we know is ours to remove."""
    await ledger.run(ledger.issuer, ManageData("config", b"theirs"), ManageData("mint:unknown", b"theirs"))
    assert (await minting.mint(await ticketed(minting))).outcome is Outcome.CONFIRMED
    assert set(await tickets_on(ledger)) == {"config", "mint:unknown"}


async def test_two_at_once_remove_a_left_behind_ticket_once(minting, ledger):
    """The second would fail as a whole, so a ticket is claimed before its removal is signed."""
    [gone] = await left_behind(minting, ledger, "gone")
    requests = [await ticketed(minting, f"both-{number}") for number in range(2)]
    worker = minting.activities()
    async with ledger.closing(every=0.2):
        results = await asyncio.gather(*(minting.mint(request, worker) for request in requests))
    removed = [(await minting.record(request)).ticket.removes for request in requests]
    assert {result.outcome for result in results} == {Outcome.CONFIRMED}
    assert sorted(removed) == [(), (gone.id,)]
    assert await tickets_on(ledger) == {}


async def test_a_removal_that_never_landed_is_made_up_for(minting, ledger):
    """A claim ends with the transaction that carried it."""
    [gone] = await left_behind(minting, ledger, "gone")
    lost = await ticketed(minting, "lost")
    await ledger.fault("timeout_never_land", count=1000)
    async with ledger.closing():
        await tried(lambda: minting.submit(lost, minting.hurried()))
    await ledger.clear_faults()
    request = await with_ticket(minting, "next")
    assert (await minting.record(lost)).ticket.removes == (gone.id,)
    assert (await minting.record(request)).ticket.removes == (gone.id,)
    assert set(await tickets_on(ledger)) == {ticket_name(request.id)}


@pytest.mark.parametrize(("kind", "values"), [
    ("drop_after_accept", {}), ("timeout_then_land", {}), ("timeout_then_land", {"after_ledgers": 6}),
    ("timeout_never_land", {"count": 3}), ("try_again_later", {"count": 5}),
    ("ingestion_lag", {"ledgers": 4}), ("two_views", {"ledgers": 2}), ("rate_limit", {"count": 4}),
    ("reset", {"count": 7}),
    ("unavailable", {"count": 5}), ("surge_fee", {"fee_per_operation": 30_000}),
])  # fmt: skip
async def test_a_fault_that_passes_ends_in_one_payment(minting, ledger, kind, values):
    """Whatever was answered to ticket or mint, each lands once."""
    request = await ticketed(minting)
    await ledger.close(3)
    await ledger.fault(kind, **values)
    result = await minting.mint(request)
    await ledger.clear_faults()
    assert result.outcome is Outcome.CONFIRMED
    assert len(await ledger.payments()) == 1
    assert await tickets_on(ledger) == {}


async def test_a_ticket_bids_the_whole_fee_at_once(minting, ledger):
    """A surge needs no bump of the ticket, and without a surge it costs no more."""
    request = await with_ticket(minting)
    stored = (await minting.record(request)).ticket
    bid = TransactionEnvelope.from_xdr(stored.envelope_xdr, TESTNET_PASSPHRASE).transaction.fee
    assert (bid, stored.proof.landed.fee_charged) == (100_000, 100)


async def test_show_tells_of_the_ticket(minting):
    """Name, transaction and what became of it, for whoever looks the request up."""
    request = await with_ticket(minting)
    told = request_document(await minting.record(request))["ticket"]
    assert (told["name"], told["outcome"]) == (ticket_name(request.id), "PLACED")
    assert told["proof"]["kind"] == "landed"


async def test_a_mint_that_cannot_land_gets_no_ticket(minting, ledger):
    """The pre-check comes before the ticket, too."""
    request = await ticketed(minting, destination=Keypair.random().public_key)
    answer = await minting.submit(request)
    assert answer.status is MintStatus.FAILED
    assert (await minting.record(request)).ticket is None


async def test_an_option_switched_off_meanwhile_keeps_the_ticket_in_use(minting, ledger):
    """A ticket that was placed for a request is used up by its mint, whatever the option says by then."""
    request = await with_ticket(minting)
    await minting.allow()
    assert (await minting.mint(request)).outcome is Outcome.CONFIRMED
    assert (await minting.record(request)).submission.plan.ticket
    assert await tickets_on(ledger) == {}


async def test_ticket_and_claimable_balance_go_together(minting, ledger):
    """The balance is made and the ticket used up in one transaction, or neither."""
    newcomer = Keypair.random()
    await ledger.fund(newcomer)
    await minting.allow(one_shot_ticket=True, claimable_balance=True)
    request = await minting.approved(destination=newcomer.public_key)
    result = await minting.mint(request)
    plan = (await minting.record(request)).submission.plan
    assert (result.outcome, plan.form, plan.ticket) == (
        Outcome.CONFIRMED, MintForm.CLAIMABLE_BALANCE, True,
    )  # fmt: skip
    assert await tickets_on(ledger) == {}


async def test_the_issuer_alone_places_its_tickets(seeded):
    """Without channel accounts the issuer's own sequence orders ticket and mint."""
    async with minting_on(seeded) as minting:
        request = await ticketed(minting)
        assert (await minting.mint(request)).outcome is Outcome.CONFIRMED
        assert await tickets_on(minting.ledger) == {}


async def test_a_halted_network_leaves_the_ticket_to_the_next_attempt(minting, ledger, monkeypatch):
    """An attempt follows a ticket for a while only; nothing is decided, nothing signed twice."""
    monkeypatch.setattr(ticket_office, "PATIENCE_SECONDS", 0.1)
    request = await ticketed(minting)
    with pytest.raises(Exception, match="waits for the ledger") as caught:
        await minting.submit(request)
    first = (await minting.record(request)).ticket
    monkeypatch.undo()
    result = await minting.mint(request)
    assert caught.value.type == "ticket_waits"
    assert result.outcome is Outcome.CONFIRMED
    assert (await minting.record(request)).ticket.hash == first.hash


async def test_the_audit_chain_tells_of_the_ticket(minting):
    """Stored before it is sent, concluded with its proof, and only then the mint."""
    request = await ticketed(minting)
    await minting.mint(request)
    async with minting.database.transaction() as tx:
        rows = await tx.execute(
            text("SELECT kind FROM audit_events WHERE request_id = :id ORDER BY seq"), {"id": request.id}
        )
        kinds = [row.kind for row in rows]
    assert kinds[-4:] == ["ticket.stored", "ticket.concluded", "submission.stored", "submission.concluded"]
