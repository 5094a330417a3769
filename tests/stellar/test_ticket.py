"""A ticket's transaction and what the issuer must have for it, without a ledger."""

from datetime import UTC, datetime

import pytest
from stellar_sdk import ManageData, TransactionEnvelope

from activities.stellar import ticket
from activities.stellar.horizon import Ledger
from activities.stellar.rules import SubmissionRules
from domain.errors import PrecheckFailed
from domain.submission import Landed
from domain.tickets import TicketOutcome, request_of, ticket_name
from settings import TESTNET_PASSPHRASE
from tests.support.mints import CHANNEL, HOLDER, ISSUER, a_request, a_wallet, an_account

NEWEST = Ledger(20, 1000, datetime.fromtimestamp(1000, UTC), "ab" * 32)


def signed(removes=(), max_fee=100_000, **request):
    """The ticket of a request over the channel account."""
    return ticket.sign_ticket(
        a_request(**request), a_wallet(CHANNEL), SubmissionRules(TESTNET_PASSPHRASE, 120, max_fee),
        channel=CHANNEL.public_key, sequence=41, newest=NEWEST, removes=removes,
    )  # fmt: skip


def transaction_of(stored):
    """What the stored envelope is."""
    return TransactionEnvelope.from_xdr(stored.envelope_xdr, TESTNET_PASSPHRASE).transaction


def test_removals_come_first_and_the_ticket_last():
    """Whatever is removed makes room for what is placed; every operation is the issuer's."""
    stored = signed(removes=["mr_one", "mr_two"])
    operations = transaction_of(stored).operations
    assert all(isinstance(operation, ManageData) for operation in operations)
    assert [(operation.data_name, operation.data_value) for operation in operations] == [
        ("mint:mr_one", None), ("mint:mr_two", None),
        (ticket_name(a_request().id), bytes.fromhex(a_request().digest())),
    ]  # fmt: skip
    assert {operation.source.account_id for operation in operations} == {ISSUER.public_key}
    assert stored.removes == ("mr_one", "mr_two")


def test_the_ticket_is_bounded_like_the_mint():
    """Ledger time plus the window, and never past the request's own deadline."""
    deadline = datetime.fromtimestamp(1060, UTC)
    assert (signed().max_time, signed(deadline=deadline).max_time) == (1120, 1060)
    assert transaction_of(signed()).preconditions.time_bounds.max_time == 1120


@pytest.mark.parametrize(("removes", "max_fee", "fee"), [
    ((), 100_000, 100_000), (("mr_one",), 100_001, 100_000), (("mr_one",), 100, 200),
])  # fmt: skip
def test_the_bid_is_the_whole_cap_and_at_least_the_minimum(removes, max_fee, fee):
    """Never above the cap but where the network's minimum is."""
    assert transaction_of(signed(removes, max_fee)).fee == fee


def test_names_fit_the_ledger_and_lead_back_to_the_request():
    """A data entry's name has at most 64 bytes."""
    name = ticket_name(a_request().id)
    assert len(name.encode()) <= 64
    assert request_of(name) == a_request().id
    assert request_of("config") is None


def test_only_tickets_count_as_left_behind():
    """Other data entries of the issuer are none of ours."""
    issuer = an_account(ISSUER.public_key, data=["mint:mr_one", "config", "mint:mr_two"])
    assert ticket.left_behind(issuer) == ["mr_one", "mr_two"]


@pytest.mark.parametrize(("issuer", "removed", "words"), [
    ({"entries": 1000, "native": "9999.0000000"}, 0, "has 1000 entries, the most that the ledger allows"),
    ({"native": "1.4999999"}, 0, "no native units to spare"),
    ({"native": "1.9999999", "entries": 2}, 1, "no native units to spare"),
])  # fmt: skip
def test_an_issuer_that_can_hold_no_more_is_refused(issuer, removed, words):
    """Entries and reserve are checked before the ticket is signed, and the message says what to do."""
    with pytest.raises(PrecheckFailed, match=words):
        ticket.judge_issuer(an_account(ISSUER.public_key, **issuer), removed)


@pytest.mark.parametrize(("issuer", "removed"), [
    ({"entries": 999, "native": "9999.0000000"}, 0), ({"entries": 1000, "native": "9999.0000000"}, 1),
    ({"native": "1.5000000"}, 0), ({"native": "1.5000000", "entries": 1}, 1),
])  # fmt: skip
def test_an_issuer_with_room_is_fine(issuer, removed):
    """What the same transaction removes counts as room."""
    assert ticket.judge_issuer(an_account(ISSUER.public_key, **issuer), removed) is None


def landed(*, successful, **codes):
    """The ticket's transaction in a closed ledger."""
    return Landed(
        found_hash=signed().hash, ledger=21, closed_at=NEWEST.closed_at, successful=successful,
        result_codes=codes,
    )  # fmt: skip


def test_a_ticket_in_a_closed_ledger_is_placed():
    """With the ledger as its proof."""
    placed = ticket.judge_landed(signed(), landed(successful=True))
    assert (placed.outcome, placed.proof.landed.ledger) == (TicketOutcome.PLACED, 21)
    assert placed.proof.transaction_sequence == 41


def test_a_ticket_that_was_refused_says_why():
    """The reason is the request's reason too: no mint is signed."""
    found = landed(successful=False, transaction="tx_failed", operations=["op_low_reserve"])
    refused = ticket.judge_landed(signed(), found)
    assert refused.outcome is TicketOutcome.FAILED
    assert "op_low_reserve (the issuer has too few native units for the reserve)" in refused.reason


def test_the_holder_has_no_part_in_a_ticket():
    """It moves nothing: neither the asset nor the destination stands in it."""
    assert HOLDER.public_key not in repr(transaction_of(signed()).operations)
