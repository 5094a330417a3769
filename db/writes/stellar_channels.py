"""Channel accounts come into being, and those that a request left behind are taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.reads.records import request as read_request
from db.session import Transaction
from db.writes.requests import report_stalled
from db.writes.steps import announce
from domain.channel_accounts import MOST_CHANNELS, ChannelKey, SuspectChannel
from domain.errors import ConfigurationError, Refused
from domain.mint_request import TERMINAL, MintStatus
from domain.submission import Outcome

# any number will do: it stands for "somebody plans channel accounts"
_ONE_PLANNER = text("SELECT pg_advisory_xact_lock(5512347)")
_PLANNED = text("""
SELECT key_index AS index, account FROM stellar_channels WHERE state = 'PLANNED' ORDER BY key_index
""")
_NEXT_INDEX = text("SELECT coalesce(max(key_index) + 1, 0) FROM stellar_channels")
_PLAN = text("""
INSERT INTO stellar_channels (account, key_index, state) VALUES (:account, :index, 'PLANNED')
ON CONFLICT (account) DO NOTHING RETURNING account
""")
_OPEN = text("""
UPDATE stellar_channels SET state = 'FREE'
WHERE state = 'PLANNED' AND account = ANY (CAST(:accounts AS varchar[]))
""")
_LEFT_BEHIND = text("""
SELECT c.account, c.state, c.request_id, r.status, s.request_id IS NULL AS unsigned, s.channel, s.outcome,
    s.proof IS NOT NULL AS proved
FROM stellar_channels c
JOIN mint_requests r ON r.id = c.request_id
LEFT JOIN submissions s ON s.request_id = r.id
WHERE (c.state = 'RESERVED' AND r.status NOT IN ('APPROVED', 'SUBMITTING'))
    OR (c.state = 'FROZEN' AND r.status <> 'ANOMALY')
ORDER BY c.account FOR UPDATE OF c SKIP LOCKED
""")
_TAKE_BACK = text("""
UPDATE stellar_channels SET state = 'FREE', request_id = NULL
WHERE account = :account AND request_id = :request_id AND state = 'RESERVED'
""")

_NEEDS_SUBMISSION = frozenset({MintStatus.CONFIRMED, MintStatus.TIMEOUT_FAILED})
_PROVABLE = frozenset({Outcome.CONFIRMED, Outcome.FAILED, Outcome.TIMEOUT_FAILED})


async def plan_channels(
    tx: Transaction, *, count: int, account_of: Callable[[int], str]
) -> tuple[ChannelKey, ...]:
    """The next `count` keys, written down before anything is sent; what was planned before comes first.

    Doing it again answers the same keys until one of them is opened. `account_of` gives the account of a
    key index. Raises Refused beyond MOST_CHANNELS, ConfigurationError for an account that has a signer
    of its own.
    """
    await tx.run(_ONE_PLANNER)
    planned = [ChannelKey(**row._asdict()) for row in await tx.rows(_PLANNED)]
    first = int(await tx.value(_NEXT_INDEX) or 0)
    wanted = range(first, first + max(count - len(planned), 0))
    if wanted and wanted[-1] >= MOST_CHANNELS:
        raise Refused(f"there are {first} channel accounts, and {MOST_CHANNELS} is the most: ask for fewer")
    for index in wanted:
        key = ChannelKey(index=index, account=account_of(index))
        if await tx.value(_PLAN, key.model_dump()) is None:
            raise ConfigurationError(
                f"channel account {key.account} is key {index} of the mnemonic phrase and has a signer of "
                "its own as well: use another phrase"
            )
        planned.append(key)
    return tuple(planned[:count])


async def open_channels(tx: Transaction, accounts: Sequence[str]) -> None:
    """Planned accounts that exist on the ledger become FREE; the others stay as they are."""
    await tx.run(_OPEN, {"accounts": list(accounts)})


async def take_back_channels(
    tx: Transaction, at: datetime
) -> tuple[tuple[str, ...], tuple[SuspectChannel, ...]]:
    """Return reservations of ended requests to FREE where that is proved; answer the others too.

    Proved is: an outcome with its proof is stored for this very account, or the request has ended with
    nothing stored, and an envelope is never sent before it is stored.
    """
    returned, suspect = [], []
    for row in await tx.rows(_LEFT_BEHIND):
        if why := _doubt(row):
            suspect.append(SuspectChannel(account=row.account, request_id=row.request_id, why=why))
            continue
        await tx.run(_TAKE_BACK, {"account": row.account, "request_id": row.request_id})
        await _note_return(tx, row, at)
        returned.append(row.account)
    return tuple(returned), tuple(suspect)


def _doubt(row: Any) -> str:
    """Why the account must not be used again yet; empty: it may."""
    if row.state == "FROZEN":
        return f"it is frozen, but its request is {row.status}"
    if row.status not in TERMINAL:
        return f"it is reserved, but its request is {row.status}"
    if row.unsigned:
        return f"its request is {row.status} without a submission" if row.status in _NEEDS_SUBMISSION else ""
    if row.channel != row.account:
        return f"its request was submitted over channel account {row.channel}"
    return "" if row.outcome in _PROVABLE and row.proved else "no proof of the submission's outcome is stored"


async def _note_return(tx: Transaction, row: Any, at: datetime) -> None:
    record = await read_request(tx, row.request_id)
    if record is None:
        return
    await announce(
        tx,
        record=record,
        step=f"channel.returned:{row.account}",
        kind="channel.returned",
        actor="audit",
        at=at,
        details={"channel": row.account, "outcome": row.outcome, "status": record.status},
        notices=(),
    )


async def report_channel(tx: Transaction, suspect: SuspectChannel, at: datetime) -> None:
    """Write a suspect channel account into its request's history and tell the leads, once."""
    record = await read_request(tx, suspect.request_id)
    if record is None:
        return
    kind = "audit.channel"
    await report_stalled(
        tx,
        record=record,
        step=f"{kind}:{suspect.account}:{record.version}",
        kind=kind,
        message=f"channel account {suspect.account} is not given back: {suspect.why}",
        at=at,
    )
