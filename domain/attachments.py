"""Documents of a request: what may be handed in, under which name, and whether it is what was announced."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict

from domain.errors import InvalidInput

UPLOAD_LIFE: Final = timedelta(hours=23)
"""An announced upload takes its bytes for so long: less than STALE, so the clean-up meets none under way."""

STALE: Final = timedelta(days=1)
"""A pending upload that is older is removed (service.md)."""

MOST_PENDING: Final = 20
MOST_STORED: Final = 200
"""Uploads of one request, for each side of the conversation."""

LONGEST_NAME: Final = 200
"""Characters."""

_HEAD: Final = 8
"""Bytes that are enough to know every kind by."""

_ZIP: Final = b"PK\x03\x04"
_OFFICE: Final = "application/vnd.openxmlformats-officedocument"


@dataclass(frozen=True)
class Kind:
    """A kind of document: its endings, and the bytes that it begins with (none: anything)."""

    endings: tuple[str, ...]
    magic: bytes = b""


KINDS: Final = MappingProxyType(
    {
        "application/pdf": Kind((".pdf",), b"%PDF-"),
        "image/png": Kind((".png",), b"\x89PNG\r\n\x1a\n"),
        "image/jpeg": Kind((".jpg", ".jpeg"), b"\xff\xd8\xff"),
        "text/plain": Kind((".txt",)),
        "text/csv": Kind((".csv",)),
        f"{_OFFICE}.wordprocessingml.document": Kind((".docx",), _ZIP),
        f"{_OFFICE}.spreadsheetml.sheet": Kind((".xlsx",), _ZIP),
    }
)
"""By content type; nothing that a browser would run, such as HTML or SVG."""


class UploadsCleaned(BaseModel):
    """Result of `cleanup_stale_uploads`."""

    model_config = ConfigDict(frozen=True)

    uploads: int
    """Pending uploads that were given up."""
    objects: int
    """Stored bytes that belong to no document."""
    note: str = ""
    """Why there was nothing to look at, if so."""


@dataclass(frozen=True)
class Announcement:
    """What somebody is going to hand in."""

    filename: str
    content_type: str
    size: int
    sha256: str | None = None

    @classmethod
    def checked(
        cls, filename: str, content_type: str | None, size: int, sha256: str | None, most_bytes: int
    ) -> Announcement:
        """Check what was announced; the content type may be left to the name. Raises InvalidInput."""
        name = clean_filename(filename)
        kind = _content_type(name, content_type)
        if not 0 < size <= most_bytes:
            raise InvalidInput(f"the document has {size} bytes; 1 to {most_bytes} are allowed", "size")
        if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise InvalidInput("sha256 must be 64 hexadecimal digits in lower case", "sha256")
        return cls(name, kind, size, sha256)


def clean_filename(name: str) -> str:
    """The last part of the path, without control, direction and other invisible characters.

    Raises InvalidInput when nothing is left of it.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    # categories C…: controls, direction marks, surrogates, unassigned; Zl and Zp break lines
    shown = "".join(
        char if char.isprintable() or char == " " else " " for char in last if not _is_invisible(char)
    )
    cleaned = " ".join(shown.split()).strip(". ")
    stem, dot, ending = cleaned.rpartition(".")
    if not stem or not ending:
        raise InvalidInput("the document needs a file name with an ending, such as invoice.pdf", "filename")
    return f"{stem[: LONGEST_NAME - len(ending) - 1]}{dot}{ending}"


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char).startswith("C")


def _content_type(name: str, given: str | None) -> str:
    ending = f".{name.rpartition('.')[2].lower()}"
    by_name = next((kind for kind, known in KINDS.items() if ending in known.endings), None)
    allowed = ", ".join(ending for known in KINDS.values() for ending in known.endings)
    if by_name is None:
        raise InvalidInput(f"documents may be {allowed}, not {ending[:20]}", "filename")
    wanted = by_name if given is None else given.partition(";")[0].strip().lower()
    if wanted != by_name:
        raise InvalidInput(f"a {ending} has the content type {by_name}", "content_type")
    return by_name


@dataclass
class Inspector:
    """Looks at the bytes on their way: exactly what was announced, or an error before the last of them."""

    announced: Announcement
    seen: int = 0
    _head: bytes = b""
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        """Of the bytes so far, in hexadecimal."""
        return self._hash.hexdigest()

    async def passing(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Hand on the bytes; raises InvalidInput, so that whoever takes them keeps nothing."""
        async for chunk in chunks:
            if not chunk:
                continue
            self._look(bytes(chunk))
            yield bytes(chunk)
        self._finish()

    def _look(self, chunk: bytes) -> None:
        self.seen += len(chunk)
        if self.seen > self.announced.size:
            raise InvalidInput(f"more bytes came than the {self.announced.size} announced", "size")
        if len(self._head) < _HEAD:
            self._head += chunk[: _HEAD - len(self._head)]
            self._check_magic(whole=len(self._head) == _HEAD)
        self._hash.update(chunk)

    def _check_magic(self, *, whole: bool) -> None:
        magic = KINDS[self.announced.content_type].magic
        begun = (
            self._head if whole or len(self._head) >= len(magic) else self._head + magic[len(self._head) :]
        )
        if not begun.startswith(magic):
            raise InvalidInput(f"the document is no {self.announced.content_type}", "content_type")

    def _finish(self) -> None:
        if self.seen != self.announced.size:
            raise InvalidInput(f"{self.seen} bytes came, {self.announced.size} were announced", "size")
        self._check_magic(whole=True)
        if self.announced.sha256 not in (None, self.sha256):
            raise InvalidInput(f"the bytes have the SHA-256 {self.sha256}, another was announced", "sha256")
