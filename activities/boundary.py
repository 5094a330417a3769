"""Where our errors become Temporal's: the one place that decides what is worth another attempt."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import MintkeeperError, OutcomeUnknown, Unavailable

MAX_UNEXPECTED = 5
"""Attempts of a local activity whose failure nobody foresaw; it holds the request's turn meanwhile."""


class ErrorBoundary(Interceptor):
    """Carries `MintkeeperError.code` as the failure's type; only what may pass by itself is retried."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Put the boundary around every activity."""
        return _Boundary(next)


class _Boundary(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except MintkeeperError as error:
            may_pass = isinstance(error, Unavailable | OutcomeUnknown)
            raise ApplicationError(error.message, type=error.code, non_retryable=not may_pass) from error
        except ApplicationError:
            raise
        except Exception as error:
            info = activity.info()
            if not info.is_local or info.attempt < MAX_UNEXPECTED:
                raise
            activity.logger.exception("gave up after %d attempts", info.attempt)
            raise ApplicationError(f"internal error: {error}", type="internal", non_retryable=True) from error
