"""Opening a mint request: the terms it must have, and its first row."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from db.reads.records import parse_policy
from db.session import Transaction
from db.writes.audit import event_body
from db.writes.routing import ROUTING_SQL
from db.writes.stages import RUN_SQL, StagePlan
from db.writes.steps import SIDE_EFFECTS, event_params, outbox_params
from domain.amounts import format_amount
from domain.approvals import ApprovalRule, match_rule
from domain.errors import IdempotencyConflict, InvalidInput, NotFound, Refused
from domain.escalation import EscalationPolicy
from domain.mint_request import RESUBMITTABLE, MintRequest, MintStatus
from domain.records import RequestRecord
from domain.strkey import check_destination

_TERMS_SQL = """
SELECT (SELECT digest FROM mint_requests WHERE id = :id) AS digest,
    (SELECT active FROM tenants WHERE code = :tenant) AS tenant,
    (SELECT active FROM topics WHERE tenant = :tenant AND code = :topic) AS topic,
    (SELECT active FROM users WHERE tenant = :tenant AND name = :requester) AS requester,
    (SELECT CASE WHEN deleted_at IS NULL THEN CAST(body AS text) ELSE '' END FROM escalation_policies
        WHERE id = :policy_id AND tenant = :tenant) AS policy,
    (SELECT coalesce(json_agg(r), '[]') FROM (SELECT * FROM approval_rules WHERE tenant = :tenant
        ORDER BY position) AS r) AS rules,
    (SELECT status FROM mint_requests WHERE id = :resubmission_of AND tenant = :tenant) AS parent_status,
    (SELECT id FROM mint_requests WHERE resubmission_of = :resubmission_of) AS resubmitted_as,
    ({routing}) AS routing
"""
_TERMS = text(_TERMS_SQL.format(routing=ROUTING_SQL))
_OPENED = """
WITH opened AS (
    INSERT INTO mint_requests (id, tenant, network_passphrase, asset_code, asset_issuer, amount, destination,
        topic, requester, memo, resubmission_of, ledger_deadline, digest, track_number, policy_id, rule,
        sla_scale, run_id, created_at, expires_at, status, version, granted_tiers, next_stage,
        escalation_level, status_since, unassigned_since, last_activity_at, reason)
    SELECT :id, :tenant, :network_passphrase, :asset_code, :asset_issuer, :amount, :destination, :topic,
        :requester, :memo, :resubmission_of, :ledger_deadline, :digest, :track_number, id,
        CAST(:rule AS jsonb), :sla_scale, :run_id, :created_at, :expires_at, 'PENDING', 1,
        CAST(:granted_tiers AS integer[]), :next_stage, 0, :created_at, :created_at, :created_at, ''
    -- who deletes the policy at this moment is waited for, and then there is none to open with
    FROM escalation_policies WHERE id = :policy_id AND deleted_at IS NULL FOR KEY SHARE
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), begun AS (
    INSERT INTO audit_events (tenant, request_id, step, kind, actor, at, body)
    SELECT :tenant, id, 'open', 'request.opened', :requester, :created_at, :opening FROM opened
    RETURNING request_id
)
"""
_WITHOUT_STAGE = "SELECT count(*) FROM begun"
_WITH_STAGE = """
, {run}
, changed AS (SELECT request_id AS id FROM ran)
"""
_OPEN = text(_OPENED + _WITHOUT_STAGE)
_OPEN_WITH_STAGE = text(_OPENED + _WITH_STAGE.format(run=RUN_SQL.format(source="begun")) + SIDE_EFFECTS)


async def read_terms(tx: Transaction, request: MintRequest, policy: EscalationPolicy) -> Any:
    """What the database says about the names in a request, and whom its first stage tells."""
    params = {
        "id": request.id,
        "tenant": request.tenant,
        "topic": request.topic,
        "requester": request.requester,
        "policy_id": policy.id,
        "resubmission_of": request.resubmission_of,
        "tiers": policy.stages[0].notify.tiers(),
    }
    return (await tx.rows(_TERMS, params))[0]


def check_same_content(request: MintRequest, stored_digest: str) -> None:
    """Raise IdempotencyConflict unless the stored request is this one."""
    if stored_digest != request.digest():
        raise IdempotencyConflict(
            f"{request.id} exists with other content: use a new idempotency key for another mint"
        )


def check_terms(request: MintRequest, policy: EscalationPolicy, rule: ApprovalRule, terms: Any) -> None:
    """Raise NotFound, InvalidInput or Refused unless request, policy and rule are the published ones."""
    _check_named(request, terms)
    check_destination(request.destination, request.asset.issuer)
    if terms.policy == "":
        raise Refused(
            f"escalation policy {policy.id} is deleted: submit again, with the tenant's current one"
        )
    if terms.policy is None or parse_policy(terms.policy) != policy:
        raise Refused(f"tenant {request.tenant} never published this escalation policy ({policy.id})")
    published = [ApprovalRule(**row) for row in terms.rules]
    if match_rule(published, request.tenant, request.asset, request.amount) != rule:
        raise Refused(f"the approval rule is not the one that tenant {request.tenant} has for this mint")
    if request.resubmission_of is not None:
        _check_resubmission(request.resubmission_of, terms)


def _check_named(request: MintRequest, terms: Any) -> None:
    if terms.tenant is None:
        raise NotFound(f"unknown tenant {request.tenant!r}")
    if terms.topic is None:
        raise NotFound(f"unknown topic {request.topic!r} of tenant {request.tenant}")
    if terms.requester is None:
        raise NotFound(f"unknown user {request.requester!r} of tenant {request.tenant}")
    for name, value in (
        ("tenant", request.tenant),
        ("topic", request.topic),
        ("requester", request.requester),
    ):
        if not getattr(terms, name):
            raise InvalidInput(f"{name} {value!r} is not active", name)


def _check_resubmission(parent: str, terms: Any) -> None:
    if terms.parent_status is None:
        raise NotFound(f"unknown mint request {parent!r}: there is nothing to re-submit")
    if MintStatus(terms.parent_status) not in RESUBMITTABLE:
        raise Refused(
            f"{parent} is {terms.parent_status}: only a request that ended without a mint can be re-submitted"
        )
    if terms.resubmitted_as is not None:
        raise Refused(f"{parent} was re-submitted already, as {terms.resubmitted_as}")


async def insert_request(
    tx: Transaction, record: RequestRecord, run_id: str, first: StagePlan | None = None
) -> bool:
    """Write the first row and its audit event, with everything of its first stage.

    False when the id exists, or the policy has been deleted meanwhile.

    `record` is the request as it is after that.
    """
    params = _opening_params(record, run_id)
    if first is None:
        return bool(await tx.value(_OPEN, params))
    event = event_params(record, record, first.step, first.kind, "clock", first.at, first.details())
    outbox = outbox_params(record, first.notices, first.due_at)
    return bool(await tx.value(_OPEN_WITH_STAGE, {**params, **event, **outbox, **first.columns()}))


def _opening_params(record: RequestRecord, run_id: str) -> dict[str, Any]:
    request = record.request
    opening = event_body(
        tenant=request.tenant,
        request_id=request.id,
        step="open",
        kind="request.opened",
        actor=request.requester,
        at=record.created_at,
        details=_details(record),
    )
    return {
        **request.model_dump(exclude={"asset"}),
        "asset_code": request.asset.code,
        "asset_issuer": request.asset.issuer,
        "digest": request.digest(),
        "track_number": request.track_number,
        "policy_id": record.policy.id,
        "rule": record.rule.model_dump_json(by_alias=True),
        "sla_scale": record.sla_scale,
        "run_id": run_id,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "granted_tiers": list(record.granted_tiers),
        "next_stage": record.next_stage,
        "opening": opening,
    }


def _details(record: RequestRecord) -> dict[str, Any]:
    request = record.request
    return {
        "digest": request.digest(),
        "asset": str(request.asset),
        "amount": format_amount(request.amount),
        "destination": request.destination,
        "topic": request.topic,
        "memo": request.memo,
        "resubmissionOf": request.resubmission_of,
        "policy": record.policy.id,
        "rule": record.rule.model_dump(
            mode="json",
            by_alias=True,
            exclude={"tenant", "min_stroops", "max_stroops", "daily_cap_stroops", "step_up_above_stroops"},
        ),
        "expiresAt": record.expires_at.isoformat(),
    }
