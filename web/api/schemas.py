"""What the API takes and answers, as its OpenAPI document tells it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.mint_request import MintStatus
from domain.text import MAX_TEXT

_strict = ConfigDict(extra="forbid")
_open = ConfigDict(extra="allow")

Reason = Annotated[str, Field(max_length=MAX_TEXT)]
DecisionId = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class NewRequest(BaseModel):
    """Body of `POST /api/requests`; the requester is whoever is signed in."""

    model_config = _strict

    asset: Annotated[str, Field(max_length=100, description="CODE:ISSUER")]
    amount: Annotated[str, Field(max_length=40, description="Decimal text, at most 7 decimals.")]
    destination: Annotated[str, Field(max_length=100, description="An account, G…")]
    topic: Annotated[str, Field(max_length=100)]
    memo: Reason = ""
    deadline: Annotated[str | None, Field(max_length=40, description="ISO 8601 with a zone.")] = None


class Verdicted(BaseModel):
    """A decision of a signed-in browser, which the server signs."""

    model_config = _strict

    verdict: Literal["approve", "reject", "cancel"]
    reason: Reason = ""
    code: Annotated[str, Field(max_length=20, description="Second factor, where the amount asks for it.")] = (
        ""
    )
    decision_id: DecisionId | None = None
    digest: Annotated[
        str, Field(max_length=64, description="Of the request as it was seen; another one is refused.")
    ] = ""


class Cancelled(BaseModel):
    """A cancel of a signed-in browser, which the server signs."""

    model_config = _strict

    reason: Reason = ""
    decision_id: DecisionId | None = None


class Assigned(BaseModel):
    """Who is to work on it."""

    model_config = _strict

    assignee: Annotated[str, Field(max_length=64)]


class Nothing(BaseModel):
    """No content; the body may be left out."""

    model_config = _strict


class Said(BaseModel):
    """A message of the desk or of the requester."""

    model_config = _strict

    text: Reason


class Problem(BaseModel):
    """RFC 9457: what is wrong; `code` is the same word as on the command line."""

    model_config = _open

    type: str
    status: int
    title: str
    code: str
    detail: str


class Timer(BaseModel):
    """What time does next."""

    name: str
    due_at: str


class RequestDocument(BaseModel):
    """A mint request as `mintkeeper show --json` gives it; a list leaves timeline and conversation out."""

    model_config = _open

    id: str
    track_number: str
    status: MintStatus
    asset: str
    amount: str
    destination: str
    requester: str
    topic: str
    tenant: str
    memo: str
    assignee: str | None
    created_at: str
    expires_at: str
    reason: str
    approvals: list[dict[str, Any]]
    eligible_tiers: list[int]
    escalation_level: int
    next_timer: Timer | None
    submission: dict[str, Any] | None
    resubmission_of: str | None
    resubmitted_as: str | None
    timeline: list[dict[str, Any]] = []


class RequestList(BaseModel):
    """The most urgent first."""

    requests: list[RequestDocument]


class ReceiptDocument(BaseModel):
    """A request that was asked for; `opened` false: durable, and opened as soon as a worker runs."""

    model_config = _open

    id: str
    track_number: str
    workflow_id: str
    status: MintStatus
    opened: bool
    summary: str


class DecisionDocument(BaseModel):
    """What became of a decision; `accepted` null: left with the workflow, the outcome is not known yet."""

    model_config = _open

    id: str
    decision_id: str
    accepted: bool | None


class StandingDocument(BaseModel):
    """Who works on it now."""

    id: str
    status: MintStatus
    assignee: str | None


class CommentDocument(BaseModel):
    """`stored`, or left with the workflow as a `signal`, which writes it soon."""

    id: str
    comment_id: str
    sent: Literal["stored", "signal"]


class Upload(BaseModel):
    """An announced document: where its bytes go, and the pass that they need."""

    model_config = _open

    id: str
    filename: str
    state: str
    upload: str
    token: str
    expires_at: str


class Conversation(BaseModel):
    """Oldest first."""

    id: str
    messages: list[dict[str, Any]]
    attachments: list[dict[str, Any]]
