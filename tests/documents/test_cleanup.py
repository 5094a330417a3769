"""The clean-ups: what is removed, what stays, and what a failure leaves for the next run."""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import ActivityEnvironment
from ulid import ULID

from activities.cleanup import CodeCleanup, UploadCleanup
from domain.attachments import UploadsCleaned
from domain.codes import CodesCleaned
from domain.errors import ConfigurationError, Unavailable
from domain.steps import MAINTENANCE_QUEUE, UPLOADS_QUEUE
from tests.support.documents import a_pending, chunks, keys, make_older, put, stands
from tests.support.talk import ago, all_rows, an_open, run, send_code
from worker import maintenance_worker, uploads_worker

DAY = 86_400
ROOT = Path(__file__).parents[2]


@pytest.fixture
def db(seeded):
    """The demo tenant's database."""
    return seeded.database


async def clean(db, storage):
    """Run the activity as a worker does."""
    return await ActivityEnvironment().run(UploadCleanup(db, storage.url).cleanup_stale_uploads)


async def grow_old(db, pending, **delta):
    """Let an upload have been announced before."""
    await run(db, "UPDATE attachments SET created_at = :at WHERE id = :id", at=ago(**delta), id=pending.id)


async def leave(storage, key, content=b"x"):
    """Bytes that a crash has left."""
    await storage.put(key, chunks(content))


async def test_pending_uploads_of_yesterday_go_with_their_bytes(db, storage):
    """However young the bytes; those of today and the stored ones stay."""
    record = await an_open(db)
    old, young, done = [await a_pending(db, record) for _ in range(3)]
    stored = await put(db, storage, done)
    await leave(storage, f"{old.id}/{ULID()}")
    await leave(storage, f"{young.id}/{ULID()}")
    await grow_old(db, old, days=1, seconds=1)
    await grow_old(db, young, hours=23, minutes=59)
    await grow_old(db, done, days=100)
    assert await clean(db, storage) == UploadsCleaned(uploads=1, objects=1)
    assert await stands(db, old) is None
    assert (await stands(db, young)).state == "pending"
    assert stored.storage_key in await keys(storage)
    assert len(await keys(storage)) == 2
    assert await clean(db, storage) == UploadsCleaned(uploads=0, objects=0)


async def test_bytes_without_a_row_go_once_they_are_a_day_old(db, files):
    """Also the loser's, beside a stored document; what is not ours is left alone."""
    record = await an_open(db)
    stored = await put(db, files, await a_pending(db, record))
    lost, fresh, loser, theirs = f"att_{ULID()}/a", f"att_{ULID()}/b", f"{stored.id}/c", "other/readme"
    for key in (lost, fresh, loser, theirs):
        await leave(files, key)
    for key in (lost, loser, theirs, stored.storage_key):
        make_older(files, key, DAY + 60)
    assert await clean(db, files) == UploadsCleaned(uploads=0, objects=2)
    assert await keys(files) == sorted([fresh, stored.storage_key, theirs])


async def test_what_is_over_of_signing_in_goes_after_a_day(db):
    """Sessions, invitations and tries that are over; what lasts, and what has just ended, stays."""
    now = datetime.now(UTC)
    kept = []
    for number, (ends, ended) in enumerate([(-25, None), (5, -25), (-1, None), (5, None), (5, -1)]):
        await run(
            db,
            "INSERT INTO sessions (id, tenant, user_name, kind, token_sha256, amr, created_at, last_seen_at, "
            "expires_at, ended_at) VALUES (:id, 'acme', 'alice', 'browser', :hash, '{pwd}', :at, :at, :ends, "
            ":ended)",
            id=f"ws_{number}",
            hash=f"{number:064x}",
            at=now - timedelta(days=9),
            ends=now + timedelta(hours=ends),
            ended=now + timedelta(hours=ended) if ended else None,
        )
        await run(
            db,
            "INSERT INTO invitations (token_sha256, tenant, user_name, created_by, created_at, expires_at, "
            "used_at) VALUES (:hash, 'acme', 'alice', 'adam', :at, :ends, :ended)",
            hash=f"{number:064x}",
            at=now - timedelta(days=9),
            ends=now + timedelta(hours=ends),
            ended=now + timedelta(hours=ended) if ended else None,
        )
        kept += [f"ws_{number}"] if number > 1 else []
    for minutes in (14, 16):
        await run(
            db,
            "INSERT INTO sign_in_tries (id, account, address, at) VALUES (:id, 'x', 'y', :at)",
            id=f"t{minutes}",
            at=now - timedelta(minutes=minutes),
        )
    cleanup = CodeCleanup(db).cleanup_expired_otps
    done = await ActivityEnvironment().run(cleanup)
    assert done == CodesCleaned(deleted=0, sessions=2, invitations=2, tries=1)
    assert [row.id for row in await all_rows(db, "SELECT id FROM sessions ORDER BY id")] == kept
    assert await ActivityEnvironment().run(cleanup) == CodesCleaned(deleted=0)


DYING = """
import asyncio, os, signal, sys
from storage import open_storage

async def chunks():
    for _ in range(12):
        yield b"x" * 1_000_000
    os.kill(os.getpid(), signal.SIGKILL)
    yield b""

asyncio.run(open_storage(sys.argv[1]).put(sys.argv[2], chunks()))
"""


async def test_what_a_killed_process_left_half_written_goes_too(db, files, tmp_path):
    """A file that no listing shows: young it may be somebody's upload, a day old it is nobody's."""
    key = f"att_{ULID()}/{ULID()}"
    dying = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, files.url, key, cwd=ROOT)
    assert await dying.wait() == -signal.SIGKILL
    [half] = [path for path in (tmp_path / "documents").rglob("*") if path.is_file()]
    assert await keys(files) == []
    assert (await clean(db, files)).objects == 0
    make_older(files, f"{key.partition('/')[0]}/{half.name}", DAY + 60)
    assert (await clean(db, files)).objects == 1
    assert not half.exists()


async def test_one_that_becomes_stored_meanwhile_is_kept(db, files):
    """Its row is held while it becomes stored: the clean-up passes it by."""
    pending = await a_pending(db, await an_open(db))
    await grow_old(db, pending, days=2)
    async with db.transaction() as tx:
        from sqlalchemy import text

        await tx.run(
            text(
                "UPDATE attachments SET state = 'stored', stored_at = now(), sha256 = :sha256, "
                "storage_key = 'att_x/y' WHERE id = :id"
            ),
            {"id": pending.id, "sha256": "0" * 64},
        )
        assert (await clean(db, files)).uploads == 0
    assert (await stands(db, pending)).is_stored


async def test_more_than_a_batch_goes_in_one_run(db, files, monkeypatch):
    """Batch after batch."""
    monkeypatch.setattr("activities.cleanup.BATCH", 3)
    record = await an_open(db)
    for _ in range(7):
        await a_pending(db, record)
    await run(db, "UPDATE attachments SET created_at = now() - interval '2 days'")
    assert await clean(db, files) == UploadsCleaned(uploads=7, objects=0)


async def test_a_storage_that_is_away_fails_the_run_and_the_next_one_finds_the_bytes(db, files, monkeypatch):
    """Nothing is forgotten: rows go first, and what they have left is found by its age."""
    pending = await a_pending(db, await an_open(db))
    key = f"{pending.id}/{ULID()}"
    await leave(files, key)
    make_older(files, key, DAY + 60)
    await grow_old(db, pending, days=2)

    async def away(*_):
        raise Unavailable("the storage is away")

    with monkeypatch.context() as patched:
        patched.setattr("storage.Storage.delete", away)
        with pytest.raises(Unavailable):
            await clean(db, files)
    assert await stands(db, pending) is None
    assert await clean(db, files) == UploadsCleaned(uploads=0, objects=1)
    assert await keys(files) == []


async def test_without_a_storage_the_run_says_what_to_set(db):
    """And no row has gone."""
    pending = await a_pending(db, await an_open(db))
    await grow_old(db, pending, days=2)
    with pytest.raises(ConfigurationError):
        await ActivityEnvironment().run(UploadCleanup(db, "").cleanup_stale_uploads)
    assert await stands(db, pending) is not None


async def test_two_clean_ups_at_once_do_not_disturb_each_other(db, files):
    """A worker that was thought dead may still be at it."""
    record = await an_open(db)
    for _ in range(10):
        pending = await a_pending(db, record)
        await leave(files, f"{pending.id}/{ULID()}")
    await run(db, "UPDATE attachments SET created_at = now() - interval '2 days'")
    done = await asyncio.gather(*(clean(db, files) for _ in range(2)))
    assert sum(one.uploads for one in done) == 10
    assert await keys(files) == []


async def test_the_workflows_of_both_clean_ups_answer_what_they_did(temporal_server, seeded, files):
    """As the schedules start them, on their queues."""
    db, client = seeded.database, temporal_server.client
    record = await an_open(db)
    await grow_old(db, await a_pending(db, record), days=2)
    await send_code(db, record, at=ago(hours=2))
    async with uploads_worker(client, db, files.url), maintenance_worker(client, db):
        uploads = await client.execute_workflow(
            "CleanupStaleUploads", id=f"u-{ULID()}", task_queue=UPLOADS_QUEUE, result_type=UploadsCleaned
        )
        codes = await client.execute_workflow(
            "CleanupExpiredOtps", id=f"c-{ULID()}", task_queue=MAINTENANCE_QUEUE, result_type=CodesCleaned
        )
    assert (uploads.uploads, codes.deleted) == (1, 1)


async def test_a_missing_storage_is_to_be_seen_in_the_run(temporal_server, seeded):
    """The workflow fails with the line that says what to set, not silently and not for ever."""
    client = temporal_server.client
    await a_pending(seeded.database, await an_open(seeded.database))
    async with uploads_worker(client, seeded.database, ""):
        with pytest.raises(WorkflowFailureError) as caught:
            await client.execute_workflow("CleanupStaleUploads", id=f"u-{ULID()}", task_queue=UPLOADS_QUEUE)
    assert "MINTKEEPER_STORAGE_URL" in str(caught.value.cause.cause)


async def test_many_codes_go_in_batches(db, monkeypatch):
    """Ended ones only, however many."""
    monkeypatch.setattr("activities.cleanup.BATCH", 2)
    record = await an_open(db)
    for number in range(5):
        await send_code(db, record, at=ago(hours=2, minutes=number))
    await send_code(db, record)
    done = await ActivityEnvironment().run(CodeCleanup(db).cleanup_expired_otps)
    assert done == CodesCleaned(deleted=5)
    assert len(await all_rows(db, "SELECT 1 FROM one_time_codes")) == 1
