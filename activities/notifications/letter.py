"""From a claimed delivery to the message that a channel sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from activities.notifications.channels import Message
from activities.notifications.facts import NotificationFacts
from activities.notifications.render import render
from domain.errors import InvalidInput
from domain.mint_request import workflow_id
from domain.records import DeliveryJob

_FACTS = TypeAdapter(NotificationFacts)


@dataclass(frozen=True)
class Links:
    """Where messages point: the web UI, and Temporal's own UI (none when `temporal_url` is empty)."""

    public_url: str
    temporal_url: str
    namespace: str

    def workflow(self, request_id: str) -> str | None:
        """The page of the request's workflow."""
        if not self.temporal_url:
            return None
        base = self.temporal_url.rstrip("/")
        return f"{base}/namespaces/{self.namespace}/workflows/{workflow_id(request_id)}"


def compose(job: DeliveryJob, links: Links) -> Message:
    """The message of a delivery; raises InvalidInput when its facts or its kind can't be rendered."""
    facts = replace(
        _parse({**job.facts, "public_url": links.public_url}),
        recipient_name=job.recipient,
        time_zone=job.time_zone,
        temporal_url=links.workflow(job.request_id),
    )
    said = render(job.kind, facts)
    return Message(
        delivery_id=job.id,
        kind=job.kind,
        target=job.target,
        subject=said.subject,
        text=said.text,
        html=said.html,
        blocks=said.blocks,
    )


def _parse(facts: Mapping[str, Any]) -> NotificationFacts:
    try:
        return _FACTS.validate_python(facts)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "facts"
        # the values stay out of the text: it goes into logs
        raise InvalidInput(f"facts: {where}: {first['msg']}", where) from None
