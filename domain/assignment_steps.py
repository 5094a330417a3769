"""What travels between the sweep's workflow and its activities, and what the sweep reports."""

from __future__ import annotations

from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

MOST_NAMED: Final = 100
"""Assignments that a report names; the counts have them all."""

_frozen = ConfigDict(frozen=True)


class StandingStep(BaseModel):
    """Read how a request stands."""

    model_config = _frozen

    request_id: str


class Behind(BaseModel):
    """The last request that a pass has looked at; the next one goes on behind it."""

    model_config = _frozen

    since: AwareDatetime
    request_id: str


class SweepStep(BaseModel):
    """One pass: assign what is due at `at`, the oldest first."""

    model_config = _frozen

    at: AwareDatetime
    behind: Behind | None = None


class Given(BaseModel):
    """One assignment."""

    model_config = _frozen

    request_id: str
    assignee: str


class SweepReport(BaseModel):
    """What came of the requests that were due, in numbers, and the first assignments by name."""

    model_config = _frozen

    looked_at: int = 0
    assigned: int = 0
    waiting: int = 0
    """Somebody fits, but outside working hours: the next sweep looks again."""
    nobody: int = 0
    """Nobody fits; the leads are told, once."""
    overtaken: int = 0
    """Claimed, decided or changed in between, or assigned by another sweep."""
    failed: int = 0
    """Left to the next sweep after an error; the worker's log has it."""
    told: int = 0
    """Workflows that were told of an assignment, those of the last sweeps included."""
    missing: int = 0
    """Requests without a running workflow: the pending audit starts it again."""
    given: tuple[Given, ...] = ()

    def plus(self, other: SweepReport) -> SweepReport:
        """Both together."""
        counts = {
            name: getattr(self, name) + getattr(other, name)
            for name in type(self).model_fields
            if name != "given"
        }
        return SweepReport(**counts, given=(self.given + other.given)[:MOST_NAMED])


class PassAnswer(BaseModel):
    """What one pass came to."""

    model_config = _frozen

    report: SweepReport
    behind: Behind | None = None
    """Set when there may be more."""


class TellStep(BaseModel):
    """Tell the workflows of what was assigned automatically since then."""

    model_config = _frozen

    since: AwareDatetime


class TellAnswer(BaseModel):
    """How many were told, and how many have no running workflow."""

    model_config = _frozen

    told: int = 0
    missing: int = 0
