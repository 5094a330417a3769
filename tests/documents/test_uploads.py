"""Documents: exactly what was announced or nothing, in a directory and in S3 over real HTTP."""

import asyncio
import hashlib

import pytest

from domain.errors import ConfigurationError, InvalidInput, NotFound, Refused, Unavailable
from starter import uploads
from storage import open_storage
from tests.support.documents import PDF, a_pending, announced, chunks, keys, put, s3_client, stands
from tests.support.talk import all_rows, an_open, held, inbox, run, told

BIG = b"%PDF-" + b"0123456789abcdef" * 800_000


@pytest.fixture
def db(seeded):
    """The demo tenant's database."""
    return seeded.database


async def test_a_document_is_stored_with_its_hash_and_told_of(db, storage):
    """Bytes, row, audit event with hash and size, and a notification to the other side."""
    record = await an_open(db)
    pending = await a_pending(db, record)
    stored = await put(db, storage, pending)
    assert (stored.state, stored.sha256) == ("stored", hashlib.sha256(PDF).hexdigest())
    assert b"".join([part async for part in uploads.send_out(storage, stored)]) == PDF
    [event] = await all_rows(db, "SELECT body FROM audit_events WHERE kind = 'attachment.stored'")
    assert stored.sha256 in event.body
    assert f'"size":{len(PDF)}' in event.body
    assert ("ADMIN_USER", "alice", "rita: invoice.pdf") in await inbox(db, record, "ATTACHMENT")


async def test_the_client_hears_of_the_desk_s_document(db, files):
    """In the app under the track number, and by email."""
    record = await an_open(db)
    await put(db, files, await a_pending(db, record, author="carol"))
    assert await told(db, record, "attachment") == [
        ("attachment", "email", "rita"),
        ("attachment", "in-app", "rita"),
    ]


async def test_a_large_document_comes_in_parts(db, storage):
    """More than one part of a multipart upload, in odd sizes."""
    pending = await a_pending(db, await an_open(db), content=BIG, hashed=True)
    stored = await put(db, storage, pending, BIG, size=1_234_567)
    hashed = hashlib.sha256()
    async for part in uploads.send_out(storage, stored):
        hashed.update(part)
    assert hashed.hexdigest() == stored.sha256


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (PDF[:-1], "size"),
        (PDF + b"x", "size"),
        (b"", "size"),
        (PDF[:-1] + b"X", "sha256"),
        (b"<html>" + PDF[6:], "content_type"),
        (b"MZ" + PDF[2:], "content_type"),
    ],
)
async def test_other_bytes_than_announced_leave_nothing(db, storage, sent, field):
    """Too few, too many, none, others, or another kind: refused, and the upload still waits."""
    record = await an_open(db)
    pending = await a_pending(db, record, hashed=True)
    with pytest.raises(InvalidInput) as caught:
        await put(db, storage, pending, sent)
    assert caught.value.field == field
    assert await keys(storage) == []
    assert (await stands(db, pending)).state == "pending"
    assert await told(db, record, "attachment") == []
    assert (await put(db, storage, pending)).is_stored


async def test_a_large_one_that_breaks_leaves_no_part(db, s3, s3_server):
    """The multipart upload is given up: nobody pays for parts that nobody can see."""
    pending = await a_pending(db, await an_open(db), content=BIG)
    with pytest.raises(ConnectionResetError):
        await put(db, s3, pending, BIG[:-1], size=1_000_000, error=ConnectionResetError("cut"))
    assert await keys(s3) == []
    bucket = s3.url.split("/")[2]
    assert not s3_client(s3_server).list_multipart_uploads(Bucket=bucket).get("Uploads")


async def test_a_connection_that_is_cut_leaves_nothing(db, storage):
    """The error comes back as it is, and the same upload can be sent again."""
    pending = await a_pending(db, await an_open(db))
    with pytest.raises(ConnectionResetError):
        await put(db, storage, pending, PDF[:-1], error=ConnectionResetError("cut"))
    assert await keys(storage) == []
    assert (await put(db, storage, pending)).is_stored


async def test_endless_bytes_are_cut_off_at_the_announced_size(db, files):
    """Whatever length was claimed: no more is read than was announced."""
    read = 0

    async def endless():
        nonlocal read
        yield b"%PDF-"
        while True:
            read += 1
            yield b"x" * 1000

    pending = await a_pending(db, await an_open(db))
    with pytest.raises(InvalidInput):
        await uploads.receive(db, files, pending.id, endless())
    assert read < 10


async def test_two_at_once_are_one_document(db, storage):
    """One wins and is told of once, the others are told so; no bytes are left over, and none are mixed."""
    record = await an_open(db)
    pending = await a_pending(db, record)
    contents = [PDF[:-1] + bytes([48 + number]) for number in range(8)]
    answers = await asyncio.gather(
        *(put(db, storage, pending, content) for content in contents), return_exceptions=True
    )
    [winner] = [answer for answer in answers if not isinstance(answer, Exception)]
    assert all(isinstance(answer, Refused) for answer in answers if answer is not winner)
    assert await keys(storage) == [winner.storage_key]
    out = b"".join([part async for part in uploads.send_out(storage, winner)])
    assert hashlib.sha256(out).hexdigest() == winner.sha256
    assert len(await inbox(db, record, "ATTACHMENT")) == 4


async def test_a_stored_document_takes_no_other_bytes(db, files):
    """It stays what it was."""
    pending = await a_pending(db, await an_open(db))
    stored = await put(db, files, pending)
    with pytest.raises(Refused):
        await put(db, files, pending)
    assert await stands(db, pending) == stored


async def test_an_upload_that_was_announced_long_ago_is_refused(db, files):
    """The clean-up may be at it."""
    pending = await a_pending(db, await an_open(db))
    await run(db, "UPDATE attachments SET created_at = now() - interval '23 hours 1 second'")
    with pytest.raises(Refused):
        await put(db, files, pending)


async def test_a_row_that_goes_while_the_bytes_come_leaves_nothing(db, files):
    """The clean-up was faster: the sender is told, and the bytes are gone too."""
    pending = await a_pending(db, await an_open(db))

    async def slow():
        yield PDF[:-1]
        await run(db, "DELETE FROM attachments")
        yield PDF[-1:]

    with pytest.raises(Refused):
        await uploads.receive(db, files, pending.id, slow())
    assert await keys(files) == []


async def test_a_crash_between_bytes_and_row_leaves_a_pending_upload(db, files, monkeypatch):
    """Nobody was told, the bytes wait for the clean-up, and the upload can be sent again."""
    record = await an_open(db)
    pending = await a_pending(db, record)

    async def dies(*_, **__):
        raise Unavailable("the database went away")

    with monkeypatch.context() as patched:
        patched.setattr("starter.uploads.attachments.store", dies)
        with pytest.raises(Unavailable):
            await put(db, files, pending)
    assert len(await keys(files)) == 1
    assert await told(db, record, "attachment") == []
    assert (await put(db, files, pending)).is_stored


async def test_a_storage_that_is_away_is_unavailable(db, monkeypatch):
    """The one line says which; nothing is stored, and it works once it is back."""
    for name, value in {
        "AWS_ENDPOINT": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu",
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    away = open_storage("s3://away-for-now/documents")
    pending = await a_pending(db, await an_open(db))
    with pytest.raises(Unavailable, match="s3://away-for-now/documents"):
        await put(db, away, pending)
    with pytest.raises(Unavailable):
        await away.check()
    assert (await stands(db, pending)).state == "pending"


async def test_damaged_bytes_are_not_handed_out_as_if_whole(db, files, tmp_path):
    """Who changed the file on the disk does not get it past the hash."""
    stored = await put(db, files, await a_pending(db, await an_open(db)))
    path = tmp_path / "documents" / stored.storage_key
    path.write_bytes(b"%PDF-evil")
    with pytest.raises(Unavailable, match="damaged"):
        [part async for part in uploads.send_out(files, stored)]


async def test_only_stored_documents_go_out(db, files):
    """A pending one is as good as absent, and so is one whose bytes are gone."""
    pending = await a_pending(db, await an_open(db))
    with pytest.raises(NotFound):
        [part async for part in uploads.send_out(files, pending)]
    stored = await put(db, files, pending)
    await files.delete([stored.storage_key, "att_x/never-there"])
    with pytest.raises(NotFound):
        [part async for part in uploads.send_out(files, stored)]


async def test_an_announcement_under_the_same_id_is_the_same(db):
    """Repeated it answers the same; with other content it is refused."""
    record = await an_open(db)
    same = uploads.attachment_id_for_key(record.request.id, "rita", "k")
    first, again = [
        await uploads.announce(db, record.request.id, "rita", announced(), same) for _ in range(2)
    ]
    assert first == again
    with pytest.raises(Refused):
        await uploads.announce(db, record.request.id, "rita", announced(PDF + b"!"), same)


async def test_twenty_uploads_may_wait_and_no_more(db):
    """A client can't fill the table with promises."""
    record = await an_open(db)
    for _ in range(20):
        await a_pending(db, record)
    with pytest.raises(Refused):
        await a_pending(db, record)
    # nor can it crowd out the desk
    await a_pending(db, record, author="alice")


async def test_a_key_holds_nothing_that_somebody_typed(db, files):
    """Only ids: no path of a user's ever reaches the storage."""
    stored = await put(db, files, await a_pending(db, await an_open(db), filename="../../x;rm -rf.pdf"))
    assert stored.storage_key.split("/")[0] == stored.id
    assert set(stored.storage_key) <= set("att_/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@pytest.mark.parametrize(
    "url", ["", "http://x/y", "memory:///", "s3://", "file://relative", "/tmp/x", "gs://b/p"]
)
def test_only_directories_and_s3_are_storages(url):
    """Anything else is refused with what to set."""
    with pytest.raises(ConfigurationError, match="MINTKEEPER_STORAGE_URL"):
        open_storage(url)


async def test_a_rollback_tells_nobody(db, files):
    """State, audit event and messages stand or fall together."""
    from datetime import UTC, datetime

    from db.writes import attachments

    record = await an_open(db)
    pending = await a_pending(db, record)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            assert await attachments.store(
                tx, record=await held(tx, record), attachment=pending, storage_key="x", sha256="0" * 64,
                at=datetime.now(UTC),
            )  # fmt: skip
            raise ZeroDivisionError
    assert (await stands(db, pending)).state == "pending"
    assert await told(db, record, "attachment") == []


async def test_the_bytes_of_a_chunk_may_be_tiny(db, files):
    """One byte at a time: the beginning is still looked at."""
    pending = await a_pending(db, await an_open(db))
    assert (await put(db, files, pending, PDF[:], size=1)).is_stored
    other = await a_pending(db, await an_open(db))
    with pytest.raises(InvalidInput):
        await uploads.receive(db, files, other.id, chunks(b"X" + PDF[1:], 1))
