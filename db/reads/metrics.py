"""Figures for operators, counted from the rows themselves: exact, the same from every process, kept for ever.

Everything is counted anew at each call. At 100,000 requests with 500,000 deliveries that takes a few tenths
of a second, since the deliveries are counted from the index `deliveries_figures` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from db.session import Transaction

LATENESS_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Upper bounds in seconds of the histogram's buckets; above the last one is only infinity."""

# compiling the query costs more than it saves; a scrape that takes so long is of no use to anybody
_MODEST = text(
    "SELECT set_config('jit', 'off', true) AS jit, set_config('statement_timeout', '10s', true) AS patience"
)
# a cancelled run of a request may go on again, which takes nothing back: the audit has every cancel
_RUNS = text("""
SELECT 'started' AS what, tenant, policy_id AS policy, 0 AS stage, count(*) AS number
FROM mint_requests GROUP BY tenant, policy_id
UNION ALL
SELECT 'cancelled', r.tenant, r.policy_id, a.stage, count(*)
FROM (SELECT request_id, CAST(CAST(body AS json) -> 'details' ->> 'stage' AS integer) AS stage
    FROM audit_events WHERE kind = 'escalation.cancelled'
        AND CAST(body AS json) -> 'details' ->> 'runId' = request_id) AS a
JOIN mint_requests r ON r.id = a.request_id GROUP BY r.tenant, r.policy_id, a.stage
UNION ALL
SELECT CASE WHEN state IN ('throttled', 'suppressed') THEN state ELSE 'started' END AS what, tenant,
    coalesce(policy_id, ''), 0, count(*)
FROM escalation_runs GROUP BY what, tenant, policy_id
UNION ALL
SELECT 'cancelled', tenant, policy_id, next_stage, count(*)
FROM escalation_runs WHERE state = 'cancelled' GROUP BY tenant, policy_id, next_stage
UNION ALL
SELECT CASE WHEN s.routed THEN 'stage_sent' ELSE 'no_route' END, r.tenant, r.policy_id, s.stage, count(*)
FROM stage_runs s JOIN mint_requests r ON r.id = s.request_id
GROUP BY s.routed, r.tenant, r.policy_id, s.stage
UNION ALL
SELECT CASE WHEN s.routed THEN 'stage_sent' ELSE 'no_route' END, e.tenant, e.policy_id, s.stage, count(*)
FROM escalation_stage_runs s JOIN escalation_runs e ON e.id = s.run_id
GROUP BY s.routed, e.tenant, e.policy_id, s.stage
UNION ALL
SELECT 'ack', r.tenant, coalesce(e.policy_id, r.policy_id), a.stage, count(*)
FROM acks a JOIN mint_requests r ON r.id = a.request_id LEFT JOIN escalation_runs e ON e.id = a.run_id
GROUP BY r.tenant, coalesce(e.policy_id, r.policy_id), a.stage
""")
# in-app messages have no provider that could be late; OFFSET 0 has each lateness computed only once
_COUNTED_SQL = """
SELECT channel, channel_kind, state, count(*) AS number, count(late) AS taken,
    coalesce(sum(late), 0) AS seconds, ARRAY[{within}] AS within
FROM (SELECT channel, channel_kind, state, CASE WHEN channel_kind <> 'in-app' AND accepted_at IS NOT NULL
        THEN greatest(0, CAST(extract(epoch FROM accepted_at - coalesce(deferred_until, due_at))
            AS double precision)) END AS late
    FROM deliveries WHERE {which} ORDER BY channel, channel_kind, state OFFSET 0) AS d
GROUP BY channel, channel_kind, state
"""
_WITHIN = ", ".join(f"count(*) FILTER (WHERE late <= {bound})" for bound in LATENESS_BUCKETS)
# each state is in one of them; those that wait or are being sent are few, and have their own indexes
_WHICH = (
    "next_attempt_at IS NULL AND lease_until IS NULL",
    "next_attempt_at IS NOT NULL",
    "next_attempt_at IS NULL AND lease_until IS NOT NULL",
)
_DELIVERIES = text(" UNION ALL ".join(_COUNTED_SQL.format(within=_WITHIN, which=which) for which in _WHICH))


@dataclass(frozen=True)
class RunFigure:
    """How often `what` happened to runs of one policy, at one stage.

    `what`: started, stage_sent, no_route, ack, cancelled, throttled or suppressed.
    """

    what: str
    tenant: str
    policy: str
    stage: int
    number: int


@dataclass(frozen=True)
class DeliveryFigure:
    """Deliveries over one channel that are in one state now.

    `taken` of them were once accepted by a provider, `seconds` late in all; `within` has how many were
    at most as late as each of LATENESS_BUCKETS.
    """

    channel: str
    channel_kind: str
    state: str
    number: int
    taken: int
    seconds: float
    within: Sequence[int]


async def run_figures(tx: Transaction) -> list[RunFigure]:
    """What escalation runs have come to, all tenants together."""
    return [RunFigure(**row._asdict()) for row in await tx.rows(_RUNS)]


async def delivery_figures(tx: Transaction) -> list[DeliveryFigure]:
    """Deliveries by channel and state, with how late their providers took them."""
    await tx.run(_MODEST)
    return [DeliveryFigure(**row._asdict()) for row in await tx.rows(_DELIVERIES)]
