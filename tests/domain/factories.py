"""Small builders of domain values for tests."""

from datetime import UTC, datetime, timedelta

from domain.amounts import Asset
from domain.approvals import Approval, ApprovalRule, Decision, Verdict
from domain.escalation import EscalationPolicy
from domain.mint_request import MintRequest, MintStatus
from domain.records import RequestRecord, Signer

ISSUER = "GCEZWKCA5VLDNRLN3RPRJMRZOX3Z6G5CHCGSNFHEYVXM3XOJMDS674JZ"
DESTINATION = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

POLICY = EscalationPolicy.parse(
    """{"id": "p1", "tenant": "acme", "name": "mint-default",
        "stages": [
          {"delaySeconds": 0, "channels": ["in-app"], "notify": {"tier": 1}},
          {"delaySeconds": 14400, "channels": ["email"], "notify": {"tier": 1, "alsoTier": 2},
           "grants": {"tier": 2}, "template": "reminder"},
          {"delaySeconds": 43200, "channels": ["email"], "notify": {"tier": 3},
           "grants": {"tier": 3}, "template": "escalation"}],
        "autoCloseMinutes": 1440}"""
)


def make_request(**changes) -> MintRequest:
    values = {
        "id": "mr_01KAN3D0000000000000000000",
        "tenant": "acme",
        "network_passphrase": "Standalone Network ; February 2017",
        "asset": Asset(code="EURT", issuer=ISSUER),
        "amount": 25_000_000_000,
        "destination": DESTINATION,
        "topic": "treasury-eu",
        "requester": "rita",
    }
    return MintRequest(**(values | changes))


def make_rule(**changes) -> ApprovalRule:
    return ApprovalRule(**({"tenant": "acme", "position": 0, "approvals": 1} | changes))


def make_record(**changes) -> RequestRecord:
    values = {
        "request": make_request(),
        "policy": POLICY,
        "rule": make_rule(),
        "status": MintStatus.PENDING,
        "status_since": START,
        "version": 1,
        "created_at": START,
        "expires_at": START + timedelta(hours=24),
        "last_activity_at": START,
    }
    return RequestRecord(**(values | changes))


def make_signer(**changes) -> Signer:
    values = {
        "tenant": "acme",
        "name": "alice",
        "active": True,
        "roles": frozenset({"approver"}),
        "tier": 1,
        "public_keys": (),
    }
    return Signer(**(values | changes))


def make_decision(**changes) -> Decision:
    request = make_request()
    values = {
        "decision_id": "dc_00000001",
        "request_id": request.id,
        "request_digest": request.digest(),
        "verdict": Verdict.APPROVE,
        "approver": "alice",
        "issued_at": START,
    }
    return Decision(**(values | changes))


def make_approval(name: str, tier: int = 1) -> Approval:
    return Approval(decision_id=f"dc_{name}_0001", approver=name, tier=tier, at=START)
