"""Destinations that are not ready: which form a mint takes, and what is refused before anything is signed."""

import pytest

from domain import destination
from domain.errors import PrecheckFailed
from domain.ledger_accounts import NoAccount
from domain.ledger_options import LedgerOptions, MintForm, MintPlan
from tests.support.mints import CHANNEL, HOLDER, ISSUER, a_line, a_request, an_account

NOW = 1_900_000_000
NOTHING = LedgerOptions()
EVERYTHING = LedgerOptions(auth_sandwich=True, claimable_balance=True)


def choose(line, options=NOTHING):
    """The plan for a destination with this trustline, or none."""
    holder = an_account(HOLDER.public_key, lines=[line] if line else [])
    return destination.choose_plan(a_request(), options, holder, NOW)


@pytest.mark.parametrize("options", [NOTHING, EVERYTHING])
@pytest.mark.parametrize("line", [
    a_line(), a_line(limit="2500.0000000"), a_line(limit="2600.0000000", balance="100.0000000"),
])  # fmt: skip
def test_an_authorised_line_with_room_gets_a_payment(line, options):
    """The amount may fill the line exactly; no option changes what already works."""
    assert choose(line, options) == MintPlan()


@pytest.mark.parametrize(("line", "words"), [
    (None, "has no trustline"),
    (a_line(authorized=False), "not authorised"),
    (a_line(limit="2499.9999999"), "has room for 2499.9999999 only"),
    (a_line(limit="2500.0000000", balance="0.0000001"), "has room for 2499.9999999 only"),
    (a_line(limit="2500.0000000", liabilities="1.0000000"), "has room for 2499.0000000 only"),
    (a_line(limit="1.0000000", balance="2.0000000"), "has room for 0.0000000 only"),
])  # fmt: skip
def test_a_destination_that_cannot_take_the_amount_is_refused(line, words):
    """The reason says in plain words what is missing on the ledger."""
    with pytest.raises(PrecheckFailed, match=words):
        choose(line)


@pytest.mark.parametrize(("line", "option"), [
    (None, "claimable_balance"), (a_line(authorized=False), "auth_sandwich"),
])  # fmt: skip
def test_a_refusal_names_the_option_that_would_help(line, option):
    """An admin reads which option could be switched on, and by which command."""
    with pytest.raises(PrecheckFailed, match=f"{option}.*mintkeeper tenant set"):
        choose(line)


@pytest.mark.parametrize("options", [NOTHING, EVERYTHING])
def test_a_missing_destination_is_refused(options):
    """Neither a payment nor an option creates an account."""
    with pytest.raises(PrecheckFailed, match="does not exist on the ledger"):
        destination.choose_plan(a_request(), options, NoAccount(HOLDER.public_key, 7), NOW)


def test_a_line_of_another_issuer_does_not_count():
    """Only code and issuer together name an asset."""
    with pytest.raises(PrecheckFailed, match="has no trustline"):
        choose(a_line() | {"asset_issuer": CHANNEL.public_key})


@pytest.mark.parametrize(("maintains", "flags"), [(False, 0), (True, 2)])
def test_an_unauthorised_line_gets_the_sandwich(maintains, flags):
    """The plan remembers what the line's authorisation was, so that exactly that is restored."""
    plan = choose(a_line(authorized=False, maintains=maintains), EVERYTHING)
    assert plan == MintPlan(form=MintForm.AUTH_SANDWICH, line_flags=flags)


def test_the_sandwich_needs_room_too():
    """Authorising a full line would help nobody."""
    with pytest.raises(PrecheckFailed, match="has room"):
        choose(a_line(limit="1.0000000", authorized=False), EVERYTHING)


def test_a_missing_line_gets_a_claimable_balance():
    """The time to claim counts from the ledger's clock."""
    plan = choose(None, LedgerOptions(claimable_balance=True, reclaim_after_days=3))
    assert plan == MintPlan(form=MintForm.CLAIMABLE_BALANCE, reclaim_from=NOW + 3 * 86_400)


@pytest.mark.parametrize("line", [None, a_line(authorized=False)])
def test_one_option_does_not_stand_for_the_other(line):
    """Each form is allowed by itself."""
    with pytest.raises(PrecheckFailed):
        choose(line, LedgerOptions(auth_sandwich=line is None, claimable_balance=line is not None))


SANDWICH = MintPlan(form=MintForm.AUTH_SANDWICH)
CLAIMABLE = MintPlan(form=MintForm.CLAIMABLE_BALANCE, reclaim_from=NOW)


@pytest.mark.parametrize(("plan", "issuer", "words"), [
    (SANDWICH, {"revocable": False}, "needs AUTH_REVOCABLE"),
    (SANDWICH, {"revocable": True, "low": 2}, "has weight 1 where changing a trustline's flags needs 2"),
    (CLAIMABLE, {"native": "1.9999999"}, "has not the 1.0000000 native units to spare"),
    (CLAIMABLE, {"native": "2.9999999", "entries": 1, "sponsoring": 1}, "to spare"),
])  # fmt: skip
def test_an_issuer_without_the_means_is_refused(plan, issuer, words):
    """What the form needs beyond a payment is checked before anything is signed."""
    with pytest.raises(PrecheckFailed, match=words):
        destination.judge_means(a_request(), plan, an_account(ISSUER.public_key, **issuer))


@pytest.mark.parametrize(("plan", "issuer"), [
    (MintPlan(), {"native": "1.0000000", "low": 9}),
    (SANDWICH, {"revocable": True, "low": 1, "native": "1.0000000"}),
    (CLAIMABLE, {"native": "2.0000000"}),
    (CLAIMABLE, {"native": "3.0000000", "entries": 1, "sponsoring": 1}),
])  # fmt: skip
def test_an_issuer_with_the_means_is_fine(plan, issuer):
    """A plain payment needs nothing more; the others exactly their flag, weight or reserve."""
    assert destination.judge_means(a_request(), plan, an_account(ISSUER.public_key, **issuer)) is None
