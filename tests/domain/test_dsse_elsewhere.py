"""Our envelopes and those of an independent implementation (securesystemslib): each verifies the other's."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib import dsse as theirs
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from domain import dsse as ours

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))

SIGNED_BY_THE_SPECIFICATION = (
    "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
)

payloads = st.binary(max_size=300) | st.text(max_size=60).map(str.encode)
# a type of up to 200 characters; surrogates are in no UTF-8
types = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def public(key):
    """The key as the other implementation has it."""
    raw = key.public_key().public_bytes_raw()
    return SSlibKey(ours.key_id(raw), "ed25519", "ed25519", {"public": raw.hex()})


def as_theirs(envelope):
    """Our envelope as the other implementation reads it from JSON."""
    return theirs.Envelope.from_dict(envelope.model_dump(mode="json", by_alias=True))


@given(payloads, types)
def test_they_verify_what_we_sign(payload, kind):
    """For any bytes and any payload type, non-ASCII ones included."""
    envelope = as_theirs(ours.sign(payload, kind, KEY))
    assert (envelope.payload, envelope.payload_type) == (payload, kind)
    assert list(envelope.verify([public(KEY)], 1)) == [public(KEY).keyid]
    with pytest.raises(VerificationError):
        envelope.verify([public(OTHER)], 1)


@given(payloads, types)
def test_we_verify_what_they_sign(payload, kind):
    """The very bytes come back, and another key's signature does not count."""
    envelope = theirs.Envelope(payload, kind, {})
    envelope.sign(CryptoSigner(KEY, public(KEY)))
    read = ours.Envelope.model_validate(envelope.to_dict())
    assert ours.verify(read, kind, [KEY.public_key().public_bytes_raw()]) == payload
    with pytest.raises(ours.EnvelopeRefused):
        ours.verify(read, kind, [OTHER.public_key().public_bytes_raw()])


@given(payloads, types)
def test_both_sign_the_same_bytes(payload, kind):
    """The encoding that is signed is one and the same; its lengths count bytes."""
    encoded = ours.pae(kind, payload)
    assert encoded == theirs.Envelope(payload, kind, {}).pae()
    assert encoded.startswith(b"DSSEv1 %d " % len(kind.encode()))


@given(payloads, types, st.data())
def test_neither_believes_a_payload_that_was_changed(payload, kind, data):
    """One bit flipped anywhere in what was signed."""
    changed = bytearray(payload or b"x")
    at = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[at // 8] ^= 1 << at % 8
    swapped = {"payload": base64.b64encode(bytes(changed)).decode()}
    envelope = ours.sign(payload, kind, KEY).model_copy(update=swapped)
    with pytest.raises(ours.EnvelopeRefused):
        ours.verify(envelope, kind, [KEY.public_key().public_bytes_raw()])
    with pytest.raises(VerificationError):
        as_theirs(envelope).verify([public(KEY)], 1)


def test_the_specifications_own_vector():
    """protocol.md of DSSE v1: ECDSA P-256 by a published key, over what our encoding says is signed."""
    x = 46950820868899156662930047687818585632848591499744589407958293238635476079160
    y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
    envelope = ours.Envelope.model_validate(
        {
            "payload": "aGVsbG8gd29ybGQ=",
            "payloadType": "http://example.com/HelloWorld",
            "signatures": [{"sig": SIGNED_BY_THE_SPECIFICATION}],
        }
    )
    raw = base64.b64decode(envelope.signatures[0].sig)
    signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    signed = ours.pae(envelope.payload_type, ours.unverified_payload(envelope))
    assert signed == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, signed + b"!", ec.ECDSA(hashes.SHA256()))
