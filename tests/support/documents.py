"""Storages over a directory and over real HTTP, and documents to put there."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from moto.server import ThreadedMotoServer

from db.reads.conversation import attachment
from domain.attachments import Announcement
from starter import uploads
from storage import Storage, open_storage

PDF = b"%PDF-1.7\n" + b"words " * 100


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 of our own, spoken to over HTTP; yields its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch) -> Storage:
    """A storage in a bucket of its own, configured by the usual AWS variables."""
    bucket = f"mint-{uuid.uuid4().hex}"
    given = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT": s3_server,
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    s3_client(s3_server).create_bucket(Bucket=bucket)
    return open_storage(f"s3://{bucket}/documents")


def s3_client(url: str):
    """The vendor's own client, to look at what is really there."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def files(tmp_path) -> Storage:
    """A storage in a directory."""
    return open_storage((tmp_path / "documents").as_uri())


@pytest.fixture(params=["files", "s3"])
def storage(request) -> Storage:
    """Each kind of storage in turn."""
    return request.getfixturevalue(request.param)


def announced(content=PDF, filename="invoice.pdf", *, hashed=False, size=None, kind=None) -> Announcement:
    """What is going to be handed in."""
    sha256 = hashlib.sha256(content).hexdigest() if hashed else None
    return Announcement.checked(filename, kind, size or len(content), sha256, 20 * 1024 * 1024)


async def a_pending(database, record, author="rita", **changes):
    """An announced upload."""
    return await uploads.announce(
        database, record.request.id, author, announced(**changes), uploads.new_attachment_id()
    )


async def chunks(content=PDF, size=100, error=None):
    """Bytes as they come over a connection, which may break."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
    if error is not None:
        raise error


async def put(database, storage, pending, content=PDF, **changes):
    """Send the bytes."""
    return await uploads.receive(database, storage, pending.id, chunks(content, **changes))


async def keys(storage):
    """Everything that is in a storage."""
    return sorted([one.key async for page in storage.pages() for one in page])


async def stands(database, pending):
    """The row as it is now."""
    async with database.transaction() as tx:
        return await attachment(tx, pending.id)


def make_older(storage, key, seconds):
    """Let an object of a directory be older."""
    path = Path(unquote(urlsplit(storage.url).path)) / key
    at = path.stat().st_mtime - seconds
    os.utime(path, (at, at))
