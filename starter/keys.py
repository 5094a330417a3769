"""Private keys in files: unencrypted PKCS8 PEM that only its owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from domain.ack import Authority
from domain.errors import ConfigurationError, NotFound, Refused

_WIDER_THAN_OWNER = stat.S_IRWXG | stat.S_IRWXO


def new_key(path: Path) -> Ed25519PrivateKey:
    """Make a key and write it with mode 0600; raises Refused if a file is there already."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # created with its final mode: at no moment may another user open it
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Refused(f"{path} exists already: remove it or choose another place with --key-file") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a key; raises NotFound, or ConfigurationError if others may read it or it is no Ed25519 key."""
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"no key at {path}: make one with 'mintkeeper keys new'") from error
    except OSError as error:
        raise ConfigurationError(f"the key at {path} can't be read: {error.strerror}") from error
    if mode & _WIDER_THAN_OWNER:
        raise ConfigurationError(f"the key at {path} can be read by others: run 'chmod 600 {path}'")
    return _parse(pem, str(path))


def open_authority(setting: str) -> Authority:
    """The authority keys of `MINTKEEPER_AUTHORITY_KEY`: `file:/path` or `env:NAME`, separated by commas.

    The first signs, all verify: a new key is put in front, and the old one stays until the last token
    that it signed has expired. Empty: no keys. Raises NotFound, or ConfigurationError as `load_key`.
    """
    return Authority([_open(url.strip()) for url in setting.split(",") if url.strip()])


def _open(url: str) -> Ed25519PrivateKey:
    scheme, _, place = url.partition(":")
    if scheme == "file" and place:
        return load_key(Path(place))
    if scheme != "env" or not place:
        raise ConfigurationError("MINTKEEPER_AUTHORITY_KEY is neither file:/path nor env:NAME")
    pem = os.environ.get(place, "")
    if not pem:
        raise ConfigurationError(f"MINTKEEPER_AUTHORITY_KEY names the variable {place}, which is not set")
    return _parse(pem.encode(), f"the variable {place}")


def _parse(pem: bytes, where: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{where} is not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"the key at {where} is not an Ed25519 key")
    return key
