"""Removing what nobody needs any more: ended codes and sessions, old tries, uploads that never came."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from activities.pulse import Pulse, beating
from db.reads.conversation import has_attachments, keys_in_use
from db.session import Database
from db.writes import accounts, attachments, codes
from domain import steps
from domain.attachments import STALE, UploadsCleaned
from domain.codes import CodesCleaned
from storage import Stored, open_storage

BATCH = 500
"""Rows of one transaction."""

_NO_STORAGE = "MINTKEEPER_STORAGE_URL is not set, and no document was ever announced"


class CodeCleanup:
    """Needs the database only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=steps.CLEANUP_CODES)
    async def cleanup_expired_otps(self) -> CodesCleaned:
        """Remove codes that ended an hour ago, and what is over of signing in."""
        deleted = sessions = invitations = tries = 0
        async with beating() as pulse:
            while True:
                async with self._database.transaction() as tx:
                    found = await codes.remove_ended(tx, now=datetime.now(UTC), limit=BATCH)
                    over = await accounts.remove_over(tx, now=datetime.now(UTC), limit=BATCH)
                deleted += found
                sessions, invitations, tries = sessions + over[0], invitations + over[1], tries + over[2]
                pulse(str(deleted + sessions + invitations + tries))
                if max(found, *over) < BATCH:
                    return CodesCleaned(
                        deleted=deleted, sessions=sessions, invitations=invitations, tries=tries
                    )


class UploadCleanup:
    """Needs the database and the storage, which a worker without documents may lack."""

    def __init__(self, database: Database, storage_url: str) -> None:
        self._database = database
        self._storage_url = storage_url

    @activity.defn(name=steps.CLEANUP_UPLOADS)
    async def cleanup_stale_uploads(self) -> UploadsCleaned:
        """Give up uploads that are a day old, and remove bytes of that age that belong to no document.

        The rows go first: bytes without a row are found again by the next run, a document without its
        bytes never. Without a storage and without any upload there is nothing to do, which the answer says.
        Raises Unavailable, ConfigurationError.
        """
        if not self._storage_url and not await self._any_uploads():
            return UploadsCleaned(uploads=0, objects=0, note=_NO_STORAGE)
        before = datetime.now(UTC) - STALE
        async with beating() as pulse:
            uploads, objects = await self._give_up(before, pulse)
            objects += await self._sweep(before, pulse)
            objects += await open_storage(self._storage_url).remove_halves(before)
        return UploadsCleaned(uploads=uploads, objects=objects)

    async def _any_uploads(self) -> bool:
        async with self._database.transaction() as tx:
            return await has_attachments(tx)

    async def _give_up(self, before: datetime, pulse: Pulse) -> tuple[int, int]:
        """Pending rows, and at once what a dead upload of theirs has left, however young."""
        storage = open_storage(self._storage_url)
        uploads = objects = 0
        while True:
            async with self._database.transaction() as tx:
                given_up = await attachments.give_up_pending(tx, before=before, limit=BATCH)
            for attachment_id in given_up:
                pulse(attachment_id)
                async for page in storage.pages(f"{attachment_id}/"):
                    await storage.delete([one.key for one in page])
                    objects += len(page)
            uploads += len(given_up)
            if len(given_up) < BATCH:
                return uploads, objects

    async def _sweep(self, before: datetime, pulse: Pulse) -> int:
        """Everything that is there, against the rows."""
        storage = open_storage(self._storage_url)
        removed = 0
        async for page in storage.pages():
            old = [one for one in page if one.modified_at < before]
            orphans = await self._orphans(old)
            await storage.delete(orphans)
            removed += len(orphans)
            pulse(str(removed))
        return removed

    async def _orphans(self, found: list[Stored]) -> list[str]:
        # only what looks like ours: somebody may keep other things below the same prefix
        keys = [one.key for one in found if one.key.startswith("att_")]
        if not keys:
            return []
        async with self._database.transaction() as tx:
            used = await keys_in_use(tx, keys)
        return [key for key in keys if key not in used]
