"""Temporal's failures as our errors: the failure type carries `MintkeeperError.code`."""

from __future__ import annotations

from collections.abc import Iterator

from temporalio.exceptions import ApplicationError

from domain.approvals import RefusalReason
from domain.errors import DecisionRefused, MintkeeperError


def domain_error(failure: BaseException) -> MintkeeperError:
    """The error that a workflow or activity raised, found along the chain of causes."""
    raised = [link for link in _chain(failure) if isinstance(link, ApplicationError)]
    for link in raised:
        if known := _known(link):
            return known
    unforeseen = MintkeeperError(raised[0].message if raised else str(failure))
    unforeseen.code = (raised[0].type if raised else None) or MintkeeperError.code
    return unforeseen


def _known(failure: ApplicationError) -> MintkeeperError | None:
    for error in _subclasses(MintkeeperError):
        if error.code == failure.type and error is not DecisionRefused:
            return error(failure.message)
    reason = failure.type if failure.type in set(RefusalReason) else None
    return DecisionRefused(failure.message, reason) if reason else None


def _chain(failure: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = failure
    while link is not None:
        yield link
        link = link.__cause__


def _subclasses(root: type[MintkeeperError]) -> Iterator[type[MintkeeperError]]:
    for child in root.__subclasses__():
        yield child
        yield from _subclasses(child)
