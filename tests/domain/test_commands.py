"""Signed commands: by whom, for what, and how long."""

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.commands import (
    ADMINS,
    ADMINS_AND_APPROVERS,
    COMMAND_TYPE,
    TOLERANCE,
    Command,
    CommandAction,
    claimed,
    read_envelope,
    sign_command,
    verify_command,
)
from domain.dsse import Envelope, sign
from domain.errors import CommandRefused, InvalidInput
from tests.domain.factories import START, make_signer

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
TICK = timedelta(microseconds=1)


def make_command(**changes):
    """A command to cancel a run's stages."""
    values = {
        "tenant": "acme",
        "actor": "alice",
        "action": CommandAction.CANCEL_ESCALATION,
        "target": "mr_1",
        "body": {"reason": "a drill"},
        "id": "cm_0000000000000000",
        "issued_at": START,
    }
    return Command(**(values | changes))


def verify(command=None, *, key=KEY, signer=None, **changes):
    """Sign and verify a command as a handler does."""
    values = {
        "action": CommandAction.CANCEL_ESCALATION,
        "target": "mr_1",
        "roles": ADMINS_AND_APPROVERS,
        "now": START,
    }
    envelope = sign_command(command or make_command(), key)
    return verify_command(envelope, signer or make_signer(public_keys=(PUBLIC,)), **(values | changes))


def refused(reason, *arguments, **changes):
    """Check that the command is refused for that reason."""
    with pytest.raises(CommandRefused) as error:
        verify(*arguments, **changes)
    assert error.value.reason == reason


def test_a_good_command_comes_back_as_it_was_signed():
    """From the very bytes that were verified."""
    assert verify() == make_command()
    assert verify(target=None) == make_command()


def test_roles_are_the_routes_own():
    """An approver may stop a run's stages, and change no policy."""
    refused("not_entitled", roles=ADMINS)
    for role in ("requester", "auditor"):
        refused("not_entitled", signer=make_signer(roles=frozenset({role}), public_keys=(PUBLIC,)))
    admin = make_signer(roles=frozenset({"admin"}), public_keys=(PUBLIC,))
    assert verify(signer=admin, roles=ADMINS).actor == "alice"


def test_it_is_good_for_five_minutes_either_way():
    """To the microsecond; a clock that is a little ahead is no reason to refuse."""
    for now in (START - TOLERANCE, START + TOLERANCE):
        assert verify(now=now).target == "mr_1"
    for now in (START - TOLERANCE - TICK, START + TOLERANCE + TICK):
        refused("stale", now=now)


def test_it_is_good_for_what_it_says_only():
    """Action, target, tenant and actor are all under the signature."""
    refused("wrong_action", action=CommandAction.RESUME_ESCALATION)
    refused("wrong_target", target="mr_2")
    refused("wrong_tenant", signer=make_signer(tenant="other", public_keys=(PUBLIC,)))
    refused("wrong_tenant", signer=make_signer(name="bob", public_keys=(PUBLIC,)))


def test_who_is_unknown_gone_or_forged_commands_nothing():
    """A key that is not registered, or a user who has left."""
    refused("bad_signature", key=OTHER)
    refused("bad_signature", signer=make_signer(public_keys=()))
    refused("inactive_actor", signer=make_signer(active=False, public_keys=(PUBLIC,)))
    with pytest.raises(CommandRefused, match="nobody of that name"):
        verify_command(
            sign_command(make_command(), KEY), None, action=CommandAction.CANCEL_ESCALATION,
            target="mr_1", roles=ADMINS, now=START,
        )  # fmt: skip


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"null", b'{"tenant": "acme"}', make_command().model_dump_json().encode() + b" x"],
)
def test_what_is_no_command_is_malformed(payload):
    """Even under a true signature."""
    with pytest.raises(CommandRefused) as error:
        claimed(sign(payload, COMMAND_TYPE, KEY))
    assert error.value.reason == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "short"},
        {"id": "cm_00000000000000/0"},
        {"actor": ""},
        {"action": "policy.burn"},
        {"target": ""},
        {"issuedAt": "2026-11-22T08:00:00"},
        {"surprise": 1},
        {"body": []},
    ],
)
def test_every_field_is_checked(changes):
    """A moment without a zone, an unknown action or field, an id that could be anything."""
    document = make_command().model_dump(mode="json", by_alias=True) | changes
    with pytest.raises(CommandRefused):
        Command.parse(json.dumps(document).encode())


def test_an_envelope_that_is_not_base64_is_malformed():
    """Before anybody's key is looked for."""
    envelope = sign_command(make_command(), KEY)
    broken = Envelope(payload="§", payload_type=envelope.payload_type, signatures=envelope.signatures)
    with pytest.raises(CommandRefused, match="base64"):
        claimed(read_envelope(broken.model_dump_json(by_alias=True).encode()))


def test_what_does_not_fit_is_not_signed():
    """A body that is too long, or has numbers that canonical JSON lacks."""
    for body in ({"a": "x" * 30_000}, {"a": 2**60}):
        with pytest.raises(InvalidInput) as error:
            sign_command(make_command(body=body), KEY)
        assert error.value.field == "body"
