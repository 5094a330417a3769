"""Waiting for a workflow's answer to an update: what ended, what got lost, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import NotOpen, OutcomeUnknown
from starter.failures import domain_error

ANSWER_SECONDS: Final = 15.0
"""How long a sender waits for the workflow's answer unless it says otherwise."""

LOST: Final = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
"""The server went away while it had the message."""


@contextmanager
def answers(run_id: str, unknown: OutcomeUnknown) -> Iterator[None]:
    """Errors of an update as ours: `unknown` when no answer comes, NotOpen, or what the workflow refuses."""
    try:
        with ended(run_id):
            yield
    except WorkflowUpdateFailedError as error:
        raise domain_error(error.cause) from error
    except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError) as error:
        raise unknown from error
    except RPCError as error:
        if error.status in LOST:
            raise unknown from error
        raise


@contextmanager
def ended(run_id: str) -> Iterator[None]:
    """NotOpen where Temporal knows no running workflow of the run."""
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotOpen(f"{run_id} has no running workflow") from error
        raise
