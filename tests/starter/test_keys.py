"""Private keys in files."""

import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from domain.errors import ConfigurationError, NotFound, Refused
from starter.keys import load_key, new_key


def test_a_new_key_is_its_owners_only_and_reads_back(tmp_path):
    """Mode 0600 from its first moment, in a directory that others can't enter."""
    path = tmp_path / "keys" / "alice.pem"
    key = new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_key(path).private_bytes_raw() == key.private_bytes_raw()


def test_a_key_is_never_overwritten(tmp_path):
    """A lost key can't be had back."""
    path = tmp_path / "alice.pem"
    key = new_key(path)
    with pytest.raises(Refused, match="exists already"):
        new_key(path)
    assert load_key(path).private_bytes_raw() == key.private_bytes_raw()


def test_a_missing_key_says_how_to_make_one(tmp_path):
    """The message names the command."""
    with pytest.raises(NotFound, match="keys new"):
        load_key(tmp_path / "none.pem")


def pem(key) -> bytes:
    """PKCS8 without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (pem(Ed25519PrivateKey.generate()), 0o644, "chmod 600"),
        (b"not a key", 0o600, "not an unencrypted PEM"),
        (pem(X25519PrivateKey.generate()), 0o600, "not an Ed25519 key"),
    ],
)
def test_an_unusable_key_is_refused(tmp_path, content, mode, words):
    """Readable by others, no key at all, a key of another kind."""
    path = tmp_path / "k.pem"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=words):
        load_key(path)
