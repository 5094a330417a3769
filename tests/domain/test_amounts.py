from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.amounts import MAX_STROOPS, Asset, format_amount, parse_amount
from domain.errors import InvalidInput
from domain.strkey import check_destination
from tests.domain.factories import DESTINATION, ISSUER

REFUSED = [
    "0", "0.0000000", "-1", "+1", "1e5", "NaN", "Infinity", "inf", "", " ", ".5", "5.", "1,000", "1 000",
    "0x10", "01", "1.00000000", "922337203685.4775808", "9" * 40, "9" * 6000, "１２", "1.5\x00", "٣",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_only_plain_positive_decimals_are_amounts(text):
    """No sign, exponent, eighth decimal, zero or overflow gets through, and the error names the field."""
    with pytest.raises(InvalidInput) as caught:
        parse_amount(text)
    assert caught.value.field == "amount"


@given(st.integers(min_value=1, max_value=MAX_STROOPS))
def test_an_amount_survives_writing_and_reading(stroops):
    """Every stroop amount of the ledger is written with 7 places and read back exactly."""
    text = format_amount(stroops)
    assert len(text.partition(".")[2]) == 7
    assert parse_amount(text) == stroops


@given(st.decimals(min_value=Decimal("0.0000001"), max_value=Decimal("922337203685"), places=7))
def test_an_amount_means_what_decimal_arithmetic_says(value):
    """Reading equals an independent computation with Decimal."""
    assert parse_amount(f"{value:f}") == int(value * 10_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "EURT",
        f"EURT{ISSUER}",
        f":{ISSUER}",
        f"ABCDEFGHIJKLM:{ISSUER}",
        f"EU-T:{ISSUER}",
        "EURT:GABC",
        f"€:{ISSUER}",
    ],
)
def test_malformed_assets_are_refused(text):
    """A code of 13 characters, no issuer or a broken issuer is no asset."""
    with pytest.raises(InvalidInput) as caught:
        Asset.parse(text)
    assert caught.value.field == "asset"


def test_an_asset_reads_and_writes_as_code_and_issuer():
    """CODE:ISSUER there and back."""
    assert str(Asset.parse(f"EURT:{ISSUER}")) == f"EURT:{ISSUER}"


@pytest.mark.parametrize(
    ("destination", "word"),
    [
        (ISSUER, "issuer"),
        ("MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJUAAAAAAAAAAAACJUQ", "muxed"),
        (DESTINATION[:-1] + "A", "not a Stellar account"),
        (DESTINATION.lower(), "not a Stellar account"),
        ("", "not a Stellar account"),
    ],
)
def test_only_a_plain_account_can_receive_a_mint(destination, word):
    """Muxed, issuer, mistyped or empty destinations are refused with the reason."""
    with pytest.raises(InvalidInput, match=word):
        check_destination(destination, ISSUER)


def test_a_plain_account_is_accepted_as_destination():
    """A valid account id passes unchanged."""
    assert check_destination(DESTINATION, ISSUER) == DESTINATION
