"""What a policy will do, stage by stage, if nobody acknowledges or decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.escalation import EscalationPolicy, EscalationRun, Stage, stage_name

_frozen = ConfigDict(frozen=True)


class Message(BaseModel):
    """One message of a stage: to whom, over which channel, and until when quiet hours hold it back."""

    model_config = _frozen

    channel: str
    kind: str
    recipient: str
    time_zone: str
    alert: bool = False
    """It tells the leads of the department that the request is stalled; no approver reads it."""
    deferred_until: AwareDatetime | None = None


class StageForecast(BaseModel):
    """One stage as it will run."""

    model_config = _frozen

    stage: int
    name: str
    due_at: AwareDatetime
    """By its delay."""
    runs_at: AwareDatetime
    """Before it is due where the stage before it has reached nobody."""
    grants: int | None
    urgent: bool
    """So near the expiry that quiet hours hold nothing back."""
    no_route: bool
    messages: tuple[Message, ...]


class Quiet(BaseModel):
    """A stretch in which messages to somebody wait."""

    model_config = _frozen

    recipient: str
    begins_at: AwareDatetime
    ends_at: AwareDatetime


class Simulation(BaseModel):
    """A run from its start to its expiry."""

    model_config = _frozen

    policy_id: str
    name: str
    tenant: str
    started_at: AwareDatetime
    urgent_from: AwareDatetime
    expires_at: AwareDatetime
    sla_scale: int
    stages: tuple[StageForecast, ...]
    quiet: tuple[Quiet, ...] = ()

    def document(self) -> dict[str, Any]:
        """The simulation for machines, every moment in UTC and, for a message, in its reader's zone."""
        document = self.model_dump(mode="json")
        for stage, shown in zip(self.stages, document["stages"], strict=True):
            for message, row in zip(stage.messages, shown["messages"], strict=True):
                row["sent_at_local"] = local(sent_at(stage, message), message.time_zone).isoformat()
        return document


def simulate(
    policy: EscalationPolicy,
    started_at: datetime,
    messages_of: Callable[[int, datetime], Sequence[Message]],
    scale: int = 1,
) -> Simulation:
    """Follow a run of the policy that starts at `started_at` and that nobody stops.

    `messages_of` tells what a stage sends when it runs at a moment. A stage without messages to
    approvers has no route, and the next one runs at once.
    """
    run = EscalationRun(policy, started_at, scale)
    urgent_from = policy.urgent_from(run.expires_at, scale)
    stages: list[StageForecast] = []
    for number, stage in enumerate(policy.stages):
        run.next_stage = number
        due_at = run.due_next().at
        runs_at = stages[-1].runs_at if stages and stages[-1].no_route else due_at
        messages = messages_of(number, runs_at)
        stages.append(_forecast(number, stage, due_at, runs_at, runs_at >= urgent_from, messages))
    return Simulation(
        policy_id=policy.id,
        name=policy.name,
        tenant=policy.tenant,
        started_at=started_at,
        urgent_from=max(urgent_from, started_at),
        expires_at=run.expires_at,
        sla_scale=scale,
        stages=tuple(stages),
    )


def _forecast(
    number: int,
    stage: Stage,
    due_at: datetime,
    runs_at: datetime,
    urgent: bool,
    messages: Sequence[Message],
) -> StageForecast:
    return StageForecast(
        stage=number,
        name=stage_name(stage),
        due_at=due_at,
        runs_at=runs_at,
        grants=stage.grants.tier if stage.grants else None,
        urgent=urgent,
        no_route=all(message.alert for message in messages),
        messages=tuple(messages),
    )


def sent_at(stage: StageForecast, message: Message) -> datetime:
    """When the message goes out."""
    return message.deferred_until or stage.runs_at


def local(at: datetime, time_zone: str) -> datetime:
    """A moment as its reader's clock shows it."""
    return at.astimezone(ZoneInfo(time_zone))
