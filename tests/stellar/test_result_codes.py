"""Result codes: what a real ledger answered, in Horizon's words."""

import json
from pathlib import Path

import pytest

from activities.stellar.result_codes import read_result

RECORDINGS = sorted((Path(__file__).parents[1] / "conformance" / "recordings").glob("*.json"))


def applied(recording):
    """Every result that a recording's ledgers hold."""
    steps = json.loads(recording.read_text())["steps"]
    return [result for step in steps if "close" in step for result in step["observed"]["applied"]]


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_every_recorded_result_is_read_as_horizon_writes_it(recording):
    """Transaction and operation codes of all kinds of operations, of successes and failures."""
    for result in applied(recording):
        codes = read_result(result["result_xdr"])
        assert codes.transaction == result["result_code"]
        assert list(codes.operations) == result["operation_codes"]
        assert codes.inner == result.get("inner_result_code")
