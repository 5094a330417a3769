"""Commands that the server signs for somebody who has signed in: for two actions, and by its own key only."""

import pytest

from domain.commands import VOUCHED, CommandAction, CommandRefusal
from tests.domain.factories import make_signer
from tests.domain.test_commands import KEY, OTHER, PUBLIC, make_command, refused, verify

AUTHORITY = (OTHER.public_key().public_bytes_raw(),)
AMR = ("pwd", "otp")


def test_the_authority_speaks_for_who_has_signed_in():
    """What says how its actor was authenticated is believed by the authority's signature."""
    vouched = make_command(amr=AMR)
    assert verify(vouched, key=OTHER, authority=AUTHORITY) == vouched


def test_a_command_without_it_is_signed_as_before():
    """The bytes of a command by one's own key know nothing of it."""
    assert "amr" not in make_command().model_dump(exclude_defaults=True)
    assert verify() == make_command()


def test_one_s_own_key_does_not_say_how_one_was_authenticated():
    """An own key signs no `amr`, and the authority signs nothing without one."""
    refused(CommandRefusal.BAD_SIGNATURE, make_command(amr=AMR), key=KEY, authority=AUTHORITY)
    refused(CommandRefusal.BAD_SIGNATURE, make_command(), key=OTHER, authority=AUTHORITY)


def test_where_no_authority_is_given_none_is_believed():
    """The handlers of other commands give none."""
    refused(CommandRefusal.BAD_SIGNATURE, make_command(amr=AMR), key=OTHER)


@pytest.mark.parametrize("action", sorted(set(CommandAction) - VOUCHED))
def test_the_authority_vouches_for_runs_only(action):
    """A stolen authority key changes no dictionary, no policy and nobody's absence."""
    command = make_command(amr=AMR, action=action)
    refused(CommandRefusal.BAD_SIGNATURE, command, key=OTHER, action=action, authority=AUTHORITY)


def test_who_is_not_entitled_is_not_by_vouching_either():
    """Role, tenant and being active are looked at as ever."""
    wanted = make_command(amr=AMR)
    for changes, reason in (
        ({"roles": frozenset({"requester"})}, CommandRefusal.NOT_ENTITLED),
        ({"active": False}, CommandRefusal.INACTIVE_ACTOR),
        ({"tenant": "rival"}, CommandRefusal.WRONG_TENANT),
    ):
        signer = make_signer(public_keys=(PUBLIC,), **changes)
        refused(reason, wanted, key=OTHER, authority=AUTHORITY, signer=signer)
