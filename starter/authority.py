"""The authority keys of `MINTKEEPER_AUTHORITY_KEY`, as they stand now: a rotation needs no restart."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.ack import Authority
from domain.errors import ConfigurationError, MintkeeperError
from starter.key_file import is_seed_file, parse_seeds, read_private
from starter.keys import parse_key

log = logging.getLogger("mintkeeper.keys")

Stamp = tuple[int, int, int]


class OpenedAuthority(Authority):
    """Looks at the files before each use, and reads one again when it has changed.

    A file that can't be used any more leaves the keys as they were, and an error in the log: who wants
    a key gone replaces the file by a rotation.
    """

    def __init__(self, setting: str) -> None:
        self._signers = [url.strip() for url in setting.split(",") if url.strip()]
        self._files = [Path(url.partition(":")[2]) for url in self._signers if url.startswith("file:")]
        self._stamps = self._look()
        super().__init__(self._open())

    @property
    def keys(self) -> Sequence[Ed25519PrivateKey]:
        """The keys as the files have them now."""
        stamps = self._look()
        if stamps != self._stamps:
            # before reading: what changes meanwhile is read again next time
            self._stamps = stamps
            try:
                self._keys = tuple(self._open())
            except MintkeeperError as error:
                log.error("the authority keys stay as they were: %s", error.message)  # noqa: TRY400
        return self._keys

    def _open(self) -> list[Ed25519PrivateKey]:
        return [key for url in self._signers for key in _open(url)]

    def _look(self) -> list[Stamp | None]:
        return [_stamp(file) for file in self._files]


def open_authority(setting: str) -> Authority:
    """The authority keys of the setting: `file:/path` or `env:NAME`, separated by commas.

    The first key signs, all verify. A file holds seeds (`starter.key_file`) or one key in PEM, a variable
    one key in PEM. Empty: no keys. Raises NotFound, or ConfigurationError for what can't be used.
    """
    return OpenedAuthority(setting)


def _open(url: str) -> list[Ed25519PrivateKey]:
    scheme, _, place = url.partition(":")
    if scheme == "file" and place:
        content = read_private(Path(place))
        if is_seed_file(content):
            return [kept.key for kept in parse_seeds(content.decode("utf-8", "replace"), place)]
        return [parse_key(content, place)]
    if scheme != "env" or not place:
        raise ConfigurationError("MINTKEEPER_AUTHORITY_KEY is neither file:/path nor env:NAME")
    pem = os.environ.get(place, "")
    if not pem:
        raise ConfigurationError(f"MINTKEEPER_AUTHORITY_KEY names the variable {place}, which is not set")
    return [parse_key(pem.encode(), f"the variable {place}")]


def _stamp(file: Path) -> Stamp | None:
    """What changes when the file does; None: it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)
