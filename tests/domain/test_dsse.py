import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from domain.dsse import Envelope, EnvelopeRefused, Signature, pae, sign, verify

KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
TYPE = "application/x"


def test_pae_equals_the_specification_s_vector():
    """The published test vector of the DSSE protocol."""
    vector = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == vector


def test_pae_counts_bytes():
    """Lengths are of bytes, not characters."""
    assert pae("é", "ü".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xbc"


@given(st.binary(max_size=300))
def test_what_was_signed_is_verified_and_nothing_else(payload):
    """The payload comes back byte for byte; with any byte changed it does not verify."""
    envelope = sign(payload, TYPE, KEY)
    assert verify(envelope, TYPE, [PUBLIC]) == payload
    forged = base64.b64encode(payload + b"!").decode()
    with pytest.raises(EnvelopeRefused):
        verify(envelope.model_copy(update={"payload": forged}), TYPE, [PUBLIC])


def test_both_base64_alphabets_with_and_without_padding_are_read():
    """Transport may change the alphabet; the bytes decide."""
    envelope = sign(b"\xff\xfe\xfd~~~?", TYPE, KEY)
    signature = envelope.signatures[0].sig
    for payload in (
        envelope.payload,
        envelope.payload.rstrip("="),
        envelope.payload.replace("/", "_").replace("+", "-"),
    ):
        for sig in (signature, signature.rstrip("=").replace("/", "_").replace("+", "-")):
            changed = Envelope(payload=payload, payload_type=TYPE, signatures=[Signature(sig=sig)])
            assert verify(changed, TYPE, [PUBLIC]) == b"\xff\xfe\xfd~~~?"


def test_the_key_hint_decides_nothing():
    """A wrong hint with a good signature passes; a good hint with a wrong signature does not."""
    envelope = sign(b"x", TYPE, KEY)
    lying = envelope.model_copy(
        update={"signatures": [Signature(keyid="liar", sig=envelope.signatures[0].sig)]}
    )
    assert verify(lying, TYPE, [PUBLIC]) == b"x"
    stolen = sign(b"x", TYPE, OTHER).signatures[0].model_copy(update={"keyid": envelope.signatures[0].keyid})
    with pytest.raises(EnvelopeRefused):
        verify(envelope.model_copy(update={"signatures": [stolen]}), TYPE, [PUBLIC])


def test_a_signature_under_another_payload_type_is_no_decision():
    """No confusion between ack tokens and decisions: the type is part of what is signed, and checked."""
    ack = sign(b"{}", "application/vnd.mintkeeper.ack+json", KEY)
    with pytest.raises(EnvelopeRefused, match="payload type"):
        verify(ack, TYPE, [PUBLIC])
    with pytest.raises(EnvelopeRefused, match="no registered key"):
        verify(ack.model_copy(update={"payload_type": TYPE}), TYPE, [PUBLIC])


def test_no_trusted_key_means_refused():
    """An approver without a registered key can't decide."""
    with pytest.raises(EnvelopeRefused):
        verify(sign(b"x", TYPE, KEY), TYPE, [])


def test_garbage_is_refused_not_raised():
    """Broken base64 is a refusal like any other."""
    for payload, sig in (("*", "AA=="), ("AA==", "*"), ("A", "A")):
        envelope = Envelope(payload=payload, payload_type=TYPE, signatures=[Signature(sig=sig)])
        with pytest.raises(EnvelopeRefused):
            verify(envelope, TYPE, [PUBLIC])
