"""Putting decisions together."""

import pytest

from domain.approvals import Verdict
from domain.errors import InvalidInput
from domain.evidence import MAX_OPERATIONS, MAX_OTHERS, SeenOperation
from domain.mint_request import MintStatus
from domain.submission import Submission
from starter.decisions import make_decision, sign_decision
from tests.domain.factories import START, make_record
from tests.support.evidence import another, used_up

LONG = SeenOperation(
    kind="create_claimable_balance", source="G" * 56, asset="ABCDEFGHIJKL:" + "G" * 56,
    amount="922337203685.4775807", destinations=("G" * 56,), conditional=("G" * 56,),
)  # fmt: skip
STORED = Submission(
    request_id=make_record().request.id, hash="a" * 64, channel="G" * 56, sequence=2**62,
    max_time=2_000_000_000, envelope_xdr="AAAA", signed_at_ledger=60_000_000,
)  # fmt: skip


def longest_evidence():
    """As much as a look can find."""
    record = make_record(status=MintStatus.ANOMALY, submission=STORED)
    crowded = another(record, operations=(LONG,) * MAX_OPERATIONS, operation_count=100)
    return used_up(record, others=(crowded,) * MAX_OTHERS)


def resolution(reason):
    """A resolution with that evidence."""
    return make_decision(
        decision_id="dc_00000001", request_id=STORED.request_id, digest="0" * 64, verdict=Verdict.FAILED,
        approver="adam", reason=reason, issued_at=START, evidence=longest_evidence(),
    )  # fmt: skip


def test_the_longest_reason_fits_beside_the_longest_evidence(demo_keys):
    """What may be typed can be signed."""
    signed = sign_decision(resolution("é" * 2000), demo_keys["adam"])
    assert len(signed.payload) <= 32_768


def test_what_can_not_be_signed_is_refused_in_words():
    """Evidence beyond every measure is no crash."""
    evidence = longest_evidence()
    huge = evidence.model_copy(update={"others": evidence.others * 20})
    with pytest.raises(InvalidInput, match="too long"):
        make_decision(
            decision_id="dc_00000001", request_id=STORED.request_id, digest="0" * 64, verdict=Verdict.FAILED,
            approver="adam", reason="r", issued_at=START, evidence=huge,
        )  # fmt: skip
