"""What operators see of deliveries, in Prometheus' default registry."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import Counter, Histogram

from domain.records import DeliveryJob, DeliveryState

LATENESS = Histogram(
    "notify_lateness_seconds",
    "From the moment a message was due to the moment its provider took it.",
    ["channel_kind"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600),
)
DELIVERIES = Counter(
    "notify_deliveries", "Attempts to deliver a message, by the state they led to.", ["channel_kind", "state"]
)


def count(job: DeliveryJob, state: DeliveryState, at: datetime) -> None:
    """Count one attempt that ended in `state` at `at`."""
    DELIVERIES.labels(job.channel_kind, state.value).inc()
    if state is DeliveryState.ACCEPTED:
        LATENESS.labels(job.channel_kind).observe((at - job.due_at).total_seconds())
