"""What travels between the workflow of an event's run and its activities: arguments and answers."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.runs import EventKind, EventRun, RunState

_frozen = ConfigDict(frozen=True)


class RunStanding(BaseModel):
    """How far the run of an event has come."""

    model_config = _frozen

    state: RunState
    next_stage: int = 0
    acknowledged_by: str | None = None
    acknowledged_at: AwareDatetime | None = None
    reason: str = ""
    run: EventRun | None = None
    """The run itself, for a workflow that has just begun; None: it knows the run already."""

    @classmethod
    def of(cls, run: EventRun) -> RunStanding:
        """Cut a run down to what its workflow needs."""
        return cls(**run.model_dump(include=set(cls.model_fields)))


class EventStep(BaseModel):
    """Something is wrong with a request: record it, and start what the tenant's rule asks for."""

    model_config = _frozen

    request_id: str
    kind: EventKind
    occurrence: str
    """Tells this event from the next of its kind; the same one again changes nothing."""


class RaisedEvent(BaseModel):
    """What became of an event."""

    model_config = _frozen

    run_id: str | None = None
    """None: the tenant wants nothing to happen."""
    state: RunState | None = None


class EscalationOrder(BaseModel):
    """Input of the workflow `Escalation`: the run as it was started; what the database says of it counts."""

    model_config = _frozen

    run: EventRun
    summary: str
    """Of the request that it is about."""


class RunStep(BaseModel):
    """Look how far the run of an event has come, or close it."""

    model_config = _frozen

    run_id: str
    at: AwareDatetime


class EventStageStep(BaseModel):
    """Run one stage of an event's run."""

    model_config = _frozen

    run_id: str
    stage: int
    due_at: AwareDatetime
    at: AwareDatetime
