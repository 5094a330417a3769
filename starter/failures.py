"""Temporal's failures as our errors: the failure type carries `MintkeeperError.code`."""

from __future__ import annotations

from collections.abc import Iterator

from temporalio.exceptions import ApplicationError

from domain.approvals import RefusalReason
from domain.errors import DecisionRefused, MintkeeperError


def domain_error(failure: BaseException) -> MintkeeperError:
    """The error that a workflow or activity raised, found along the chain of causes."""
    application = next((link for link in _chain(failure) if isinstance(link, ApplicationError)), None)
    if application is None:
        return MintkeeperError(str(failure))
    message, kind = application.message, application.type or MintkeeperError.code
    for error in _subclasses(MintkeeperError):
        if error.code == kind and error is not DecisionRefused:
            return error(message)
    if kind in set(RefusalReason):
        return DecisionRefused(message, kind)
    unforeseen = MintkeeperError(message)
    unforeseen.code = kind
    return unforeseen


def _chain(failure: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = failure
    while link is not None:
        yield link
        link = getattr(link, "cause", None) or link.__cause__


def _subclasses(root: type[MintkeeperError]) -> Iterator[type[MintkeeperError]]:
    for child in root.__subclasses__():
        yield child
        yield from _subclasses(child)
