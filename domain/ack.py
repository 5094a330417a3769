"""Acknowledgements: "I am on it", said with the signed token that a stage's message carries.

An acknowledgement holds the following stages back. It never approves and never stops the expiry.
A token is a DSSE envelope, signed by the authority key. Its identity is its `jti`, one a delivery:
a message that is sent again carries another token of the same identity, so a second click on either
gets the same receipt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from domain import dsse
from domain.channels import GROUP_KINDS
from domain.errors import AckRefused
from domain.mint_request import MintStatus, utc_text
from domain.records import DeliveryJob, RequestRecord
from domain.runs import EventRun, RunState

ACK_TYPE: Final = "application/vnd.mintkeeper.ack+json"
PURPOSE: Final = "ack"
RUN_KIND: Final = "request.opened"
"""The event that starts the run of a mint request; part of its action hash."""

LIFETIME: Final = timedelta(hours=24)
"""A token is good for so long after its message was sent, and never beyond the request's own end."""

LONGEST_TOKEN: Final = 8192
"""Characters; ours have about 1,200."""

_frozen = ConfigDict(frozen=True)

Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AckRefusal(StrEnum):
    """Why an acknowledgement had no effect."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    WRONG_TENANT = "wrong_tenant"
    WRONG_PURPOSE = "wrong_purpose"
    WRONG_REQUEST = "wrong_request"
    INACTIVE_RECIPIENT = "inactive_recipient"
    REVOKED = "revoked"
    EXPIRED = "expired"
    ALREADY_ACKNOWLEDGED = "already_acknowledged"
    OVER = "over"
    INTERNAL = "internal"


class AckClaim(BaseModel):
    """What a token says once its signature is verified."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    tenant: Word
    delivery_id: Sha256
    expires_utc: AwareDatetime
    rule_id: Word
    """The escalation policy that sent the message."""
    action_hash: Sha256
    """Of (tenant, rule, subject, event kind): what was to be acted upon."""
    jti: Sha256
    sub: Word
    """The recipient: a user's name, or the group that the message was posted to."""
    purpose: Word
    request_id: Word
    stage: Annotated[int, Field(ge=0, le=100)]
    iat: Annotated[int, Field(ge=0)]
    """Unix seconds at which the message was sent."""
    by: Word | None = None
    """The user who pressed the button of a group's message, where its provider says who that was."""

    @property
    def actor(self) -> str:
        """In whose name it is acknowledged."""
        return self.by or self.sub

    @classmethod
    def for_delivery(cls, job: DeliveryJob, stage: int, now: datetime) -> AckClaim:
        """What the message of a stage lets its recipient say, sent at `now`."""
        return cls(
            tenant=job.tenant,
            delivery_id=job.id,
            expires_utc=min(now + LIFETIME, job.expires_at).astimezone(UTC),
            rule_id=job.rule_id,
            action_hash=job.action_hash or action_hash(job.tenant, job.rule_id, job.request_id),
            jti=_hash(PURPOSE, job.id),
            sub=job.recipient,
            purpose=PURPOSE,
            request_id=job.request_id,
            stage=stage,
            iat=int(now.timestamp()),
        )

    @classmethod
    def for_button(cls, subject: AckSubject, press: ButtonPress, by: str | None, now: datetime) -> AckClaim:
        """What pressing the button of a message says; it is good as long as the link beside it."""
        return cls(
            tenant=subject.tenant,
            delivery_id=press.delivery_id,
            expires_utc=min(press.sent_at + LIFETIME, subject.ends_at).astimezone(UTC),
            rule_id=subject.rule_id,
            action_hash=subject.action_hash,
            jti=_hash(PURPOSE, press.delivery_id),
            sub=press.recipient,
            purpose=PURPOSE,
            request_id=subject.request_id,
            stage=press.stage,
            iat=int(now.timestamp()),
            by=by,
        )


class ButtonPress(BaseModel):
    """The message whose button was pressed, found by the handle that the button carries."""

    model_config = _frozen

    delivery_id: str
    tenant: str
    request_id: str
    run_id: str | None
    recipient: str
    stage: int
    sent_at: AwareDatetime


class AckReceipt(BaseModel):
    """What the first use of a token has recorded; every later use of it gets the same."""

    model_config = _frozen

    request_id: str
    run_id: str | None = None
    """Of an operational event; None: the request's own run."""
    delivery_id: str
    jti: str
    stage: int
    acknowledged_by: str
    acknowledged_at: AwareDatetime
    token_sha256: str


class AckOutcome(BaseModel):
    """The answer to a token: the receipt, or the reason why it had no effect."""

    model_config = _frozen

    receipt: AckReceipt | None = None
    reason: AckRefusal | None = None
    message: str
    recorded: dict[str, Any] = {}
    """For a refusal: how the request stands, unless the token itself is not to be believed."""


class Addressee(BaseModel):
    """The delivery that a token speaks of, as the database has it."""

    model_config = _frozen

    tenant: str
    request_id: str
    run_id: str | None = None
    """Of an operational event; None: the request's own run."""
    recipient: str
    channel: str = ""
    channel_kind: str = ""
    stage: int | None
    active: bool
    """False when the recipient is a user who has left."""
    by_active: bool = True
    """False when the user in whose name it is acknowledged is none, or has left."""
    revoked: bool = False
    """Its links are worthless since they leaked."""

    @property
    def spoken_name(self) -> str:
        """Who it is in a log: a person, or the channel where a group was told, whose name is an address."""
        return self.channel if self.channel_kind in GROUP_KINDS else self.recipient


@dataclass(frozen=True)
class AckSubject:
    """The run that can be acknowledged, as it stands at one moment."""

    tenant: str
    request_id: str
    run_id: str | None
    """Of an operational event; None: the request's own run."""
    rule_id: str
    action_hash: str
    ends_at: datetime
    over: str
    """Why nothing is left to acknowledge; empty: something is."""
    on_it: str
    """Who keeps the stages back, and since when, in words; empty: nobody does."""
    recorded: Mapping[str, Any]
    """How it stands, for the answer to a token that came too late."""

    @classmethod
    def of_request(cls, record: RequestRecord, now: datetime) -> AckSubject:
        """The run inside the request's own workflow."""
        request, rule_id = record.request, record.policy.id
        over = "the escalation is cancelled already" if record.escalation_cancelled_at is not None else ""
        if record.status is not MintStatus.PENDING:
            over = f"the request is {record.status} already"
        return cls(
            tenant=request.tenant,
            request_id=request.id,
            run_id=None,
            rule_id=rule_id,
            action_hash=action_hash(request.tenant, rule_id, request.id),
            ends_at=record.expires_at,
            over=over,
            on_it=_on_it(record, now),
            recorded={"request_id": request.id, "status": record.status.value} | _standing(record),
        )

    @classmethod
    def of_run(cls, run: EventRun, now: datetime) -> AckSubject:
        """The run of an operational event."""
        over = "" if run.state is RunState.RUNNING else f"the escalation is {run.state} already"
        return cls(
            tenant=run.tenant,
            request_id=run.request_id,
            run_id=run.id,
            rule_id=run.rule_id,
            action_hash=run.action_hash,
            ends_at=run.closes_at or run.started_at,
            over=over,
            on_it="" if over else _on_it(run, now),
            recorded={"request_id": run.request_id, "run_id": run.id, "status": run.state.value}
            | _standing(run),
        )


class Authority:
    """The server's own Ed25519 keys: the first one signs, all of them verify, so that keys can rotate."""

    def __init__(self, keys: Sequence[Ed25519PrivateKey] = ()) -> None:
        self._keys = tuple(keys)

    @property
    def keys(self) -> Sequence[Ed25519PrivateKey]:
        """The keys at this moment."""
        return self._keys

    @property
    def has_keys(self) -> bool:
        """Whether it can sign and verify at all."""
        return bool(self.keys)

    @property
    def public_keys(self) -> tuple[bytes, ...]:
        """The raw public keys, in the same order."""
        return tuple(key.public_key().public_bytes_raw() for key in self.keys)

    def issue(self, claim: AckClaim) -> str:
        """Sign a token; there must be a key."""
        payload = rfc8785.dumps(claim.model_dump(mode="json", by_alias=True, exclude_none=True))
        return encode(dsse.sign(payload, ACK_TYPE, self.keys[0]))

    def verify(self, envelope: dsse.Envelope) -> AckClaim:
        """The claim in the very bytes that one of our keys signed; raises AckRefused."""
        try:
            payload = dsse.verify(envelope, ACK_TYPE, self.public_keys)
        except dsse.EnvelopeRefused as error:
            raise AckRefused("this link was not signed by us", AckRefusal.BAD_SIGNATURE) from error
        claim = parse_claim(payload)
        if claim.purpose != PURPOSE:
            raise AckRefused("this link is for another purpose", AckRefusal.WRONG_PURPOSE)
        return claim


NO_AUTHORITY: Final = Authority()
"""Without keys: messages carry no link, and nobody's token is believed."""


def action_hash(tenant: str, rule_id: str, subject: str, event_kind: str = RUN_KIND) -> str:
    """SHA-256 (hex) of what a run is about."""
    return _hash(tenant, rule_id, subject, event_kind)


def encode(envelope: dsse.Envelope) -> str:
    """The token: base64url, without padding, of the envelope's canonical JSON."""
    document = rfc8785.dumps(envelope.model_dump(mode="json", by_alias=True))
    return base64.urlsafe_b64encode(document).decode().rstrip("=")


def decode(token: str) -> dsse.Envelope:
    """The envelope in a token of either base64 alphabet; raises AckRefused. Nothing is verified yet."""
    if not 0 < len(token) <= LONGEST_TOKEN:
        raise _malformed()
    standard = token.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        document = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        # the cause is cut off, here and below: it may quote the token
        raise _malformed() from None
    return read_envelope(document)


def read_envelope(document: Any) -> dsse.Envelope:
    """An envelope from JSON text or a JSON object of any shape; raises AckRefused."""
    try:
        if isinstance(document, bytes):
            return dsse.Envelope.model_validate_json(document)
        return dsse.Envelope.model_validate(document)
    except ValidationError:
        raise _malformed() from None


def parse_claim(payload: bytes) -> AckClaim:
    """Read a payload; raises AckRefused. Whether to believe it is the signature's matter."""
    try:
        return AckClaim.model_validate_json(payload)
    except ValidationError:
        raise _malformed() from None


def token_sha256(envelope: dsse.Envelope) -> str:
    """SHA-256 (hex) of the token as we issue it, whatever alphabet it came in: all that is ever stored."""
    return hashlib.sha256(encode(envelope).encode()).hexdigest()


def link_sha256(link: str) -> str:
    """The same of the token at the end of an acknowledgement link of ours; empty for no link."""
    return hashlib.sha256(link.rpartition("/")[2].encode()).hexdigest() if link else ""


def check_addressee(claim: AckClaim, subject: AckSubject, addressee: Addressee | None) -> None:
    """Raise AckRefused unless the token belongs to this run and to a message of it."""
    if claim.tenant != subject.tenant:
        raise AckRefused("this link is for another tenant", AckRefusal.WRONG_TENANT)
    said = (claim.request_id, claim.rule_id, claim.action_hash)
    expected = (subject.tenant, subject.request_id, subject.run_id, claim.sub, claim.stage)
    if (
        addressee is None
        or said != (subject.request_id, subject.rule_id, subject.action_hash)
        or _who(addressee) != expected
    ):
        raise AckRefused("this link belongs to another request or message", AckRefusal.WRONG_REQUEST)
    if addressee.revoked:
        raise AckRefused(
            "this link was revoked: use the one of another message, or tell an operator", AckRefusal.REVOKED
        )
    if not (addressee.active and addressee.by_active):
        raise AckRefused(f"{claim.actor} is not active any more", AckRefusal.INACTIVE_RECIPIENT)


def check_open(claim: AckClaim, subject: AckSubject, now: datetime) -> None:
    """Raise AckRefused unless a token that was not used before may take effect at `now`."""
    if now >= min(claim.expires_utc, subject.ends_at):
        raise AckRefused("this link has expired", AckRefusal.EXPIRED, subject.recorded)
    check_subject(subject)


def check_subject(subject: AckSubject) -> None:
    """Raise AckRefused unless there is something left to acknowledge, and nobody has."""
    if subject.over:
        message = f"{subject.over}: nothing is left to acknowledge"
        raise AckRefused(message, AckRefusal.OVER, subject.recorded)
    if subject.on_it:
        raise AckRefused(subject.on_it, AckRefusal.ALREADY_ACKNOWLEDGED, subject.recorded)


def _who(addressee: Addressee) -> tuple[str, str, str | None, str, int | None]:
    return (addressee.tenant, addressee.request_id, addressee.run_id, addressee.recipient, addressee.stage)


def _on_it(record: RequestRecord | EventRun, now: datetime) -> str:
    if record.acknowledged_at is None or not record.escalation().is_held(now):
        return ""
    return f"{record.acknowledged_by} is on it already, since {utc_text(record.acknowledged_at)}"


def _standing(record: RequestRecord | EventRun) -> dict[str, Any]:
    on_it = None
    if record.acknowledged_at is not None:
        on_it = {"by": record.acknowledged_by, "at": utc_text(record.acknowledged_at.astimezone(UTC))}
    return {"reason": record.reason, "acknowledged": on_it}


def _malformed() -> AckRefused:
    return AckRefused("this is no acknowledgement link: copy it whole from the message", AckRefusal.MALFORMED)


def _hash(*parts: str) -> str:
    return hashlib.sha256(rfc8785.dumps(list(parts))).hexdigest()
