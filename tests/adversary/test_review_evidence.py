"""Evidence that another look at the ledger contradicts, without being higher: Horizon's nodes differ."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import DecisionRefused
from domain.evidence import RecordedInspection
from domain.mint_request import MintStatus
from domain.submission import Outcome, Submission
from domain.weighing import judge_recorded
from tests.domain.factories import make_record
from tests.support.evidence import make_evidence

SUBMISSION = Submission(
    request_id=make_record().request.id,
    hash="a" * 64,
    channel="GD" + "C" * 54,
    sequence=42,
    max_time=1000,
    envelope_xdr="AAAA",
    signed_at_ledger=30,
)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVIDENCE = make_evidence(make_record(status=MintStatus.ANOMALY, submission=SUBMISSION))


def look(*supports: Outcome, ledger: int = 50, age: int = 0, own: bool = False) -> RecordedInspection:
    """An inspection on the audit chain, `age` minutes old; `own`: of the evidence that is signed."""
    return RecordedInspection(
        sha256=EVIDENCE.sha256() if own else "0" * 64,
        ledger=ledger,
        supports=supports,
        at=NOW - timedelta(minutes=age),
    )


MINE = look(Outcome.TIMEOUT_FAILED, own=True, age=10)


@pytest.mark.parametrize(
    "other",
    [
        look(Outcome.CONFIRMED, ledger=50),
        look(Outcome.CONFIRMED, ledger=50, age=20),
        look(Outcome.CONFIRMED, ledger=49),
        look(ledger=50),
    ],
)
def test_a_look_that_found_a_mint_forbids_to_say_that_there_is_none(other):
    """Whoever signs may not choose the look that missed it; nor one that a later look contradicts."""
    for recorded in ([MINE, other], [other, MINE]):
        with pytest.raises(DecisionRefused) as caught:
            judge_recorded(EVIDENCE, Outcome.TIMEOUT_FAILED, recorded, NOW)
        assert caught.value.reason == "evidence_stale"


def test_a_later_look_at_a_node_that_is_behind_forbids_nothing():
    """It has seen less, and no mint."""
    judge_recorded(EVIDENCE, Outcome.TIMEOUT_FAILED, [MINE, look(ledger=40)], NOW)
    judge_recorded(EVIDENCE, Outcome.TIMEOUT_FAILED, [look(ledger=50, age=30), MINE], NOW)
