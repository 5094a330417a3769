"""Figures for Prometheus: those of this process, and those of the whole house from the database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from db.reads.metrics import LATENESS_BUCKETS, DeliveryFigure, RunFigure, delivery_figures, run_figures
from db.reads.sla_history import newest_snapshot
from db.session import Database
from domain.sla_report import SlaReport

_COUNTERS = {
    "started": "Escalation runs that began, of requests and of operational events.",
    "stage_sent": "Stages that ran and told somebody.",
    "no_route": "Stages that ran and could reach nobody.",
    "ack": "Acknowledgements that took effect.",
    "cancelled": "Escalation runs that somebody cancelled; the stage is the one that did not come.",
    "throttled": "Runs that were not started, since one for the same thing had just been.",
    "suppressed": "Runs that were not started, since their event asks for one message only.",
}


class Figures(Collector):
    """What the database counted at one moment."""

    def __init__(
        self, runs: Sequence[RunFigure], deliveries: Sequence[DeliveryFigure], sla: SlaReport | None
    ) -> None:
        self._runs = runs
        self._deliveries = deliveries
        self._sla = sla

    def collect(self) -> Iterator[Metric]:
        """Every family, the empty ones too."""
        for what, explained in _COUNTERS.items():
            labels = ["tenant", "policy", "stage"]
            counter = CounterMetricFamily(f"notify_escalation_{what}", explained, labels=labels)
            for labelled, number in self._counted(what).items():
                counter.add_metric(labelled, number)
            yield counter
        yield self._states()
        yield self._dead_letters()
        yield self._lateness()
        yield self._overdue()
        if self._sla is not None:
            yield GaugeMetricFamily(
                "sla_checked_timestamp_seconds", "When the SLA was checked last.", self._sla.at.timestamp()
            )

    def _counted(self, what: str) -> dict[tuple[str, str, str], int]:
        found: dict[tuple[str, str, str], int] = defaultdict(int)
        for one in self._runs:
            if one.what == what:
                found[one.tenant, one.policy, str(one.stage)] += one.number
        return found

    def _states(self) -> Metric:
        family = GaugeMetricFamily(
            "notify_deliveries",
            "Deliveries by the state in which they are now.",
            labels=["channel", "channel_kind", "state"],
        )
        for one in self._deliveries:
            family.add_metric([one.channel, one.channel_kind, one.state], one.number)
        return family

    def _dead_letters(self) -> Metric:
        dead = sum(one.number for one in self._deliveries if one.state == "dead")
        return GaugeMetricFamily(
            "notify_dead_letters", "Deliveries given up that 'deliveries retry' can revive.", value=dead
        )

    def _overdue(self) -> Metric:
        family = GaugeMetricFamily(
            "sla_overdue_requests",
            "Requests longer in a status than the SLA allows, as the last check found them.",
            labels=["tenant", "topic", "status"],
        )
        for tenant, own in self._sla.tenants.items() if self._sla else ():
            for line in own.lines:
                # without a threshold nothing can be overdue, and zero would look like a promise kept
                if line.sla_hours is not None:
                    family.add_metric([tenant, line.topic, line.status], line.overdue)
        return family

    def _lateness(self) -> Metric:
        family = HistogramMetricFamily(
            "notify_lateness_seconds",
            "From the moment a message was due, or its quiet hours ended, until its provider took it.",
            labels=["channel_kind"],
        )
        for kind in sorted({one.channel_kind for one in self._deliveries if one.taken}):
            these = [one for one in self._deliveries if one.channel_kind == kind]
            within = [sum(column) for column in zip(*(one.within for one in these), strict=True)]
            buckets = [(str(bound), float(n)) for bound, n in zip(LATENESS_BUCKETS, within, strict=True)]
            buckets.append(("+Inf", float(sum(one.taken for one in these))))
            family.add_metric([kind], buckets, sum(one.seconds for one in these))
        return family


class Scrapes:
    """Answers scrapes one at a time: however many ask, the database counts for one of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Lock()

    async def text(self) -> bytes:
        """Everything in Prometheus' text format; raises Unavailable when the database is away."""
        async with self._turn, self._database.transaction() as tx:
            deliveries = await delivery_figures(tx)
            runs = await run_figures(tx)
            sla = await newest_snapshot(tx)
        registry = CollectorRegistry()
        registry.register(Figures(runs, deliveries, sla))
        return generate_latest(REGISTRY) + generate_latest(registry)
