"""Escalation policies and the engine that says what is due next."""

from __future__ import annotations

import functools
import hashlib
import itertools
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from domain.approvals import Tier
from domain.errors import InvalidInput
from domain.text import PlainText

LONGEST: Final = 366 * 86_400
"""Seconds. A time beyond all calendars could not be added to a date, and would stop a workflow for ever."""

_camel = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Notify(BaseModel):
    """Whose approvers a stage tells."""

    model_config = _camel

    tier: Tier = 1
    also_tier: Tier | None = None

    def tiers(self) -> list[int]:
        """Every tier told, ascending."""
        return sorted({self.tier, self.also_tier or self.tier})


class Grants(BaseModel):
    """The tier that gains visibility and authority when the stage is due."""

    model_config = _camel

    tier: Tier


class Stage(BaseModel):
    """One step: `delay_seconds` after the start it notifies its channels and may grant a tier."""

    model_config = _camel

    delay_seconds: Annotated[int, Field(ge=0, le=LONGEST)]
    channels: list[str]
    notify: Notify = Notify()
    grants: Grants | None = None
    template: Literal["opened", "reminder", "escalation"] = "opened"


class Retry(BaseModel):
    """How often a delivery is tried, and how long apart."""

    model_config = _camel

    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    backoff_seconds: Annotated[int, Field(ge=1, le=3600)] = 60


class EscalationPolicy(BaseModel):
    """An immutable published policy; field names are the JSON's that a tenant's admin publishes."""

    model_config = _camel

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    tenant: Annotated[str, Field(min_length=1)]
    name: Annotated[PlainText, Field(min_length=1, max_length=100)]
    stages: Annotated[list[Stage], Field(min_length=1, max_length=20)]
    auto_close_minutes: Annotated[int, Field(ge=1, le=366 * 1440)]
    retry: Retry = Retry()
    throttle_window_seconds: Annotated[int, Field(ge=0, le=LONGEST)] = 1800
    clock: Literal["created", "inactivity"] = "created"
    ack_timeout_seconds: Annotated[int, Field(ge=0, le=LONGEST)] = 0
    # with none at all, what quiet hours hold back until the very end would never be sent
    urgent_before_expiry_seconds: Annotated[int, Field(ge=60, le=LONGEST)] = 7200

    @model_validator(mode="after")
    def _ordered(self) -> EscalationPolicy:
        delays = [stage.delay_seconds for stage in self.stages]
        for number, (earlier, later) in enumerate(itertools.pairwise(delays), start=1):
            if later <= earlier:
                msg = (
                    f"stages[{number}] (at {later} s) must come after stages[{number - 1}] (at {earlier} s): "
                    "delays count from the start and strictly increase"
                )
                raise ValueError(msg)
        if self.auto_close_minutes * 60 <= delays[-1]:
            msg = (
                f"the expiry (autoCloseMinutes {self.auto_close_minutes}) must come after the last stage: "
                f"make it more than {delays[-1] // 60}, or the stage earlier"
            )
            raise ValueError(msg)
        return self

    @classmethod
    def parse(cls, text: str | bytes) -> EscalationPolicy:
        """Read the JSON of a policy; raises InvalidInput with the field that is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "policy"
            raise InvalidInput(f"policy: {where}: {first['msg']}", where) from error

    def urgent_from(self, ends_at: datetime, scale: int = 1) -> datetime:
        """From when on no message waits for the end of quiet hours: the run ends at `ends_at`."""
        return ends_at - timedelta(seconds=self.urgent_before_expiry_seconds) / scale

    def content_hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON (RFC 8785)."""
        return _content_hash(self)

    def __hash__(self) -> int:
        """Equal policies are equal in everything; the id tells most others apart."""
        return hash((self.id, self.tenant))


@functools.lru_cache(maxsize=256)
def _content_hash(policy: EscalationPolicy) -> str:
    # every message's id holds it, and a thousand messages may fall due in the same second
    return hashlib.sha256(rfc8785.dumps(policy.model_dump(mode="json", by_alias=True))).hexdigest()


class Due(BaseModel):
    """The next thing that time will do to a request: a stage, or its expiry (`stage` is None)."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    ready_at: datetime
    """When to begin: a little before `at`, so that the messages are written when they are due."""
    stage: int | None
    name: str
    """`reminder due`, `escalation to tier 2`, `expiry`: the timer's summary in the Temporal Web UI."""


LONGEST_LEAD = timedelta(seconds=15)
"""A stage begins a thousandth of its delay before it is due, and never more than this."""


class EscalationRun:
    """One run of a policy: deterministic, with no clock of its own.

    Times are absolute. `scale` divides every delay, for demonstrations (1 in production). `end_name` is
    what its end is called in the Web UI.
    """

    def __init__(
        self,
        policy: EscalationPolicy,
        started_at: datetime,
        scale: int = 1,
        next_stage: int = 0,
        end_name: str = "expiry",
    ) -> None:
        self._end_name = end_name
        self._policy = policy
        self.started_at = started_at
        self._last_activity = started_at
        self._scale = scale
        self._acknowledged_at: datetime | None = None
        self._cancelled = False
        self.next_stage = next_stage

    @property
    def expires_at(self) -> datetime:
        """When the run is over, and with it the request that it belongs to; nothing moves it."""
        return self.started_at + timedelta(minutes=self._policy.auto_close_minutes) / self._scale

    def scaled(self, seconds: float) -> timedelta:
        """A time of the policy, as long as it is in this run."""
        return timedelta(seconds=seconds) / self._scale

    def touch(self, at: datetime) -> None:
        """A claim, comment or partial approval: restarts the delays under the inactivity clock."""
        if self._policy.clock == "inactivity":
            self._last_activity = max(self._last_activity, at)

    def acknowledge(self, at: datetime | None) -> None:
        """Somebody is on it since `at`, which holds the stages back; None: nobody is (any more)."""
        self._acknowledged_at = at

    def cancel(self, cancelled: bool = True) -> None:
        """No further stage runs; False: they run again. Nothing of it moves the expiry."""
        self._cancelled = cancelled

    def is_held(self, now: datetime) -> bool:
        """Tell whether an acknowledgement or a cancel keeps stages from running at `now`."""
        return self._cancelled or (self._acknowledged_at is not None and now < self._resumes_at())

    def _resumes_at(self) -> datetime:
        """From when on stages may run; an ack without a time-out holds them until the expiry."""
        if self._acknowledged_at is None:
            return self.started_at
        if not self._policy.ack_timeout_seconds:
            return self.expires_at
        return self._acknowledged_at + timedelta(seconds=self._policy.ack_timeout_seconds) / self._scale

    def due_next(self) -> Due:
        """The next stage or, when none is left or it would come too late, the expiry.

        Stages that an acknowledgement has held back come one after the other as soon as it has lapsed.
        """
        if self.next_stage < len(self._policy.stages) and not self._cancelled:
            stage = self._policy.stages[self.next_stage]
            delay = timedelta(seconds=stage.delay_seconds) / self._scale
            resumes_at = self._resumes_at()
            at = max(self._last_activity + delay, resumes_at)
            if at < self.expires_at:
                ready_at = max(at - min(delay / 1000, LONGEST_LEAD), resumes_at)
                return Due(at=at, ready_at=ready_at, stage=self.next_stage, name=stage_name(stage))
        return Due(at=self.expires_at, ready_at=self.expires_at, stage=None, name=self._end_name)


def stage_name(stage: Stage) -> str:
    """What a stage is called in the Web UI and in timelines."""
    if stage.template == "reminder":
        return "reminder due"
    if stage.grants is not None:
        return f"escalation to tier {stage.grants.tier}"
    return "first notice" if stage.template == "opened" else "escalation"
