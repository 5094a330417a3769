"""Dictionaries as CLI, API and configuration files show them: fields by code, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import text

from db import reads
from db.session import Transaction
from domain.amounts import MAX_STROOPS, format_amount
from domain.approvals import ApprovalRule
from domain.calendars import WeeklyHours
from domain.entry import Kind, Known
from domain.quiet_hours import QuietHours

Fields = dict[str, Any]
Entries = dict[str, Fields]

_LISTS = MappingProxyType(
    {
        Kind.DEPARTMENT: text("""
SELECT d.code, d.name, d.slack_channel, ARRAY(SELECT x.user_name FROM department_leads x
    WHERE x.tenant = d.tenant AND x.department = d.code ORDER BY x.user_name) AS leads
FROM departments d WHERE d.tenant = :tenant
"""),
        Kind.CALENDAR: text("""
SELECT code, name, time_zone, hours, country, subdivision, holidays FROM calendars WHERE tenant = :tenant
"""),
        Kind.TOPIC: text("""
SELECT code, name, department, calendar, auto_assign_after_hours, active FROM topics WHERE tenant = :tenant
"""),
        Kind.USER: text("""
SELECT u.name AS code, u.roles, u.tier, u.active, u.email, u.telegram_chat, u.slack_user, u.time_zone,
    u.primary_topic,
    ARRAY(SELECT x.topic FROM user_topics x WHERE x.tenant = u.tenant AND x.user_name = u.name) AS topics,
    u.working_hours, u.max_load, u.quiet_hours
FROM users u WHERE u.tenant = :tenant
"""),
        Kind.STATUS: text("SELECT code, name, type, sla_hours FROM statuses WHERE tenant = :tenant"),
        Kind.TRANSITION: text("""
SELECT topic_code || ':' || from_status || '->' || to_status AS code, sla_hours
FROM topic_status_transitions WHERE tenant = :tenant
"""),
        Kind.CHANNEL: text("""
SELECT name AS code, kind, settings FROM notification_channels WHERE tenant = :tenant
"""),
        Kind.EVENT_RULE: text("""
SELECT event_kind AS code, action, policy_id, urgent FROM event_rules WHERE tenant = :tenant
"""),
        Kind.TENANT: text("""
SELECT t.code, t.name, t.quiet_hours, coalesce(o.auth_sandwich, false) AS auth_sandwich,
    coalesce(o.claimable_balance, false) AS claimable_balance,
    coalesce(o.reclaim_after_days, 30) AS reclaim_after_days,
    coalesce(o.one_shot_ticket, false) AS one_shot_ticket
FROM tenants t LEFT JOIN ledger_options o ON o.tenant = t.code WHERE t.code = :tenant
"""),
    }
)
_CODES = text("""
SELECT 'department' AS kind, code FROM departments WHERE tenant = :tenant
UNION ALL SELECT 'calendar', code FROM calendars WHERE tenant = :tenant
UNION ALL SELECT 'topic', code FROM topics WHERE tenant = :tenant
UNION ALL SELECT 'user', name FROM users WHERE tenant = :tenant
UNION ALL SELECT 'policy', id FROM escalation_policies WHERE tenant = :tenant AND deleted_at IS NULL
""")


async def entries(tx: Transaction, tenant: str, kind: Kind) -> Entries:
    """The entries of a dictionary by code."""
    if kind is Kind.RULE:
        return {str(rule.position): _rule_fields(rule) for rule in await reads.rules(tx, tenant)}
    rows = await tx.rows(_LISTS[kind], {"tenant": tenant})
    found = {row.code: _plain(row._asdict()) for row in rows}
    return {code: found[code] for code in sorted(found)}


async def every_entry(tx: Transaction, tenant: str) -> dict[Kind, Entries]:
    """All dictionaries of a tenant."""
    return {kind: await entries(tx, tenant, kind) for kind in Kind}


async def known(tx: Transaction, tenant: str) -> Known:
    """Everything that entries may refer to."""
    found: dict[str, set[str]] = {}
    for row in await tx.rows(_CODES, {"tenant": tenant}):
        found.setdefault(row.kind, set()).add(row.code)
    return Known({kind: frozenset(codes) for kind, codes in found.items()})


def _plain(row: Mapping[str, Any]) -> Fields:
    """As an entry's own fields: the database orders what is inside JSON by itself."""
    fields = {name: value for name, value in row.items() if name != "code"}
    for name in ("hours", "working_hours"):
        if name in fields:
            fields[name] = WeeklyHours.parse(fields[name]).raw()
    if "quiet_hours" in fields:
        fields["quiet_hours"] = QuietHours.parse(fields["quiet_hours"]).raw()
    for name in ("topics", "roles", "leads", "holidays"):
        if name in fields:
            fields[name] = sorted(fields[name])
    if "settings" in fields:
        fields["settings"] = dict(sorted(fields["settings"].items()))
    return fields


def _rule_fields(rule: ApprovalRule) -> Fields:
    cap, above = rule.daily_cap_stroops, rule.step_up_above_stroops
    return {
        "asset": rule.asset,
        "min": format_amount(rule.min_stroops),
        "max": None if rule.max_stroops == MAX_STROOPS else format_amount(rule.max_stroops),
        "approvals": rule.approvals,
        "min_tier": rule.min_tier,
        "at_least_one_of_tier": rule.at_least_one_of_tier,
        "daily_cap": None if cap is None else format_amount(cap),
        "step_up_above": None if above is None else format_amount(above),
    }
