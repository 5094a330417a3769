"""The figures of the dashboard: counted once for everybody of a tenant who looks at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from db.reads import dashboard as reads
from db.reads.assignment import candidates
from db.reads.dashboard import Case, Count, Dead, Lateness, LedgerMints, Level
from db.reads.sla import Stay, findings, overdue_now
from db.reads.sla_history import Moment, history, newest_snapshot
from db.session import Database
from domain.assignment import Candidate
from domain.mint_request import MintStatus
from domain.sla import Place
from domain.sla_report import TenantSla, build_report
from web.background import Background
from web.kept import Kept

MOST_CASES: Final = 10
"""Requests of each kind that the list of what needs attention is made of, and how long it gets."""

_NOW_SECONDS: Final = 5.0


class Span(StrEnum):
    """How far back the dashboard looks."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def length(self) -> timedelta:
        """So long."""
        return {Span.DAY: timedelta(days=1), Span.WEEK: timedelta(days=7)}.get(self, timedelta(days=30))

    @property
    def kept_seconds(self) -> float:
        """What covers more changes less within a moment, and takes longer to count."""
        return {Span.DAY: _NOW_SECONDS, Span.WEEK: 15.0}.get(self, 60.0)


@dataclass(frozen=True)
class Attention:
    """A request that somebody should look at, with every reason: what is wrong, and how bad (a class)."""

    case: Case
    reasons: tuple[tuple[str, str], ...]
    rank: int


@dataclass(frozen=True)
class Standing:
    """How things are at `at`."""

    at: datetime
    levels: Sequence[Level]
    overdue: Mapping[Place, int]
    unanswered: int
    """Open requests without a first response."""
    attention: Sequence[Attention]
    more: int
    """Found too, and not listed."""
    dead: int
    """Messages given up within the last days."""
    approvers: Sequence[Candidate]

    def number(self, status: MintStatus) -> int:
        """Open requests of a status."""
        return sum(level.number for level in self.levels if level.status is status)


@dataclass(frozen=True)
class Course:
    """What has happened from `since` to `at`; `sla` is what the check at `checked_at` has counted."""

    since: datetime
    at: datetime
    sla: TenantSla
    checked_at: datetime
    moments: Sequence[Moment]
    lateness: Sequence[Lateness]
    mints: Sequence[LedgerMints]
    approvals: Sequence[Count]


class Figures:
    """Counts what a tenant's dashboard shows; raises Unavailable when the database is away, or too slow."""

    def __init__(self, database: Database, background: Background) -> None:
        self._database = database
        self._standing: Kept[str, Standing] = Kept(self._count_standing, lambda _: _NOW_SECONDS, background)
        self._course: Kept[tuple[str, Span], Course] = Kept(
            self._count_course, lambda key: key[1].kept_seconds, background
        )

    async def standing(self, tenant: str) -> Standing:
        """How things are at its `at`: a few seconds old, or as `web.kept` has it."""
        return await self._standing.get(tenant)

    async def course(self, tenant: str, span: Span) -> Course:
        """What has happened in the last day, week or month."""
        return await self._course.get((tenant, span))

    async def _count_standing(self, tenant: str) -> Standing:
        at = datetime.now(UTC)
        async with self._database.transaction() as tx:
            await reads.be_patient(tx)
            late = await overdue_now(tx, tenant, at, MOST_CASES)
            dead = await reads.dead_deliveries(tx, tenant, at)
            ids = {
                *(stay.request_id for stay in late.longest),
                *(one.id for one in dead[:MOST_CASES]),
                *await reads.pressing(tx, tenant, MOST_CASES),
            }
            found = await reads.cases(tx, tenant, sorted(ids))
            everything = _attention(found, late.longest, dead)
            return Standing(
                at=at,
                levels=await reads.levels(tx, tenant),
                overdue=late.counts,
                unanswered=late.unanswered,
                attention=everything[:MOST_CASES],
                more=len(everything[MOST_CASES:]),
                dead=sum(one.number for one in dead),
                approvers=[one for one in await candidates(tx, tenant, at) if one.active],
            )

    async def _count_course(self, key: tuple[str, Span]) -> Course:
        (tenant, span), at = key, datetime.now(UTC)
        # what reads most, beside the rest
        lateness, course = await asyncio.gather(
            self._lateness(tenant, at - span.length, at), self._count_rest(tenant, span, at)
        )
        return replace(course, lateness=lateness)

    async def _lateness(self, tenant: str, since: datetime, at: datetime) -> list[Lateness]:
        async with self._database.transaction() as tx:
            await reads.be_patient(tx)
            return await reads.lateness(tx, tenant, since, at)

    async def _count_rest(self, tenant: str, span: Span, at: datetime) -> Course:
        since = at - span.length
        sla, checked_at = await self._sla(tenant, at)
        async with self._database.transaction() as tx:
            await reads.be_patient(tx)
            return Course(
                since=since,
                at=at,
                sla=sla,
                checked_at=checked_at,
                moments=await history(tx, since, at, tenant),
                lateness=(),
                mints=await reads.ledger_mints(tx, tenant, since),
                approvals=await reads.approvals(tx, tenant, since, "hour" if span is Span.DAY else "day"),
            )

    async def _sla(self, tenant: str, at: datetime) -> tuple[TenantSla, datetime]:
        """What the last check counted; averages over everything take too long to count for each reader."""
        async with self._database.transaction() as tx:
            report = await newest_snapshot(tx)
        if report is None:
            async with self._database.transaction() as tx:
                report = build_report(await findings(tx, at))
        return report.tenants.get(tenant, TenantSla()), report.at


def _attention(found: Mapping[str, Case], longest: Sequence[Stay], dead: Sequence[Dead]) -> list[Attention]:
    """The worst first: unclear outcomes, then what is overdue, escalated, or told nobody."""
    late = {stay.request_id for stay in longest}
    lost = {one.id: one.number for one in dead}
    listed = [
        Attention(case, reasons, min(_RANKS.index(kind) for kind, _ in reasons))
        for case in found.values()
        if (reasons := tuple(_reasons(case, case.id in late, lost.get(case.id, 0))))
    ]
    return sorted(listed, key=lambda one: (one.rank, one.case.status_since, one.case.id))


_RANKS: Final = ("anomaly", "overdue", "escalated", "dead")


def _reasons(case: Case, is_late: bool, lost: int) -> Iterator[tuple[str, str]]:
    if case.status is MintStatus.ANOMALY:
        yield "anomaly", "outcome unclear: an admin has to resolve it"
    if is_late:
        yield "overdue", "overdue"
    if case.status is MintStatus.PENDING and case.level >= reads.ESCALATED:
        yield "escalated", f"escalated to level {case.level}"
    if lost:
        yield "dead", f"{lost} message{'' if lost == 1 else 's'} could not be sent"
