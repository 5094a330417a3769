"""Documents that somebody changed in the storage, uploads that nobody can end, and storages that are none."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from temporalio.testing import ActivityEnvironment
from ulid import ULID

from activities.cleanup import UploadCleanup
from domain.attachments import UploadsCleaned
from domain.errors import ConfigurationError, Unavailable
from domain.steps import UPLOADS_QUEUE
from starter import uploads
from storage import CHUNK, open_storage
from tests.support.documents import PDF, a_pending, files, put
from tests.support.talk import an_open, run
from worker import uploads_worker

__all__ = ["files"]

CONTENT = PDF + b"x" * (CHUNK - len(PDF))


@pytest.fixture
def db(seeded):
    """The demo tenant's database."""
    return seeded.database


@pytest.mark.parametrize("length", [CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
async def test_of_bytes_that_were_exchanged_never_a_whole_document_is_handed_out(db, files, length):
    """Longer ones would else fill the announced length before their hash is known."""
    stored = await put(
        db, files, await a_pending(db, await an_open(db), content=CONTENT), CONTENT, size=100_000
    )
    path = Path(unquote(urlsplit(files.url).path)) / stored.storage_key
    path.write_bytes(b"%PDF-other".ljust(length, b"y"))
    got = b""
    with pytest.raises(Unavailable, match="damaged"):
        async for part in uploads.send_out(files, stored):
            got += part
    assert len(got) < stored.size


async def test_uploads_that_take_no_bytes_any_more_take_no_room_either(db):
    """After 23 hours nobody can send their bytes: they must not keep out new ones until the clean-up."""
    record = await an_open(db)
    for _ in range(20):
        await a_pending(db, record)
    await run(db, "UPDATE attachments SET created_at = now() - interval '23 hours 1 minute'")
    assert (await a_pending(db, record)).state == "pending"


@pytest.mark.parametrize(
    "url", ["s3://AKIAKEY:very-secret@bucket/prefix", "s3://very-secret@bucket", "file:///tmp/very-secret\n"]
)
def test_a_storage_url_holds_no_credentials(url):
    """They would stand in the doctor's answer and in errors, and nothing would use them."""
    with pytest.raises(ConfigurationError, match="must be file") as caught:
        open_storage(url)
    assert "very-secret" not in str(caught.value)


async def clean(db, url=""):
    """Run the clean-up as a worker does."""
    return await ActivityEnvironment().run(UploadCleanup(db, url).cleanup_stale_uploads)


async def test_where_no_document_was_ever_announced_no_storage_is_missed(temporal_server, seeded):
    """The daily run completes, and its result says that there is no storage."""
    client = temporal_server.client
    await an_open(seeded.database)
    async with uploads_worker(client, seeded.database, ""):
        done = await client.execute_workflow(
            "CleanupStaleUploads", id=f"u-{ULID()}", task_queue=UPLOADS_QUEUE, result_type=UploadsCleaned
        )
    assert (done.uploads, done.objects) == (0, 0)
    assert "MINTKEEPER_STORAGE_URL" in done.note


async def test_with_a_document_a_worker_without_storage_says_what_to_set(db, files):
    """Announced or stored: somebody has a storage, and this worker can't clean it."""
    pending = await a_pending(db, await an_open(db))
    with pytest.raises(ConfigurationError, match="MINTKEEPER_STORAGE_URL"):
        await clean(db)
    await put(db, files, pending)
    with pytest.raises(ConfigurationError, match="MINTKEEPER_STORAGE_URL"):
        await clean(db)
    assert (await clean(db, files.url)).note == ""
