"""Which requests come first, and which are stuck."""

from datetime import timedelta

import pytest

from commands.urgency import LONG_SUBMITTING, is_stuck, urgency
from domain.mint_request import MintStatus
from domain.upkeep import GRACE
from tests.domain.factories import make_record

FRESH = make_record()
NOW = FRESH.created_at + timedelta(minutes=1)


def test_anomalies_come_first_then_what_expires_soonest():
    """What has ended comes last, the newest before the older."""
    hour = timedelta(hours=1)
    records = {
        "ended": FRESH.model_copy(update={"status": MintStatus.CONFIRMED}),
        "ended before": FRESH.model_copy(
            update={"status": MintStatus.EXPIRED, "created_at": FRESH.created_at - hour}
        ),
        "submitting": FRESH.model_copy(update={"status": MintStatus.SUBMITTING}),
        "later": FRESH.model_copy(update={"expires_at": FRESH.expires_at + hour}),
        "soon": FRESH,
        "anomaly": FRESH.model_copy(update={"status": MintStatus.ANOMALY}),
    }
    ordered = sorted(records, key=lambda name: urgency(records[name]))
    assert ordered == ["anomaly", "soon", "later", "submitting", "ended", "ended before"]


@pytest.mark.parametrize(
    ("changes", "later", "stuck"),
    [
        ({}, timedelta(0), False),
        ({"escalation_level": 1}, timedelta(0), True),
        ({"next_stage": 1}, timedelta(hours=4) + GRACE / 2, False),
        ({"next_stage": 1}, timedelta(hours=4) + GRACE * 2, True),
        ({"status": MintStatus.SUBMITTING, "decided_at": NOW}, LONG_SUBMITTING / 2, False),
        ({"status": MintStatus.SUBMITTING, "decided_at": NOW}, LONG_SUBMITTING * 2, True),
        ({"status": MintStatus.APPROVED, "decided_at": NOW}, LONG_SUBMITTING * 2, True),
        ({"status": MintStatus.ANOMALY}, timedelta(0), True),
        ({"status": MintStatus.CONFIRMED}, timedelta(days=9), False),
    ],
)
def test_stuck_means_that_somebody_has_to_step_in(changes, later, stuck):
    """Escalated, overdue, long in submission, or an anomaly; never what has ended."""
    assert is_stuck(FRESH.model_copy(update=changes), NOW + later) is stuck
