"""Moved to `workflows.search_attributes`, which the workflow needs too; import it from there."""

from workflows.search_attributes import (
    ALL,
    AMOUNT,
    ASSET,
    ASSIGNEE,
    ESCALATION_LEVEL,
    EXPIRES_AT,
    STATUS,
    TENANT,
    TOPIC,
    at_start,
)

__all__ = [
    "ALL",
    "AMOUNT",
    "ASSET",
    "ASSIGNEE",
    "ESCALATION_LEVEL",
    "EXPIRES_AT",
    "STATUS",
    "TENANT",
    "TOPIC",
    "at_start",
]
