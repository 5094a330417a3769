"""The log of escalations for operators: one JSON line an event on stderr, with ids and the reason in words.

It holds ids, names of people and names of channels, and nothing else: what these functions do not take
(addresses, tokens, texts of messages) can't get into it. A line is written after the transaction that
it tells of; one that is lost with its worker is missing here and nowhere else.
"""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import structlog

from db.writes.letters import Notice
from domain.channels import GROUP_KINDS
from domain.mint_request import utc_text
from domain.records import RequestRecord
from domain.runs import EventRun


@dataclass(frozen=True)
class Run:
    """Which run an event belongs to; a mint request's own run has the request's id."""

    run_id: str
    request_id: str
    tenant: str
    policy: str

    @classmethod
    def of_request(cls, record: RequestRecord) -> Run:
        """The run inside the request's own workflow."""
        request = record.request
        return cls(request.id, request.id, request.tenant, record.policy.id)

    @classmethod
    def of_event(cls, run: EventRun) -> Run:
        """The run of an operational event."""
        return cls(run.id, run.request_id, run.tenant, run.policy.id if run.policy else "")


def started(run: Run, rationale: str) -> None:
    """A run has begun."""
    _write("escalation.started", run, rationale)


def not_started(run: Run, rationale: str) -> None:
    """An event came and starts no run: throttled, or not to be escalated."""
    _write("escalation.not_started", run, rationale)


def stage_sent(run: Run, stage: int, due_at: datetime, notices: Sequence[Notice]) -> None:
    """A stage has run: who is told, or that nobody could be."""
    ids = [notice.id for notice in notices]
    why = f"stage {stage} was due at {utc_text(due_at)} and nothing held it: {told(notices)}"
    _write("escalation.stage_sent", run, why, stage=stage, delivery_ids=ids)


def stage_held(run: Run, stage: int, rationale: str) -> None:
    """A stage was due and did not run."""
    _write("escalation.stage_held", run, rationale, stage=stage)


def acknowledged(run: Run, stage: int, delivery_id: str, by: str) -> None:
    """Somebody is on it; `by` is a user's name, or the channel's where a group was told."""
    why = f"{by} is on it, as the message of stage {stage} offered: the stages to come are held back"
    _write("escalation.ack", run, why, stage=stage, delivery_ids=[delivery_id])


def cancelled(run: Run, stage: int, by: str, delivery_ids: Sequence[str]) -> None:
    """Somebody has cancelled the run before its stage `stage`.

    `delivery_ids` are those of messages that are not sent any more. The reason that was given is a
    text of people's, and stays in the audit.
    """
    why = f"{by} cancelled it: no further stage runs; the reason is in the audit"
    _write("escalation.cancelled", run, why, stage=stage, delivery_ids=delivery_ids)


def told(notices: Sequence[Notice]) -> str:
    """Whom messages go to and over which channels, in words; what quiet hours hold back is named."""
    if not notices:
        return "nobody could be reached, so the next stage runs at once"
    by_channel: dict[str, list[str]] = defaultdict(list)
    for notice in notices:
        by_channel[notice.channel].append(
            "the group" if notice.channel_kind in GROUP_KINDS else notice.recipient
        )
    words = "; ".join(f"{', '.join(people)} over {channel}" for channel, people in sorted(by_channel.items()))
    held = sum(notice.deferred_until is not None for notice in notices)
    return f"told {words}" + (f"; quiet hours hold back {held} of {len(notices)}" if held else "")


def _write(event: str, run: Run, rationale: str, **details: object) -> None:
    # looked up anew each time: whoever runs us may have given stderr another place meanwhile
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=_PROCESSORS)
    # a log that can't be written must not undo what it tells of
    with contextlib.suppress(OSError, ValueError):
        log.info(event, **asdict(run), **details, rationale=rationale)


_PROCESSORS = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.JSONRenderer(ensure_ascii=False),
)
