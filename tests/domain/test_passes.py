"""Passes and codes: nothing but what was issued is believed, and nothing can be guessed from it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.codes import code_of, hash_of, is_right, new_code_id, readable
from domain.errors import AccessRefused, ConfigurationError
from domain.passes import PassPurpose, SessionSecret, check_pass, issue_pass, open_secret

SECRET = SessionSecret("0123456789abcdef" * 2)
OTHER = SessionSecret("0123456789abcdeg" * 2)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = NOW + timedelta(minutes=30)
PASS = issue_pass(SECRET, PassPurpose.TRACK, "mr_1", LATER)


def check(token, **changes):
    """Why a token is refused; None: it is not."""
    given_ = {"purpose": PassPurpose.TRACK, "subject": "mr_1", "now": NOW} | changes
    try:
        check_pass(SECRET, token, **given_)
    except AccessRefused as refusal:
        return refusal.reason
    return None


def test_a_pass_is_good_for_its_purpose_and_subject_until_it_expires():
    """And for nothing else."""
    assert check(PASS) is None
    assert check(PASS, now=LATER - timedelta(seconds=1)) is None
    assert check(PASS, now=LATER) == "expired"
    assert check(PASS, subject="mr_2") == "other_subject"
    assert check(PASS, subject="") == "other_subject"
    assert check(PASS, purpose=PassPurpose.UPLOAD) == "other_subject"


@given(st.text(max_size=2000))
def test_no_text_is_a_pass(text):
    """Whatever somebody sends."""
    assert check(text) in ("no_pass", "forged")


@given(st.integers(0, len(PASS) - 1), st.characters())
def test_no_change_to_a_pass_survives(place, char):
    """Not a single character."""
    changed = PASS[:place] + char + PASS[place + 1 :]
    assert changed == PASS or check(changed) == "forged"


def test_another_secret_s_pass_is_forged():
    """Two houses do not open each other's doors."""
    assert check(issue_pass(OTHER, PassPurpose.TRACK, "mr_1", LATER)) == "forged"


@pytest.mark.parametrize("setting", ["", "short", "x" * 31])
def test_a_secret_that_is_missing_or_short_is_refused(setting):
    """With the name of the setting, and without what it holds."""
    with pytest.raises(ConfigurationError, match="MINTKEEPER_SESSION_SECRET") as caught:
        open_secret(setting)
    assert not setting or setting not in str(caught.value)


def test_keys_of_two_purposes_have_nothing_in_common():
    """Nor do parts that are cut differently."""
    assert SECRET.mac("codes", "a") != SECRET.mac("pass", "a")
    assert SECRET.mac("codes", "a", "b") != SECRET.mac("codes", "ab")


def test_codes_are_six_digits_and_spread():
    """A thousand codes: leading zeros stay, and hardly any two are the same."""
    codes = {code_of(SECRET, new_code_id()) for _ in range(1000)}
    assert all(len(code) == 6 and code.isdecimal() for code in codes)
    assert len(codes) > 990


def test_a_hash_is_of_one_code_row_and_secret():
    """The same code of another row is wrong."""
    stored = hash_of(SECRET, "otc_1", "123456")
    assert is_right(SECRET, "otc_1", stored, "123456")
    assert not is_right(SECRET, "otc_2", stored, "123456")
    assert not is_right(OTHER, "otc_1", stored, "123456")
    assert not is_right(SECRET, "otc_1", stored, "123457")


@given(st.text(max_size=40))
def test_what_is_read_as_a_code_is_six_digits(typed):
    """Or nothing."""
    found = readable(typed)
    assert found is None or (len(found) == 6 and set(found) <= set("0123456789"))
