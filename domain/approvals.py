"""Who may decide, and when it is enough: approval rules, signed decisions, the tally."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

import rfc8785
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from domain.amounts import MAX_STROOPS, Asset
from domain.dsse import Envelope
from domain.errors import InvalidInput, Refused
from domain.evidence import LedgerEvidence
from domain.text import PlainText, UserName

DECISION_TYPE = "application/vnd.mintkeeper.decision+json"
"""DSSE payload type of a decision."""

SignedDecision = Envelope
"""A DSSE envelope whose payload is the canonical JSON of a `Decision`."""

Tier = Annotated[int, Field(ge=1, le=3)]
"""1 operator, 2 manager, 3 executive."""

STEP_UP: Final = "step-up"
"""Among a decision's `amr`: its approver gave a second factor for this very decision."""

Method = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z][a-z0-9-]*$")]
"""How somebody was authenticated: `pwd`, `otp`, `fed`, `slack` (RFC 8176's words where it has one)."""


class Verdict(StrEnum):
    """What a signer says."""

    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    TIMEOUT_FAILED = "timeout_failed"


RESOLUTIONS = frozenset({Verdict.CONFIRMED, Verdict.FAILED, Verdict.TIMEOUT_FAILED})
"""Verdicts of an operator on a request in ANOMALY."""


class RefusalReason(StrEnum):
    """Why a decision had no effect; stable words for audit, CLI and API."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_APPROVER = "unknown_approver"
    INACTIVE_APPROVER = "inactive_approver"
    SELF_APPROVAL = "self_approval"
    NOT_ENTITLED = "not_entitled"
    TIER_NOT_ELIGIBLE = "tier_not_eligible"
    ALREADY_DECIDED = "already_decided"
    WRONG_REQUEST = "wrong_request"
    WRONG_VERDICT = "wrong_verdict"
    REASON_MISSING = "reason_missing"
    EVIDENCE_MISSING = "evidence_missing"
    EVIDENCE_CONTRADICTS = "evidence_contradicts"
    EVIDENCE_UNKNOWN = "evidence_unknown"
    EVIDENCE_STALE = "evidence_stale"
    INTERNAL = "internal"
    NOT_OPEN = "not_open"
    EXPIRED = "expired"
    DAILY_CAP = "daily_cap"
    STEP_UP_REQUIRED = "step_up_required"
    DELEGATED = "delegated"
    DELEGATION_UNPROVEN = "delegation_unproven"


class Decision(BaseModel):
    """The signed content of an approve, reject, cancel or resolution."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    decision_id: Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
    request_id: str
    request_digest: str
    verdict: Verdict
    approver: UserName
    reason: PlainText = ""
    issued_at: AwareDatetime
    evidence: LedgerEvidence | None = None
    """What the ledger shows: with a resolution only, and then the signature covers it."""
    amr: Annotated[tuple[Method, ...], Field(max_length=8)] = ()
    """How the approver was authenticated by the server, which then signed for them; empty: their own key."""

    @property
    def is_vouched(self) -> bool:
        """The server's authority key has to sign it, not the approver's own."""
        return bool(self.amr)

    def canonical(self) -> bytes:
        """What is signed: canonical JSON (RFC 8785), without `evidence` and `amr` where there is none."""
        content = self.model_dump(mode="json", by_alias=True)
        for name in ("evidence", "amr"):
            if not content[name]:
                del content[name]
        return rfc8785.dumps(content)

    @classmethod
    def parse(cls, payload: bytes) -> Decision:
        """Read the very bytes that were verified; raises InvalidInput."""
        try:
            return cls.model_validate_json(payload)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "payload"
            raise InvalidInput(f"the decision's {where} is not valid: {first['msg']}", where) from error


class ApprovalRule(BaseModel):
    """How many approvals a mint of this asset and amount needs, and from which tiers at least."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    tenant: str
    position: Annotated[int, Field(ge=0)]
    asset: str = "*"
    """`CODE:ISSUER`, or `*` for every asset."""
    min_stroops: Annotated[int, Field(ge=0, le=MAX_STROOPS)] = 0
    max_stroops: Annotated[int, Field(ge=1, le=MAX_STROOPS)] = MAX_STROOPS
    """The band is inclusive at both ends."""
    approvals: Annotated[int, Field(ge=1, le=20)]
    min_tier: Tier = 1
    at_least_one_of_tier: Tier | None = None
    daily_cap_stroops: Annotated[int, Field(ge=1)] | None = None
    """At most so much of the asset approved in 24 h, for this tenant; None: no cap."""
    step_up_above_stroops: Annotated[int, Field(ge=0, le=MAX_STROOPS)] | None = None
    """Who approves more than this needs a one-time code as well; None: nobody does."""

    @model_validator(mode="after")
    def _band(self) -> ApprovalRule:
        if self.min_stroops > self.max_stroops:
            msg = "the amount band is empty: minStroops is above maxStroops"
            raise ValueError(msg)
        if self.asset != "*":
            Asset.parse(self.asset)
        return self

    def matches(self, asset: Asset, amount: int) -> bool:
        """Tell whether the rule covers this asset and amount (in stroops)."""
        return self.asset in ("*", str(asset)) and self.min_stroops <= amount <= self.max_stroops

    def tiers_from_start(self) -> frozenset[int]:
        """Tiers that may decide before any stage has granted one."""
        return frozenset({self.min_tier, self.at_least_one_of_tier or self.min_tier})

    def may_decide(self, tier: int, granted: Iterable[int]) -> bool:
        """Tell whether an approver of `tier` is entitled, given the tiers that stages have granted."""
        return tier >= self.min_tier and (tier in self.tiers_from_start() or tier in set(granted))

    def eligible_tiers(self, granted: Iterable[int]) -> list[int]:
        """Every tier that may decide now, ascending."""
        granted = set(granted)
        return [tier for tier in (1, 2, 3) if self.may_decide(tier, granted)]


def match_rule(rules: Sequence[ApprovalRule], tenant: str, asset: Asset, amount: int) -> ApprovalRule:
    """First match by position wins; nothing matches: denied. Raises Refused."""
    for rule in sorted(rules, key=lambda rule: rule.position):
        if rule.tenant == tenant and rule.matches(asset, amount):
            return rule
    raise Refused(
        f"no approval rule of tenant {tenant} allows this mint: ask an admin for 'mintkeeper rule set'"
    )


class Approval(BaseModel):
    """One accepted approval."""

    model_config = ConfigDict(frozen=True)

    decision_id: str
    approver: str
    on_behalf_of: str | None = None
    """Whose authority was used, if not their own."""
    tier: int
    """Of the authority that was used."""
    reason: str = ""
    at: AwareDatetime


class Tally(BaseModel):
    """What is still missing for the rule."""

    model_config = ConfigDict(frozen=True)

    given: int
    missing: int
    missing_tier: int | None
    """A tier from which at least one approval is still needed."""

    @property
    def satisfied(self) -> bool:
        """Nothing is missing any more."""
        return self.missing == 0 and self.missing_tier is None

    def text(self) -> str:
        """Say who is awaited, for people."""
        if self.satisfied:
            return "nobody: the approvals are complete"
        count = max(self.missing, 1)
        awaited = f"{count} more approval{'s' if count != 1 else ''}"
        return awaited + (f", one of tier {self.missing_tier} or above" if self.missing_tier else "")


def tally(rule: ApprovalRule, approvals: Sequence[Approval]) -> Tally:
    """Count distinct approvers of a sufficient tier against the rule."""
    counted = {approval.approver: approval.tier for approval in approvals if approval.tier >= rule.min_tier}
    needed_tier = rule.at_least_one_of_tier
    has_tier = needed_tier is None or any(tier >= needed_tier for tier in counted.values())
    missing = max(rule.approvals - len(counted), 0)
    return Tally(
        given=len(counted),
        missing=missing if has_tier else max(missing, 1),
        missing_tier=None if has_tier else needed_tier,
    )


class DecisionOutcome(BaseModel):
    """The answer to a decision: accepted (and what is still missing) or refused (and why)."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    verdict: Verdict | None = None
    status: str
    reason: RefusalReason | None = None
    message: str
    missing: int = 0
    missing_tier: int | None = None


ActorRole = Literal["requester", "approver", "admin", "auditor"]
"""What a user may be; a user can have several."""
