"""From what HTTP and the network say to the three ways in which a delivery can go wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp

from activities.notifications.channels.base import (
    CONNECT_SHARE,
    DeliveryAmbiguous,
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
)


def new_session(time_limit: float) -> aiohttp.ClientSession:
    """A session with `time_limit` seconds per call that honours HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""
    timeout = aiohttp.ClientTimeout(total=time_limit, connect=time_limit * CONNECT_SHARE)
    return aiohttp.ClientSession(timeout=timeout, trust_env=True)


@contextmanager
def network_errors(provider: str) -> Iterator[None]:
    """Turn aiohttp's errors into ours. Their texts may hold the URL, hence only their names are kept."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise cannot_reach(provider, error) from None
    except aiohttp.InvalidURL:
        raise DeliveryRefused(f"{provider}: the configured base URL is not a URL") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise answer_lost(provider, error) from None


def cannot_reach(provider: str, error: BaseException) -> DeliveryFailed:
    """No connection came about, so nothing was sent."""
    return DeliveryFailed(f"cannot reach {provider} ({type(error).__name__}); nothing was sent")


def answer_lost(provider: str, error: BaseException) -> DeliveryAmbiguous:
    """The request was on its way when the connection or the time was lost."""
    return DeliveryAmbiguous(
        f"{provider} gave no answer ({type(error).__name__}); the message may have been sent"
    )


def status_error(
    provider: str, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> DeliveryError:
    """The error for an HTTP status that is not a success."""
    text = f"{provider} answered {status}" + (f": {detail[:300]}" if detail else "")
    if status == HTTPStatus.GATEWAY_TIMEOUT or status < HTTPStatus.BAD_REQUEST:
        # A gateway that gave up waiting, or a success we can't read, says nothing about the message.
        return DeliveryAmbiguous(text)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT) or status >= 500:
        return DeliveryFailed(text, retry_after_seconds(headers or {}))
    return DeliveryRefused(text)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds, whether given as a number or as a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "")
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _seconds_until(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
