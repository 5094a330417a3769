"""Private keys in files."""

import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from domain.ack import decode
from domain.errors import AckRefused, ConfigurationError, NotFound, Refused
from starter.authority import open_authority
from starter.keys import load_key, new_key
from tests.domain.test_ack import CLAIM


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


@pytest.fixture
def key_urls(tmp_path, monkeypatch):
    """Two authority keys: one in a file, one in the environment."""
    new_key(tmp_path / "new.pem")
    monkeypatch.setenv("OLD_KEY", pem(Ed25519PrivateKey.generate()).decode())
    return f"file:{tmp_path / 'new.pem'}", "env:OLD_KEY"


def test_the_first_authority_key_signs_and_all_verify(key_urls):
    """How keys rotate: a new one in front, the old one kept until its tokens have expired."""
    new, old = key_urls
    before, during, after = (open_authority(setting) for setting in (old, f"{new}, {old}", new))
    token = before.issue(CLAIM)
    assert during.verify(decode(token)) == CLAIM
    assert after.verify(decode(during.issue(CLAIM))) == CLAIM
    with pytest.raises(AckRefused):
        after.verify(decode(token))


def test_without_the_setting_there_is_no_authority():
    """An empty setting is no key, and no error."""
    assert not open_authority("").has_keys


@pytest.mark.parametrize("setting", ["file:", "vault:x", "/etc/key.pem", "env:", "env:NO_KEY", "env:BAD"])
def test_an_unusable_authority_key_is_refused_without_being_shown(monkeypatch, setting):
    """At the start, with the setting's or the variable's name, never with its content."""
    monkeypatch.setenv("BAD", "s3cret")
    with pytest.raises(ConfigurationError) as caught:
        open_authority(setting)
    assert "s3cret" not in caught.value.message
