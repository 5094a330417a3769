import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import TransitionRefused
from domain.mint_request import (
    RESUBMITTABLE,
    TERMINAL,
    TRANSITIONS,
    MintStatus,
    check_transition,
    request_id_for_key,
)
from tests.domain.factories import DESTINATION, ISSUER, make_request

ALL_PAIRS = [(a, b) for a in MintStatus for b in MintStatus]


@pytest.mark.parametrize(("current", "target"), ALL_PAIRS)
def test_only_the_table_changes_a_state(current, target):
    """Each of the 100 pairs of states is allowed or refused by the one table."""
    if target in TRANSITIONS[current]:
        check_transition(current, target)
    else:
        with pytest.raises(TransitionRefused):
            check_transition(current, target)


def test_an_end_is_an_end():
    """The six terminal states of the design lead nowhere, and every state reaches one of them."""
    assert {"CONFIRMED", "FAILED", "TIMEOUT_FAILED", "REJECTED", "CANCELLED", "EXPIRED"} == TERMINAL
    for status in MintStatus:
        assert _reachable(status) & TERMINAL


def _reachable(status):
    seen, queue = set(), [status]
    while queue:
        current = queue.pop()
        if current not in seen:
            seen.add(current)
            queue.extend(TRANSITIONS[current])
    return seen


def test_expired_can_never_be_approved():
    """EXPIRED leads to no other state; only a new request helps (product rule A.3)."""
    assert _reachable(MintStatus.EXPIRED) == {MintStatus.EXPIRED}
    assert MintStatus.EXPIRED in RESUBMITTABLE
    assert MintStatus.CONFIRMED not in RESUBMITTABLE


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 25_000_000_001},
        {"destination": ISSUER},
        {"tenant": "other"},
        {"network_passphrase": "Public Global Stellar Network ; September 2015"},
        {"topic": "treasury-us"},
        {"requester": "mallory"},
        {"memo": "x"},
        {"resubmission_of": "mr_01KAN3D0000000000000000001"},
        {"id": "mr_01KAN3D0000000000000000001"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_covers_every_part_of_the_request(change):
    """An approval of one request is worthless for any other."""
    assert make_request().digest() != make_request(**change).digest()


def test_content_hash_leaves_the_id_out():
    """Two submissions under one key are the same if everything but the id is."""
    other = make_request(id="mr_01KAN3D0000000000000000001")
    assert make_request().content_hash() == other.content_hash()
    assert make_request().track_number != other.track_number


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_key_always_leads_to_the_same_id(tenant, key):
    """The id from an idempotency key is a valid id, stable, and differs by tenant."""
    identity = request_id_for_key(tenant, key)
    assert make_request(id=identity).id == identity
    assert identity == request_id_for_key(tenant, key)
    assert identity != request_id_for_key(tenant + "x", key)


def test_summary_reads_well():
    """The line operators see in the Temporal Web UI."""
    assert (
        make_request().summary == f"mint 2500.0000000 EURT -> {DESTINATION[:4]}…{DESTINATION[-4:]} for acme"
    )
