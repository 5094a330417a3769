"""The file of the authority's keys: several seeds, the newest first, each with the moment it was made.

    # created 2026-11-22T08:00:00+00:00
    5f0a…                                  64 hex digits, a line

The first seed signs and all verify. A key signs until its successor is made, and what it signed is good
for 24 h more: then nothing needs it, and the next rotation drops it.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.ack import LIFETIME
from domain.dsse import key_id
from domain.errors import ConfigurationError, NotFound, Refused

WIDER_THAN_OWNER = stat.S_IRWXG | stat.S_IRWXO

SETTLING = timedelta(minutes=10)
"""A little longer than its tokens live: clocks differ, and a message may be under way at the change."""

_CREATED = "# created "


@dataclass(frozen=True)
class KeptKey:
    """One key of the file."""

    key: Ed25519PrivateKey
    created: datetime

    @property
    def id(self) -> str:
        """16 hex digits by which people name it."""
        return key_id(self.key.public_key().public_bytes_raw())


@dataclass(frozen=True)
class Rotation:
    """What a rotation left and what it took away."""

    kept: Sequence[KeptKey]
    dropped: Sequence[KeptKey]
    made: KeptKey | None


def read_private(path: Path) -> bytes:
    """The content of a file that only its owner may read; raises NotFound, ConfigurationError."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            f"no key at {path}: make one with 'mintkeeper keys new' (the server's own: 'keys rotate')"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"the key at {path} can't be read: {error.strerror}") from error
    if mode & WIDER_THAN_OWNER:
        raise ConfigurationError(f"the key at {path} can be read by others: run 'chmod 600 {path}'")
    return content


def parse_seeds(content: str, where: str) -> list[KeptKey]:
    """The keys in the text of such a file, in its order; raises ConfigurationError that shows none."""
    found: list[KeptKey] = []
    created: datetime | None = None
    for number, line in enumerate(content.splitlines(), 1):
        word = line.strip()
        if word.startswith(_CREATED):
            created = _moment(word.removeprefix(_CREATED).strip(), f"line {number} of {where}")
        elif word and not word.startswith("#"):
            if created is None:
                raise ConfigurationError(f"line {number} of {where}: no '# created' stands before the seed")
            found.append(KeptKey(_seed(word, f"line {number} of {where}"), created))
            created = None
    if not found:
        raise ConfigurationError(f"{where} holds no seed: run 'mintkeeper keys rotate --file {where}'")
    return found


def is_seed_file(content: bytes) -> bool:
    """Tell such a file from a single key in PEM."""
    return not content.lstrip().startswith(b"-----BEGIN")


def rotate(path: Path, now: datetime, *, make: bool = True, drop_all: bool = False) -> Rotation:
    """Put a new seed in front and drop those whose last token has run out; `drop_all`: every old one.

    `make` false only drops, and then at least the first stays. The file is replaced in one step; one that
    does not exist yet is made. Raises ConfigurationError, Refused.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path.parent):
        old = _existing(path)
        if not old and not make:
            raise Refused(f"there is no key at {path} that could be dropped")
        made = KeptKey(Ed25519PrivateKey.generate(), now) if make else None
        keys = [made, *old] if made else old
        # a key stopped signing when the one before it in the file was made
        kept = keys[:1] + [
            key
            for successor, key in itertools.pairwise(keys)
            if not drop_all and now < successor.created + LIFETIME + SETTLING
        ]
        _replace(path, "".join(_lines(key) for key in kept))
    return Rotation(kept, [key for key in old if key not in kept], made)


def _existing(path: Path) -> list[KeptKey]:
    if not path.exists():
        return []
    content = read_private(path)
    if not is_seed_file(content):
        raise ConfigurationError(
            f"{path} is a single key in PEM: put a new file of seeds before it in MINTKEEPER_AUTHORITY_KEY"
        )
    return parse_seeds(content.decode("utf-8", "replace"), str(path))


def _lines(key: KeptKey) -> str:
    return f"{_CREATED}{key.created.isoformat(timespec='seconds')}\n{key.key.private_bytes_raw().hex()}\n"


def _seed(word: str, where: str) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(word))
    except ValueError:
        # the cause is cut off: it may quote the seed
        raise ConfigurationError(f"{where} is no seed of 64 hex digits") from None


def _moment(word: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise ConfigurationError(f"{where}: {word!r} is no moment in ISO 8601") from None
    if moment.tzinfo is None:
        raise ConfigurationError(f"{where}: {word!r} has no time zone")
    return moment


def _replace(path: Path, text: str) -> None:
    """Put the whole file in place in one step, on the disk before it counts."""
    beside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two rotations at once would lose one of the new seeds; the lock ends with the process."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
