"""Signed commands: how somebody changes something over HTTP, where nobody is signed in.

A command is a DSSE envelope by the actor's registered key. It says what, on what and when, and is good
for once: its id is stored in the transaction of its effect.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from domain import dsse
from domain.approvals import ActorRole, Method
from domain.errors import CommandRefused, InvalidInput
from domain.records import Signer
from domain.text import UserName

COMMAND_TYPE: Final = "application/vnd.mintkeeper.command+json"
"""DSSE payload type of a command."""

TOLERANCE: Final = timedelta(minutes=5)
"""How far the moment of signing may be from now, either way."""

ADMINS: Final[Set[ActorRole]] = frozenset({"admin"})
"""Who may change policies."""

ADMINS_AND_APPROVERS: Final[Set[ActorRole]] = frozenset({"admin", "approver"})
"""Who may stop or resume a run's stages."""


EVERYBODY: Final[Set[ActorRole]] = frozenset({"requester", "approver", "admin", "auditor"})
"""Who may take part in a conversation."""


class CommandAction(StrEnum):
    """What a command may do."""

    PUBLISH_POLICY = "policy.publish"
    SWITCH_POLICY = "policy.switch"
    DELETE_POLICY = "policy.delete"
    CANCEL_ESCALATION = "escalation.cancel"
    RESUME_ESCALATION = "escalation.resume"
    SET_ENTRY = "dictionary.set"
    REMOVE_ENTRY = "dictionary.remove"
    APPLY_CONFIGURATION = "config.apply"
    REQUEST_COMMENT = "request.comment"
    REQUEST_ATTACH = "request.attach"
    SET_ABSENCE = "absence.set"
    END_ABSENCE = "absence.end"


VOUCHED: Final[Set[CommandAction]] = frozenset(
    {CommandAction.CANCEL_ESCALATION, CommandAction.RESUME_ESCALATION}
)
"""What the server may sign for somebody who has signed in; everything else is done with one's own key."""


class CommandRefusal(StrEnum):
    """Why a command had no effect; stable words for API clients."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_ACTOR = "unknown_actor"
    INACTIVE_ACTOR = "inactive_actor"
    NOT_ENTITLED = "not_entitled"
    WRONG_TENANT = "wrong_tenant"
    WRONG_ACTION = "wrong_action"
    WRONG_TARGET = "wrong_target"
    STALE = "stale"
    REPLAYED = "replayed"


class Command(BaseModel):
    """The signed content."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    tenant: Annotated[str, Field(min_length=1, max_length=63)]
    actor: UserName
    action: CommandAction
    target: Annotated[str, Field(min_length=1, max_length=160)]
    """The id of the policy or run that it is about."""
    body: dict[str, Any] = {}
    """What the action needs beside its target: the policy to publish, the reason to cancel."""
    id: Annotated[str, Field(min_length=16, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
    issued_at: AwareDatetime
    amr: Annotated[tuple[Method, ...], Field(max_length=8)] = ()
    """How the actor was authenticated by the server, which then signed for them; empty: their own key."""

    @classmethod
    def parse(cls, payload: bytes) -> Command:
        """Read the very bytes that were verified; raises CommandRefused."""
        try:
            return cls.model_validate_json(payload)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "payload"
            raise _malformed(f"the command's {where} is not valid: {first['msg']}") from error


def sign_command(command: Command, key: Ed25519PrivateKey) -> dsse.Envelope:
    """Sign the canonical JSON (RFC 8785) of a command; raises InvalidInput for a body that is too long."""
    try:
        # without `amr` where there is none
        content = command.model_dump(mode="json", by_alias=True, exclude=set() if command.amr else {"amr"})
        payload = rfc8785.dumps(content)
    except rfc8785.CanonicalizationError as error:
        raise InvalidInput(f"the body can't be signed: {error}", "body") from error
    if len(payload) > dsse.MAX_PAYLOAD:
        raise InvalidInput(f"the command has {len(payload)} bytes; at most {dsse.MAX_PAYLOAD} fit", "body")
    return dsse.sign(payload, COMMAND_TYPE, key)


def read_envelope(document: bytes) -> dsse.Envelope:
    """The envelope in the body of an HTTP request; raises CommandRefused. Nothing is verified yet."""
    try:
        return dsse.Envelope.model_validate_json(document)
    except ValidationError as error:
        raise _malformed("this is no signed command: make one with 'mintkeeper keys sign'") from error


def claimed(envelope: dsse.Envelope) -> Command:
    """What the command says, unverified, only to find out whose keys to try; raises CommandRefused."""
    try:
        return Command.parse(dsse.unverified_payload(envelope))
    except dsse.EnvelopeRefused as error:
        raise _malformed(error.message) from error


def verify_command(
    envelope: dsse.Envelope,
    signer: Signer | None,
    *,
    action: CommandAction,
    target: str | None,
    roles: Set[ActorRole],
    now: datetime,
    authority: Sequence[bytes] = (),
) -> Command:
    """The command that the signer gave for this action and target, at about `now`; raises CommandRefused.

    `signer` is the user whom the unverified command names (None: there is none). `target` None: any,
    where the body says which. One of `roles` is enough. `authority` are the server's own public keys,
    which sign for those who have signed in, and for the actions in VOUCHED only.
    """
    if signer is None:
        raise CommandRefused("nobody of that name is registered in that tenant", CommandRefusal.UNKNOWN_ACTOR)
    try:
        vouched = bool(claimed(envelope).amr)
        keys = (authority if action in VOUCHED else ()) if vouched else signer.public_keys
        payload = dsse.verify(envelope, COMMAND_TYPE, keys)
    except dsse.EnvelopeRefused as error:
        raise CommandRefused(error.message, CommandRefusal.BAD_SIGNATURE) from error
    command = Command.parse(payload)
    _check_person(command, signer, roles)
    _check_purpose(command, action, target)
    _check_time(command, now)
    return command


def _check_person(command: Command, signer: Signer, roles: Set[ActorRole]) -> None:
    if (command.tenant, command.actor) != (signer.tenant, signer.name):
        raise CommandRefused("the command was signed for somebody else", CommandRefusal.WRONG_TENANT)
    if not signer.active:
        raise CommandRefused(f"{signer.name} is not active", CommandRefusal.INACTIVE_ACTOR)
    if not roles & signer.roles:
        needed = " or ".join(sorted(roles))
        raise CommandRefused(f"{signer.name} is no {needed} of {signer.tenant}", CommandRefusal.NOT_ENTITLED)


def _check_purpose(command: Command, action: CommandAction, target: str | None) -> None:
    if command.action is not action:
        raise CommandRefused(
            f"the command was signed for {command.action}, not for {action}", CommandRefusal.WRONG_ACTION
        )
    if target is not None and command.target != target:
        raise CommandRefused("the command was signed for another target", CommandRefusal.WRONG_TARGET)


def _check_time(command: Command, now: datetime) -> None:
    if abs(now - command.issued_at) > TOLERANCE:
        raise CommandRefused(
            f"the command was signed at {command.issued_at.isoformat()}, more than "
            f"{TOLERANCE.seconds // 60} minutes from now: sign it anew",
            CommandRefusal.STALE,
        )


def _malformed(message: str) -> CommandRefused:
    return CommandRefused(message, CommandRefusal.MALFORMED)
