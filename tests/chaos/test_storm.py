"""The chaos run at a small size: everything goes wrong at once, then the ledger itself is audited."""

import itertools

from rich.console import Console

from benchmarks.chaos import report
from benchmarks.chaos.plan import FULL, SHORT, Blow, make_plan
from benchmarks.chaos.storm import run
from domain.mint_request import MintStatus
from sandbox.ledger.faults import LASTING, ONE_SHOT

SEED = 20261122


async def test_nothing_is_minted_twice_or_late_whatever_goes_wrong():
    """40 requests under 60 faults and more: each paid once and in time, or provably never."""
    outcome = await run(make_plan(SEED, SHORT), Console(stderr=True))
    assert {demand.name: demand.broken_by for demand in report.demands(outcome) if not demand.holds} == {}
    assert report.passed(outcome)
    ends = outcome.findings.count()
    assert ends[MintStatus.CONFIRMED] == outcome.findings.payments > 0
    assert ends[MintStatus.TIMEOUT_FAILED] <= outcome.findings.proofs
    assert outcome.stranger, "no stored envelope was handed in by a stranger"


def test_a_seed_says_what_happens():
    """The same seed gives the same requests and the same faults at the same moments; another seed others."""
    assert make_plan(1, FULL) == make_plan(1, FULL)
    assert make_plan(1, FULL).asks != make_plan(2, FULL).asks
    assert make_plan(1, FULL).faults != make_plan(2, FULL).faults


def test_a_full_run_knows_every_kind_of_fault():
    """All the ledger's faults and all blows to processes occur, in the numbers that were promised."""
    plan = make_plan(1, FULL)
    assert {fault.kind for fault in plan.faults} == {*ONE_SHOT, *LASTING, *Blow}
    assert len(plan.asks) == 300
    assert len(plan.faults) == FULL.faults > FULL.faults_wanted >= 500


def test_every_kind_that_lasts_is_over_before_it_comes_again():
    """Switching a kind off ends all of that kind, so that two at a time would end each other."""
    for kind in LASTING:
        lane = [fault for fault in make_plan(3, FULL).faults if fault.kind == kind]
        pairs = itertools.pairwise(lane)
        assert all(one.at + one.seconds < other.at for one, other in pairs), kind
