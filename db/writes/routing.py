"""Who can be told about a request, and over which channels: one query."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from db.session import Transaction
from domain.errors import InvalidInput
from domain.mint_request import MintRequest
from domain.quiet_hours import NO_QUIET_HOURS, QuietHours, deferred_until

log = logging.getLogger("mintkeeper.notices")

ROUTING_SQL = """
SELECT json_build_object(
    'department_slack_channel', d.slack_channel,
    'quiet_hours', (SELECT quiet_hours FROM tenants WHERE code = t.tenant),
    'channels', (SELECT coalesce(json_agg(json_build_object(
            'name', c.name, 'kind', c.kind, 'settings', c.settings) ORDER BY c.name COLLATE "C"), '[]')
        FROM notification_channels c WHERE c.tenant = t.tenant),
    'requester', (SELECT json_build_object('name', u.name, 'email', u.email, 'time_zone', u.time_zone,
            'quiet_hours', u.quiet_hours)
        FROM users u WHERE u.tenant = t.tenant AND u.name = :requester),
    'leads', (SELECT coalesce(json_agg(json_build_object(
            'name', u.name, 'email', u.email, 'time_zone', u.time_zone, 'quiet_hours', u.quiet_hours
            ) ORDER BY u.name COLLATE "C"), '[]')
        FROM users u WHERE u.tenant = t.tenant AND u.active AND u.name IN (
            SELECT l.user_name FROM department_leads l
            WHERE l.tenant = t.tenant AND l.department = t.department
            UNION SELECT a.delegate FROM department_leads l
            JOIN absences a ON a.tenant = l.tenant AND a.user_name = l.user_name
            WHERE l.tenant = t.tenant AND l.department = t.department
                AND a.starts_at <= now() AND a.ends_at > now())),
    'approvers', (SELECT coalesce(json_agg(json_build_object(
            'name', u.name, 'email', u.email, 'time_zone', u.time_zone, 'quiet_hours', u.quiet_hours,
            'tier', u.tier,
            'on_topic', u.primary_topic IS NOT DISTINCT FROM t.code OR EXISTS (SELECT 1 FROM user_topics x
                WHERE x.tenant = u.tenant AND x.user_name = u.name AND x.topic = t.code),
            'away', a.id IS NOT NULL,
            'stand_in', CASE WHEN s.name IS NOT NULL THEN json_build_object('name', s.name, 'email', s.email,
                'time_zone', s.time_zone, 'quiet_hours', s.quiet_hours,
                'away', EXISTS (SELECT 1 FROM absences b WHERE b.tenant = s.tenant AND b.user_name = s.name
                    AND b.starts_at <= now() AND b.ends_at > now())) END
            ) ORDER BY u.name COLLATE "C"), '[]')
        FROM users u
        LEFT JOIN absences a ON a.tenant = u.tenant AND a.user_name = u.name AND a.starts_at <= now()
            AND a.ends_at > now()
        LEFT JOIN users s ON s.tenant = a.tenant AND s.name = a.delegate AND s.active
            AND 'approver' = ANY (s.roles) AND lower(s.name) <> lower(:requester)
        WHERE u.tenant = t.tenant AND u.active AND 'approver' = ANY (u.roles)
            AND u.tier = ANY (CAST(:tiers AS integer[])) AND u.name <> :requester))
FROM topics t JOIN departments d ON d.tenant = t.tenant AND d.code = t.department
WHERE t.tenant = :tenant AND t.code = :topic
"""
"""One JSON value; needs `tenant`, `topic`, `requester`, `tiers`."""

_ROUTING = text(ROUTING_SQL)
_PERSON = text("""
SELECT name, email, time_zone, quiet_hours FROM users WHERE tenant = :tenant AND name = :name AND active
""")


class Person(BaseModel):
    """Somebody who can be told."""

    model_config = ConfigDict(frozen=True)

    name: str
    email: str | None
    time_zone: str
    quiet_hours: tuple[dict[str, Any], ...] = ()
    tier: int | None = None
    on_topic: bool = False
    away: bool = False
    """Out of office now."""
    stand_in: Person | None = None
    """Who is told in their place while they are."""


class Channel(BaseModel):
    """A configured channel of the tenant."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    settings: dict[str, Any]

    @property
    def target(self) -> str:
        """Where a group channel posts: Slack's channel, Telegram's chat, or nothing."""
        return str(self.settings.get("chat_id" if self.kind == "telegram" else "channel", ""))


class Routing(BaseModel):
    """The tenant's channels and the people around one request, in lexicographic order."""

    model_config = ConfigDict(frozen=True)

    department_slack_channel: str | None
    quiet_hours: tuple[dict[str, Any], ...] = ()
    channels: tuple[Channel, ...]
    requester: Person
    leads: tuple[Person, ...]
    approvers: tuple[Person, ...]

    def first(self, kind: str) -> Channel | None:
        """The tenant's first channel of a kind."""
        return next((channel for channel in self.channels if channel.kind == kind), None)

    def deferred_until(
        self, at: datetime, urgent_from: datetime | None, person: Person | None = None
    ) -> datetime | None:
        """Until when quiet hours hold back what is due at `at` for a person, or for a group (None)."""
        own = _readable(json.dumps(person.quiet_hours)) if person else NO_QUIET_HOURS
        return deferred_until(at, _readable(json.dumps(self.quiet_hours)), own, urgent_from)

    def recipients(self, tiers: Iterable[int]) -> list[Person]:
        """For each tier its approvers on the request's topic or, where there is none, all of that tier.

        Who is away is left out or has a stand-in who is there. Where nobody of the tier remains all are
        told, and who stands in for them; nobody comes twice.
        """
        told: dict[str, Person] = {}
        for tier in tiers:
            of_tier = [person for person in self.approvers if person.tier == tier]
            on_topic = [person for person in of_tier if person.on_topic]
            for person in _present(on_topic) or _present(of_tier) or _all(on_topic or of_tier):
                told.setdefault(person.name, person)
        return list(told.values())


def _present(people: Iterable[Person]) -> list[Person]:
    """Those who are there, and the stand-ins of those who are not."""
    found = (one.stand_in if one.away else one for one in people)
    return [one for one in found if one is not None and not one.away]


def _all(people: Iterable[Person]) -> list[Person]:
    """Everybody, away or not, and their stand-ins, who may have their authority."""
    return [found for one in people for found in (one, one.stand_in) if found is not None]


@lru_cache(maxsize=1000)
def _readable(raw: str) -> QuietHours:
    try:
        return QuietHours.parse(json.loads(raw))
    except InvalidInput as error:
        # nobody may miss a message because this machine lacks a time zone
        log.warning("quiet hours are not kept: %s", error.message)
        return NO_QUIET_HOURS


async def routing(tx: Transaction, request: MintRequest, tiers: Iterable[int] = ()) -> Routing:
    """The routing of a request for stages that tell `tiers`."""
    found = await tx.value(
        _ROUTING,
        {
            "tenant": request.tenant,
            "topic": request.topic,
            "requester": request.requester,
            "tiers": list(tiers),
        },
    )
    return Routing.model_validate(found)


async def person(tx: Transaction, tenant: str, name: str | None) -> Person | None:
    """An active user as somebody to tell, or None."""
    row = await tx.row(_PERSON, {"tenant": tenant, "name": name}) if name else None
    return None if row is None else Person.model_validate(row._asdict())
