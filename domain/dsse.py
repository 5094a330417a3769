"""DSSE envelopes (Dead Simple Signing Envelope, v1.0.2) with Ed25519.

Verify, then check the payload type, then parse the very bytes that were verified. `keyid` is an
unauthenticated hint: every trusted key is tried and the hint decides nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from domain.errors import MintkeeperError

MAX_PAYLOAD = 24_576
"""Bytes that may be signed: 32 KiB once they are base64."""


class EnvelopeRefused(MintkeeperError):
    """The envelope is malformed, of another payload type, or no trusted key signed it."""

    code = "envelope_refused"


class Signature(BaseModel):
    """One signature over the envelope's PAE."""

    model_config = ConfigDict(frozen=True)

    keyid: Annotated[str, Field(max_length=128)] = ""
    sig: Annotated[str, Field(max_length=128)]


class Envelope(BaseModel):
    """The JSON form of a DSSE envelope; unknown fields are ignored, as the specification asks."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    payload: Annotated[str, Field(max_length=MAX_PAYLOAD // 3 * 4)]
    payload_type: Annotated[str, Field(alias="payloadType", max_length=200)]
    signatures: Annotated[list[Signature], Field(min_length=1, max_length=8)]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: what is really signed. Lengths count bytes, not characters."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(public_key: bytes) -> str:
    """A short hint for a raw 32-byte Ed25519 public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def sign(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> Envelope:
    """Wrap and sign `payload`."""
    signature = key.sign(pae(payload_type, payload))
    hint = key_id(key.public_key().public_bytes_raw())
    return Envelope(
        payload=base64.b64encode(payload).decode(),
        payload_type=payload_type,
        signatures=[Signature(keyid=hint, sig=base64.b64encode(signature).decode())],
    )


def verify(envelope: Envelope, payload_type: str, trusted: Iterable[bytes]) -> bytes:
    """Return the payload that a trusted raw public key signed; raises EnvelopeRefused."""
    payload = _decode(envelope.payload)
    message = pae(envelope.payload_type, payload)
    keys = [Ed25519PublicKey.from_public_bytes(raw) for raw in trusted]
    if not any(_signed_by(key, entry, message) for entry in envelope.signatures for key in keys):
        raise EnvelopeRefused("no registered key made this signature")
    if envelope.payload_type != payload_type:
        raise EnvelopeRefused(f"payload type {envelope.payload_type!r} where {payload_type!r} was expected")
    return payload


def unverified_payload(envelope: Envelope) -> bytes:
    """The payload before any check, only to find out whose keys to try; raises EnvelopeRefused."""
    return _decode(envelope.payload)


def _signed_by(key: Ed25519PublicKey, entry: Signature, message: bytes) -> bool:
    try:
        key.verify(_decode(entry.sig), message)
    except (InvalidSignature, EnvelopeRefused):
        return False
    return True


def _decode(text: str) -> bytes:
    """Base64 in the standard or the URL-safe alphabet, padded or not; raises EnvelopeRefused."""
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeRefused("the envelope is not valid base64") from error
