"""Stellar addresses: what may be an issuer or a destination (SEP-23)."""

from __future__ import annotations

from domain.errors import InvalidInput


def is_account_id(text: str) -> bool:
    """Tell whether `text` is a valid `G…` account id, checksum included."""
    # imported here: the package takes half a second to load, and most commands never check an address
    from stellar_sdk import StrKey

    return StrKey.is_valid_ed25519_public_key(text)


def check_destination(destination: str, issuer: str) -> str:
    """Accept an account that can receive a mint.

    Raises InvalidInput for anything but a plain account: a muxed address shares its account's
    trustline, which would let two digests name one holder; paying the issuer would burn the amount.
    """
    if destination.startswith("M"):
        raise InvalidInput(
            "destination is a muxed address (M…): give the account (G…) behind it", "destination"
        )
    if not is_account_id(destination):
        raise InvalidInput(f"destination {destination!r} is not a Stellar account (G…)", "destination")
    if destination == issuer:
        raise InvalidInput("destination is the issuer itself: that would burn, not mint", "destination")
    return destination
