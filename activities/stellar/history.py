"""What other transactions did to an account since the envelope was signed; for inspections and suspicions."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stellar_sdk import AccountMerge, BumpSequence, Transaction
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.exceptions import BaseRequestError
from stellar_sdk.server_async import ServerAsync

from activities.stellar import decoding
from activities.stellar.horizon import READ_SECONDS, HorizonUnavailable
from activities.stellar.result_codes import read_result
from domain.evidence import INNER_FAILED, MAX_OTHERS, Searched, SeenTransaction, SequenceUse
from domain.mint_request import MintRequest
from domain.submission import StoredEnvelope
from domain.tickets import Ticket
from domain.weighing import issuing_operations

PAGE_SIZE = 200
"""Records in a page: the most that Horizon gives."""

MAX_PAGES = 20
"""Pages read of one account: 4,000 transactions."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A transaction in an account's history, by every hash it goes by."""

    record: dict[str, Any]
    hashes: frozenset[str]
    network: str

    def transaction(self) -> Transaction:
        return decoding.decode(self.record["envelope_xdr"], self.network)

    def was_applied(self) -> bool:
        """A fee bump that failed by itself leaves the inner transaction and its sequence untouched."""
        if self.record["successful"] or "inner_transaction" not in self.record:
            return True
        return read_result(self.record["result_xdr"]).transaction == INNER_FAILED

    def seen(self, transaction: Transaction, own: frozenset[str]) -> SeenTransaction:
        """As evidence; under the request's own hash, if it has one of them."""
        return SeenTransaction(
            hash=next(iter(self.hashes & own), self.record["hash"]),
            ledger=self.record["ledger"],
            closed_at=datetime.fromisoformat(self.record["created_at"]),
            successful=self.record["successful"],
            source=decoding.source_of(transaction),
            sequence=transaction.sequence,
            memo=decoding.memo_text(transaction.memo),
            operations=decoding.operations_of(transaction),
            operation_count=len(transaction.operations),
        )


class History:
    """The transactions after one envelope was signed, oldest first, a bounded number of them.

    Every method raises HorizonUnavailable, also where this Horizon's history begins later.
    """

    def __init__(
        self, url: str, request: MintRequest, stored: StoredEnvelope, ticket: Ticket | None = None
    ) -> None:
        self._url = url
        # from its ticket on another mint of the request could land, and use the ticket up
        self._since = (ticket or stored).signed_at_ledger
        self._request = request
        self._stored = stored
        self._own = frozenset(stored.hashes())

    async def sequence_use(self) -> tuple[SequenceUse | None, Searched]:
        """The first transaction of the channel account after which the sequence can't be used any more.

        Each kind is certain by itself, whatever else a history with gaps may hide: a sequence is used
        once, and a jump over it or the account's end counts only from below it.
        """
        count = 0
        with _readable():
            async for entry in self._entries(self._stored.channel, failed=True):
                count += 1
                use = self._use(entry)
                if use is not None:
                    return use, self._searched(count)
        return None, self._searched(count)

    async def other_payments(
        self, use: SequenceUse | None = None
    ) -> tuple[tuple[SeenTransaction, ...], Searched]:
        """Successful transactions with the request's digest as memo that issue its asset, not its own.

        What used the sequence is looked at too: the issuer's pages may come from a node that is behind.
        """
        digest = base64.b64encode(bytes.fromhex(self._request.digest())).decode()
        count, others = 0, [use.by] if use is not None and self._pays(use.by) else []
        with _readable():
            async for entry in self._entries(self._request.asset.issuer, failed=False):
                count += 1
                if entry.record.get("memo") != digest or entry.hashes & self._own:
                    continue
                seen = entry.seen(entry.transaction(), self._own)
                if self._pays(seen) and seen not in others:
                    others.append(seen)
        return tuple(others[:MAX_OTHERS]), self._searched(count)

    def _pays(self, seen: SeenTransaction) -> bool:
        if seen.hash in self._own or not seen.successful:
            return False
        digest = f"hash:{self._request.digest()}"
        return seen.memo == digest and bool(issuing_operations(self._request, seen))

    def _use(self, entry: _Entry) -> SequenceUse | None:
        if entry.record["source_account"] != self._stored.channel or not entry.was_applied():
            return None
        transaction = entry.transaction()
        how = self._uses_up(transaction, successful=entry.record["successful"])
        if how is None:
            return None
        return SequenceUse.model_validate({"how": how, "by": entry.seen(transaction, self._own)})

    def _uses_up(self, transaction: Transaction, *, successful: bool) -> str | None:
        sequence, channel = self._stored.sequence, self._stored.channel
        if transaction.sequence == sequence:
            return "same_sequence"
        if transaction.sequence > sequence or not successful:
            return None
        for operation in transaction.operations:
            if decoding.source_of(transaction, operation) != channel:
                continue
            if isinstance(operation, BumpSequence) and operation.bump_to >= sequence:
                return "bumped"
            if isinstance(operation, AccountMerge):
                return "merged"
        return None

    def _searched(self, count: int) -> Searched:
        return Searched(
            transactions=count,
            from_ledger=self._since,
            whole=count < PAGE_SIZE * MAX_PAGES,
        )

    async def _entries(self, account: str, *, failed: bool) -> AsyncIterator[_Entry]:
        client = AiohttpClient(request_timeout=READ_SECONDS)
        async with ServerAsync(self._url, client) as server:
            cursor = str(self._since << 32)
            for _ in range(MAX_PAGES):
                page = server.transactions().for_account(account).include_failed(failed)
                records = await _read(page.order(desc=False).limit(PAGE_SIZE).cursor(cursor))
                for record in records:
                    yield self._entry(record)
                if len(records) < PAGE_SIZE:
                    return
                cursor = records[-1]["paging_token"]

    def _entry(self, record: dict[str, Any]) -> _Entry:
        parts = ("inner_transaction", "fee_bump_transaction")
        hashes = {record["hash"], *(record[part]["hash"] for part in parts if part in record)}
        return _Entry(record, frozenset(hashes), self._request.network_passphrase)


@contextmanager
def _readable() -> Iterator[None]:
    """What can't be read is no answer, and no absence either."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, EOFError) as error:
        raise HorizonUnavailable(f"Horizon's list of transactions can't be read: {error!r}") from error


async def _read(page: Any) -> list[dict[str, Any]]:
    try:
        body = await page.call()
    except BaseRequestError as error:
        status = getattr(error, "status", None)
        if status == 410:
            raise HorizonUnavailable(
                "Horizon's history begins after the envelope was signed: use one with the whole history"
            ) from error
        raise HorizonUnavailable(f"Horizon gave no transactions of an account: {status or error}") from error
    except TimeoutError as error:
        raise HorizonUnavailable("Horizon gave no transactions of an account in time") from error
    records: list[dict[str, Any]] = body["_embedded"]["records"]
    return records
