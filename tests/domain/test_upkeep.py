from datetime import timedelta

from domain.mint_request import MintStatus
from domain.submission import Submission
from domain.upkeep import GRACE, lateness
from tests.domain.factories import START, make_record


def test_a_stage_that_did_not_run_is_late_only_after_the_grace():
    """The auditor names what should have happened, and gives a restart its five minutes."""
    record = make_record(next_stage=1)
    due = START + timedelta(hours=4)
    assert lateness(record, due + GRACE) is None
    assert lateness(record, due + GRACE + timedelta(seconds=1)) == "reminder due"
    assert lateness(make_record(next_stage=3), START + timedelta(hours=25)) == "expiry"


def test_a_submission_is_late_after_its_bound():
    """SUBMITTING past the time bound and the grace should have had an outcome."""
    bound = int(START.timestamp())
    submission = Submission(
        request_id="mr_1",
        hash="ab",
        channel="G",
        sequence=5,
        max_time=bound,
        envelope_xdr="",
        signed_at_ledger=3,
    )
    record = make_record(status=MintStatus.SUBMITTING, submission=submission)
    assert lateness(record, START + GRACE) is None
    assert lateness(record, START + GRACE + timedelta(seconds=1)) == "outcome of the submission"
    assert lateness(make_record(status=MintStatus.CONFIRMED), START + timedelta(days=9)) is None
