"""Private keys in files: unencrypted PKCS8 PEM that only its owner may read."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from domain.errors import ConfigurationError, Refused
from starter.key_file import read_private


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
    return parse_key(read_private(path), str(path))


def parse_key(pem: bytes, where: str) -> Ed25519PrivateKey:
    """The key in unencrypted PEM; raises ConfigurationError, which shows nothing of it."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{where} is not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"the key at {where} is not an Ed25519 key")
    return key
