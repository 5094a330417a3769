"""The one table of a run, and the same as plain values."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.chaos.audit import Findings
from benchmarks.chaos.storm import Outcome
from domain.mint_request import MintStatus

_SHOWN = 3


@dataclass(frozen=True)
class Demand:
    """One thing that must hold, with what breaks it."""

    name: str
    broken_by: Sequence[str]
    of: str = ""
    """Of how many."""

    @property
    def holds(self) -> bool:
        """Nothing breaks it."""
        return not self.broken_by


def demands(outcome: Outcome) -> list[Demand]:
    """Every demand; the run has passed if all hold."""
    findings, wanted = outcome.findings, outcome.plan.size.faults_wanted
    done = sum(outcome.faults.values())
    too_few = [] if done >= wanted else [f"only {done} of {wanted}"]
    return [
        Demand("double mints", findings.double_mints, f"{findings.payments} payments"),
        Demand("late mints", findings.late_mints, f"{findings.payments} payments"),
        Demand("mints for nobody, or not CONFIRMED", findings.unasked_mints),
        Demand("wrong amount, asset or destination", findings.wrong_mints),
        Demand("CONFIRMED without its payment", findings.missing_mints),
        Demand("requests without a terminal state", findings.not_ended, f"{len(outcome.plan.asks)} requests"),
        Demand("ANOMALY", findings.anomalies),
        Demand("proofs of 'never landed' refuted", findings.refuted_proofs, _proofs(findings)),
        Demand("ended as nothing explains", findings.strange_ends),
        Demand("workflow and database disagree", findings.disagreements),
        Demand("breaks in the audit chain", findings.broken_chain, f"{findings.audit_events} events"),
        Demand("channel accounts not free again", findings.held_channels, f"{outcome.plan.size.channels}"),
        Demand("taken keys given to other content", outcome.accepted_conflicts, _conflicts(outcome)),
        Demand("missing faults", too_few, f"{done} met somebody"),
    ]


def _proofs(findings: Findings) -> str:
    return f"{findings.proofs + len(findings.refuted_proofs)} verified again"


def _conflicts(outcome: Outcome) -> str:
    return f"{outcome.conflicts} refused"


def table(outcome: Outcome) -> Table:
    """Demands first, then what else was seen, then the faults by kind."""
    title = f"chaos run, seed {outcome.plan.seed}: {'passed' if passed(outcome) else 'FAILED'}"
    shown = Table("", "measured", "wanted", title=title)
    for demand in demands(outcome):
        of = f" (of {demand.of})" if demand.of else ""
        shown.add_row(demand.name, f"{len(demand.broken_by)}{of}", "0", style=None if demand.holds else "red")
        for line in demand.broken_by[:_SHOWN]:
            shown.add_row(f"  {line}", "", "", style="red")
    shown.add_section()
    for name, value in _figures(outcome).items():
        shown.add_row(name, str(value), "")
    shown.add_section()
    for kind, count in sorted(outcome.faults.items(), key=lambda item: -item[1]):
        shown.add_row(kind, str(count), "")
    return shown


def _figures(outcome: Outcome) -> dict[str, object]:
    ends = outcome.findings.count()
    waits = outcome.certainty_seconds
    confirmed = ends[MintStatus.CONFIRMED]
    return {
        "requests": len(outcome.plan.asks),
        **{f"  {status}": count for status, count in sorted(ends.items())},
        "approval to certainty, median": _seconds(statistics.median(waits) if waits else 0.0),
        "approval to certainty, 99th percentile": _seconds(waits[int(len(waits) * 0.99)] if waits else 0.0),
        "questions to Horizon a confirmed mint": round(outcome.horizon_requests / max(1, confirmed), 1),
        "workflows terminated with their request at its end": outcome.findings.bereft,
        "worker processes": outcome.workers,
        "envelopes a stranger handed in": sum(outcome.stranger.values()),
        "faults": sum(outcome.faults.values()),
        "seconds, all in all": round(outcome.seconds),
    }


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def passed(outcome: Outcome) -> bool:
    """Every demand holds."""
    return all(demand.holds for demand in demands(outcome))


def document(outcome: Outcome) -> dict[str, object]:
    """The same for machines, with everything that breaks a demand."""
    return {
        "seed": outcome.plan.seed,
        "passed": passed(outcome),
        "demands": {demand.name: list(demand.broken_by) for demand in demands(outcome)},
        "figures": {name.strip(): value for name, value in _figures(outcome).items()},
        "faults": outcome.faults,
        "stranger": outcome.stranger,
    }
