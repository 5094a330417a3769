"""Typed search attributes of the workflow: what operators filter by in the Temporal Web UI.

They are plain text on the server even where a codec encrypts the rest, so no personal data goes in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from domain.amounts import STROOPS_PER_UNIT
from domain.mint_request import MintRequest, MintStatus
from domain.runs import EventRun

STATUS: Final = SearchAttributeKey.for_keyword("MintStatus")
TENANT: Final = SearchAttributeKey.for_keyword("MintTenant")
ASSET: Final = SearchAttributeKey.for_keyword("MintAsset")
TOPIC: Final = SearchAttributeKey.for_keyword("MintTopic")
ASSIGNEE: Final = SearchAttributeKey.for_keyword("MintAssignee")
ESCALATION_LEVEL: Final = SearchAttributeKey.for_int("MintEscalationLevel")
AMOUNT: Final = SearchAttributeKey.for_float("MintAmount")
EXPIRES_AT: Final = SearchAttributeKey.for_datetime("MintExpiresAt")

ALL: Final = (STATUS, TENANT, ASSET, TOPIC, ASSIGNEE, ESCALATION_LEVEL, AMOUNT, EXPIRES_AT)
"""Everything that must be registered on the server before the first workflow starts."""


def at_start(request: MintRequest, expires_at: datetime) -> TypedSearchAttributes:
    """The attributes of a request that is about to be opened; given at the start they cost no event."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(STATUS, MintStatus.PENDING.value),
            SearchAttributePair(TENANT, request.tenant),
            SearchAttributePair(ASSET, str(request.asset)),
            SearchAttributePair(TOPIC, request.topic),
            SearchAttributePair(ESCALATION_LEVEL, 0),
            # for searching only: the exact amount is the integer in the request
            SearchAttributePair(AMOUNT, request.amount / STROOPS_PER_UNIT),
            SearchAttributePair(EXPIRES_AT, expires_at),
        ]
    )


def of_run(run: EventRun) -> TypedSearchAttributes:
    """The attributes of an event's run: whose it is, and when it ends by itself."""
    level = max(run.next_stage - 1, 0)
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(TENANT, run.tenant),
        SearchAttributePair(ESCALATION_LEVEL, level),
    ]
    if run.closes_at is not None:
        pairs.append(SearchAttributePair(EXPIRES_AT, run.closes_at))
    return TypedSearchAttributes(pairs)
