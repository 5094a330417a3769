"""Stellar account addresses: a version byte, an Ed25519 key and a CRC16 checksum, in base32 (SEP-23)."""

from __future__ import annotations

import base64
import binascii

from domain.errors import InvalidInput

_ACCOUNT_VERSION = 6 << 3


def is_account_id(text: str) -> bool:
    """Tell whether `text` is a valid `G…` account id, checksum included."""
    if len(text) != 56 or not text.startswith("G") or not text.isascii():
        return False
    try:
        raw = base64.b32decode(text)
    except binascii.Error:
        return False
    body, checksum = raw[:-2], raw[-2:]
    return body[0] == _ACCOUNT_VERSION and binascii.crc_hqx(body, 0).to_bytes(2, "little") == checksum


def check_destination(destination: str, issuer: str) -> str:
    """Accept an account that can receive a mint.

    Raises InvalidInput for anything but a plain account: a muxed address shares its account's
    trustline, which would let two digests name one holder; the issuer itself holds no trustline.
    """
    if destination.startswith("M"):
        raise InvalidInput("destination is a muxed address (M…): give the account (G…) behind it", "destination")
    if not is_account_id(destination):
        raise InvalidInput(f"destination {destination!r} is not a Stellar account (G…)", "destination")
    if destination == issuer:
        raise InvalidInput("destination is the issuer itself: minting to it would burn the amount", "destination")
    return destination
