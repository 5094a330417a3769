"""Whether anybody still needs a message: asked when it is claimed, and again just before it is sent."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from db.session import Transaction

# an alert that a request does not move at all is wanted although somebody is on it
UNWANTED_SQL = """
CASE
    -- whoever is gone is told nothing, be it that the message has waited since before
    WHEN d.channel_kind = 'email' AND EXISTS (SELECT 1 FROM users u
        WHERE u.tenant = d.tenant AND u.name = d.recipient AND NOT u.active)
        THEN 'the recipient is not active any more'
    WHEN d.kind IN ('code_track', 'code_step_up') AND NOT EXISTS (SELECT 1 FROM one_time_codes o
        WHERE o.id = d.facts ->> 'code_id' AND o.used_at IS NULL AND o.expires_at > now())
        THEN 'the code is not good any more'
    -- somebody else may read what an address or chat gets that was changed since
    WHEN d.kind IN ('code_track', 'code_step_up') AND NOT EXISTS (SELECT 1 FROM one_time_codes o
        JOIN users u ON u.tenant = o.tenant AND u.name = o.recipient
        WHERE o.id = d.facts ->> 'code_id' AND u.active
            AND d.target = CASE d.channel_kind WHEN 'email' THEN u.email ELSE u.telegram_chat END)
        THEN 'the address is not the recipient''s any more'
    WHEN e.event_kind = 'sla.overdue' AND r.status <> split_part(e.occurrence, ':', 1)
        THEN 'the request is ' || r.status
    -- of a suppressed run there is the one message that its rule asks for
    WHEN e.state NOT IN ('running', 'suppressed') THEN 'the escalation is ' || e.state
    WHEN d.run_id IS NOT NULL AND e.acknowledged_at IS NOT NULL THEN 'somebody is on it'
    WHEN d.run_id IS NOT NULL THEN ''
    WHEN d.kind IN ('opened', 'reminder', 'escalation', 'stalled') AND r.status <> 'PENDING'
        THEN 'the request is no longer pending'
    WHEN d.kind = 'assigned' AND (r.status <> 'PENDING' OR r.assignee IS DISTINCT FROM d.recipient)
        THEN 'the request is no longer theirs'
    WHEN d.kind = 'unassigned' AND (r.status <> 'PENDING' OR r.assignee IS NOT NULL)
        THEN 'somebody works on the request'
    WHEN d.stage IS NULL THEN ''
    WHEN r.escalation_cancelled_at IS NOT NULL THEN 'the escalation is cancelled'
    WHEN d.kind <> 'stalled' AND r.acknowledged_at IS NOT NULL THEN 'somebody is on it'
    ELSE ''
END
"""
"""Why nobody needs the message `d` of request `r` and run `e` any more; empty: somebody does."""

_UNWANTED = text(f"""
SELECT d.id, {UNWANTED_SQL} AS why FROM deliveries d JOIN mint_requests r ON r.id = d.request_id
LEFT JOIN escalation_runs e ON e.id = d.run_id
WHERE d.id = ANY (CAST(:ids AS varchar[]))
""")  # noqa: S608 - a constant of ours


async def unwanted(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    """Why nobody needs each of the messages any more; empty: somebody does."""
    found = {row.id: row.why for row in await tx.rows(_UNWANTED, {"ids": list(ids)})}
    return {id: found.get(id, "there is no such delivery") for id in ids}
