"""Where the bytes of documents are: a directory (`file:///…`) or an S3-compatible store (`s3://…`).

What a store needs beyond its URL (endpoint, region, credentials) it reads from the usual AWS
environment variables. Objects are written whole or not at all.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store, from_url

from domain.errors import ConfigurationError, MintkeeperError, NotFound, Unavailable

PART: Final = 5 * 1024 * 1024
"""Bytes held of an object on its way; S3 takes no smaller parts, but the last."""

CHUNK: Final = 256 * 1024
"""Bytes handed on at a time."""

_HALF = re.compile(r".+#\d+")
_RETRIES = 2
_PATIENCE = timedelta(seconds=15)


class Stored(NamedTuple):
    """An object that is there."""

    key: str
    modified_at: datetime


class Storage:
    """One store; its keys hold nothing that a user wrote."""

    def __init__(self, url: str, store: ObjectStore) -> None:
        self.url = url
        self._store = store

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Write an object as its bytes come; when they end in an error, that is raised and nothing is there.

        Raises Unavailable when the store can't take it.
        """
        source = _Source(chunks)
        try:
            with self._errors(key):
                await obstore.put_async(
                    self._store, key, source.passing(), chunk_size=PART, max_concurrency=1
                )
        except MintkeeperError:
            # whose bytes break off has not met a broken store
            if source.error is not None:
                raise source.error from None
            raise

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of an object; raises NotFound, Unavailable."""
        with self._errors(key):
            found = await obstore.get_async(self._store, key)
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is gone already is fine. Raises Unavailable."""
        for key in keys:
            try:
                with self._errors(key):
                    await obstore.delete_async(self._store, [key])
            except NotFound:
                continue

    async def pages(self, prefix: str = "") -> AsyncIterator[list[Stored]]:
        """Every object below a prefix that ends at a slash, some at a time. Raises Unavailable."""
        with self._errors(prefix):
            async for page in obstore.list(self._store, prefix or None):
                yield [Stored(one["path"], one["last_modified"]) for one in page]

    async def remove_halves(self, before: datetime) -> int:
        """Remove what killed processes left half written in a directory before; answers how much.

        On S3 that is for the bucket's lifecycle rule: incomplete multipart uploads are no objects.
        """
        if not self.url.startswith("file:"):
            return 0
        with self._errors("half"):
            return await asyncio.to_thread(_remove_halves, Path(unquote(urlsplit(self.url).path)), before)

    async def check(self) -> None:
        """Raise Unavailable unless the store answers."""
        async for _ in self.pages("probe/"):
            return

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except MintkeeperError:
            raise
        except FileNotFoundError as error:
            raise NotFound(f"the storage has no object {key}") from error
        except (BaseError, OSError) as error:
            first = str(error).strip().splitlines() or [type(error).__name__]
            raise Unavailable(f"mintkeeper: cannot reach the storage at {self.url}: {first[0]}") from error


def _remove_halves(directory: Path, before: datetime) -> int:
    # the store writes beside the object, with a number behind a hash sign, and never lists such files
    old = [
        path
        for path in directory.glob("att_*/*#*")
        if _HALF.fullmatch(path.name) and path.stat().st_mtime < before.timestamp()
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


class _Source:
    """Bytes on their way in, and the error in which they ended."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.error: Exception | None = None

    async def passing(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                yield chunk
        except Exception as error:
            self.error = error
            raise


@lru_cache(maxsize=8)
def open_storage(url: str) -> Storage:
    """The storage of `MINTKEEPER_STORAGE_URL`; raises ConfigurationError."""
    if not url:
        raise ConfigurationError(
            "MINTKEEPER_STORAGE_URL is not set: documents need file:///directory or s3://bucket/prefix"
        )
    # no user or password: nothing would read it, and the URL stands in errors
    if not re.fullmatch(r"(file:///[^?#\n]+|s3://[^?#@\n]+)", url):
        raise ConfigurationError("MINTKEEPER_STORAGE_URL must be file:///directory or s3://bucket/prefix")
    try:
        return Storage(url, _store(url))
    except (BaseError, OSError, ValueError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigurationError(f"MINTKEEPER_STORAGE_URL {url} can't be used: {first[0]}") from error


def _store(url: str) -> LocalStore | S3Store:
    if url.startswith("file:"):
        # documents are nobody else's business on this machine
        Path(unquote(urlsplit(url).path)).mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalStore.from_url(url)
    found = from_url(url, retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE})
    if not isinstance(found, S3Store):
        raise ConfigurationError("MINTKEEPER_STORAGE_URL must be file:///directory or s3://bucket/prefix")
    return found
