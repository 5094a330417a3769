"""What one request's page shows beside the record; each by one index, however many requests there are."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import text

from db.session import Transaction
from domain.records import DeliveryState

_SENT = text("""
SELECT kind, channel, channel_kind, recipient, state, attempt, max_attempts, due_at, deferred_until,
    next_attempt_at, accepted_at, delivered_at, note, error, stage, run_id
FROM deliveries WHERE request_id = :id
ORDER BY due_at, channel COLLATE "C", recipient COLLATE "C", id
""")
_APPROVERS = text("""
SELECT name, tier FROM users WHERE tenant = :tenant AND active AND 'approver' = ANY (roles) ORDER BY name
""")


class Sent(BaseModel):
    """A message about a request, as far as it has come."""

    model_config = ConfigDict(frozen=True)

    kind: str
    channel: str
    channel_kind: str
    recipient: str
    state: DeliveryState
    attempt: int
    max_attempts: int
    due_at: AwareDatetime
    deferred_until: AwareDatetime | None
    next_attempt_at: AwareDatetime | None
    accepted_at: AwareDatetime | None
    delivered_at: AwareDatetime | None
    note: str
    error: str
    stage: int | None
    run_id: str | None

    @property
    def at(self) -> AwareDatetime:
        """When it was sent or, if it was not, when it was or is to be."""
        return self.accepted_at or self.next_attempt_at or self.due_at


class Colleague(BaseModel):
    """Somebody who could work on a request."""

    model_config = ConfigDict(frozen=True)

    name: str
    tier: int | None


async def sent(tx: Transaction, request_id: str) -> list[Sent]:
    """Every message about a request, by the time it was due."""
    return [Sent(**row._asdict()) for row in await tx.rows(_SENT, {"id": request_id})]


async def approvers(tx: Transaction, tenant: str) -> list[Colleague]:
    """Active approvers of a tenant by name."""
    return [Colleague(**row._asdict()) for row in await tx.rows(_APPROVERS, {"tenant": tenant})]
