"""Stages of the pinned policy: what one changes and whom it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.session import Transaction
from db.writes.letters import Notice
from db.writes.notices import stage_notices, stalled_notices
from db.writes.routing import Routing, routing
from db.writes.steps import advance, step_done, step_statement
from domain.errors import NotOpen
from domain.mint_request import MintStatus
from domain.records import RequestRecord

RUN_SQL = """
ran AS (
    INSERT INTO stage_runs (request_id, stage, due_at, ran_at, granted_tier, routed)
    SELECT request_id, :stage, :due_at, :at, :granted_tier, :routed FROM {source} RETURNING request_id
)
"""
"""A CTE that records the run of a stage for the request that `source` holds."""

_STAGE = step_statement(RUN_SQL.format(source="found"), source="ran")


@dataclass(frozen=True)
class StagePlan:
    """A stage thought through before it is written: the record after it, its event, its messages."""

    after: RequestRecord
    stage: int
    kind: str
    due_at: datetime
    at: datetime
    granted_tier: int | None
    told: tuple[Notice, ...]
    stalled: tuple[Notice, ...]

    @property
    def step(self) -> str:
        """The stage's idempotency key."""
        return f"stage:{self.stage}"

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Everything it sends, the alert to the leads included."""
        return self.told + self.stalled

    def details(self) -> Mapping[str, Any]:
        """What its audit event says."""
        return {
            "stage": self.stage,
            "dueAt": self.due_at.isoformat(),
            "grantedTier": self.granted_tier,
            "deliveries": len(self.told),
        }

    def columns(self) -> dict[str, Any]:
        """What RUN_SQL needs, beside the step's own times."""
        return {"stage": self.stage, "granted_tier": self.granted_tier, "routed": bool(self.told)}


def plan_stage(
    record: RequestRecord, stage: int, due_at: datetime, at: datetime, people: Routing
) -> StagePlan:
    """What stage `stage` does to a request, given who can be told."""
    wanted = record.policy.stages[stage]
    granted_tier = wanted.grants.tier if wanted.grants else None
    granted = set(record.granted_tiers) | ({granted_tier} if granted_tier else set())
    after = record.model_copy(
        update={
            "granted_tiers": tuple(sorted(granted)),
            "next_stage": max(record.next_stage, stage + 1),
            "escalation_level": record.escalation_level + (1 if stage > 0 else 0),
            # it runs, so whoever was on it has been given up on
            "acknowledged_by": None,
            "acknowledged_at": None,
        }
    )
    # a stage that is late is sent now, not when it was due
    sent_at = max(due_at, at)
    told = stage_notices(after, stage, people, sent_at)
    return StagePlan(
        after=after,
        stage=stage,
        kind=f"stage.{wanted.template}" if told else "stage.no_route",
        due_at=due_at,
        at=at,
        granted_tier=granted_tier,
        told=tuple(told),
        stalled=tuple(
            stalled_notices(after, f"stalled:{stage}", people, sent_at, stage) if stage > 0 else ()
        ),
    )


async def run_stage(
    tx: Transaction,
    *,
    record: RequestRecord,
    stage: int,
    due_at: datetime,
    at: datetime,
    ran: list[StagePlan] | None = None,
) -> RequestRecord:
    """Step `stage:N`: grant the stage's tier and write its messages, those to the leads included.

    A stage with nobody reachable is recorded as such and the next one runs at once; `ran` is given each
    that has run. Raises NotOpen when the request is no longer PENDING.
    """
    if record.status is not MintStatus.PENDING and not await step_done(
        tx, record.request.id, f"stage:{stage}"
    ):
        raise NotOpen(f"the request is {record.status} already: no further stage runs")
    people = await routing(tx, record.request, record.policy.stages[stage].notify.tiers())
    plan = plan_stage(record, stage, due_at, at, people)
    after = await advance(
        tx,
        before=record,
        after=plan.after,
        step=plan.step,
        kind=plan.kind,
        actor="clock",
        at=at,
        details=plan.details(),
        notices=plan.notices,
        due_at=due_at,
        statement=_STAGE,
        extra=plan.columns(),
    )
    if ran is not None and after.version == record.version + 1:
        ran.append(plan)
    return await pass_unrouted(tx, after, plan, ran)


async def pass_unrouted(
    tx: Transaction, record: RequestRecord, plan: StagePlan, ran: list[StagePlan] | None = None
) -> RequestRecord:
    """After a stage that reached nobody the next one runs at once."""
    following = plan.stage + 1
    if plan.told or record.next_stage != following or following == len(record.policy.stages):
        return record
    return await run_stage(tx, record=record, stage=following, due_at=plan.at, at=plan.at, ran=ran)
