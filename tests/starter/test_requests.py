from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import InvalidInput
from starter.requests import Wanted, build_request
from tests.domain.factories import DESTINATION, ISSUER


def wanted(**changes) -> Wanted:
    """What a caller asks for, with changes."""
    values = {
        "tenant": "acme",
        "asset": f"EURT:{ISSUER}",
        "amount": "1",
        "destination": DESTINATION,
        "topic": "treasury-eu",
        "requester": "rita",
    }
    return Wanted(**(values | changes))


def test_a_deadline_becomes_part_of_what_approvers_sign():
    """One deadline from request to ledger: it is read in any zone and covered by the digest."""
    request = build_request(wanted(key="k", deadline="2026-12-01T18:00:00+01:00"), "Net")
    assert request.ledger_deadline == datetime(2026, 12, 1, 17, tzinfo=UTC)
    assert request.ledger_deadline.utcoffset() == timedelta(0)
    assert request.digest() != build_request(wanted(key="k"), "Net").digest()


@pytest.mark.parametrize("text", ["tomorrow", "2026-12-01", "2026-12-01T17:00:00", "1e9", ""])
def test_a_deadline_without_a_zone_is_no_deadline(text):
    """A moment that means different times to different people is refused, by field."""
    with pytest.raises(InvalidInput) as caught:
        build_request(wanted(deadline=text), "Net")
    assert caught.value.field == "deadline"
