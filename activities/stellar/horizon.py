"""Horizon as a few questions with small typed answers; retries nothing by itself."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.client.response import Response
from stellar_sdk.exceptions import ConnectionError as HorizonConnectionError
from stellar_sdk.exceptions import StreamClientError

from activities.stellar.answers import Answer, judge_answer, no_answer
from activities.stellar.result_codes import read_result
from domain.errors import ConfigurationError, Unavailable
from domain.ledger_accounts import AccountView, NoAccount, account_of, says_absent, stamped
from domain.submission import Landed

_log = logging.getLogger("mintkeeper.horizon")

READ_SECONDS = 5.0
SEND_SECONDS = 10.0

LONGEST_RETRY_AFTER = 60.0
"""Seconds that a server may ask for; time bounds are short, so nobody is left alone for longer."""

PAGE_SIZE = 200
"""Records in a page: the most that Horizon gives."""


class HorizonUnavailable(Unavailable):
    """Horizon gave no usable answer to a read; `retry_after` is in seconds, if it named a pause."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Ledger:
    """A closed ledger; `close_time` in Unix seconds."""

    sequence: int
    close_time: int
    closed_at: datetime
    hash: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A transaction in a page: every hash it goes by, where it landed, and where the next page begins."""

    hashes: tuple[str, ...]
    landed: Landed
    cursor: str


class Horizon:
    """One Horizon (or a balancer before several), with one shared HTTP session."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 64,
        read_seconds: float = READ_SECONDS,
        send_seconds: float = SEND_SECONDS,
    ) -> None:
        self.url = url.rstrip("/")
        self._client = AiohttpClient(
            pool_size=pool_size, request_timeout=read_seconds, post_timeout=send_seconds
        )
        self._background: set[asyncio.Task[None]] = set()

    async def network_passphrase(self) -> str:
        """The network that this Horizon serves; raises HorizonUnavailable."""
        _, body = await self._read("/")
        with _understood("/"):
            return str(body["network_passphrase"])

    async def check_network(self, passphrase: str) -> None:
        """Raise ConfigurationError if this Horizon serves another network; raises HorizonUnavailable."""
        refuse_other_network(self.url, await self.network_passphrase(), passphrase)

    async def newest_ledger(self) -> Ledger:
        """The newest closed ledger that Horizon has taken in; raises HorizonUnavailable."""
        _, body = await self._read("/ledgers?order=desc&limit=1")
        with _understood("/ledgers"):
            return _ledger(body["_embedded"]["records"][0])

    async def follow_ledgers(self, closed: Callable[[Ledger], None]) -> None:
        """Call `closed` for each ledger that closes from now on, for as long as the stream lasts.

        Raises HorizonUnavailable when it breaks and can't be opened again.
        """
        # Horizon ends a stream after `limit` records; the client opens it again behind the last one
        stream = self._client.stream(f"{self.url}/ledgers", {"cursor": "now", "limit": str(PAGE_SIZE)})
        try:
            async with aclosing(stream):
                async for record in stream:
                    with _understood("/ledgers"):
                        closed(_ledger(record))
        except (StreamClientError, OSError) as error:
            raise HorizonUnavailable(f"the ledger stream of Horizon at {self.url} broke") from error

    async def transactions_of(self, account_id: str, cursor: str) -> list[Listed]:
        """A page of the transactions an account took part in, failed ones too; raises HorizonUnavailable."""
        query = f"cursor={cursor}&order=asc&limit={PAGE_SIZE}&include_failed=true"
        _, body = await self._read(f"/accounts/{account_id}/transactions?{query}")
        with _understood("/accounts/…/transactions"):
            return [_listed(record) for record in body["_embedded"]["records"]]

    async def account(self, account_id: str) -> AccountView | NoAccount:
        """An account with the height at which it was read; raises HorizonUnavailable."""
        response, body = await self._read(f"/accounts/{account_id}", absent=True)
        with _understood("/accounts"):
            return account_of(account_id, _stamp(response), response.status_code, body)

    async def accounts_sponsored_by(self, account_id: str) -> list[AccountView]:
        """Every account whose reserves, or some of them, that one keeps; raises HorizonUnavailable."""
        found: list[AccountView] = []
        cursor = ""
        while True:
            query = f"sponsor={account_id}&cursor={cursor}&order=asc&limit={PAGE_SIZE}"
            response, body = await self._read(f"/accounts?{query}")
            with _understood("/accounts"):
                records = body["_embedded"]["records"]
                ledger = _stamp(response)
                found += [AccountView(each["id"], ledger, int(each["sequence"]), each) for each in records]
                if len(records) < PAGE_SIZE:
                    return found
                cursor = str(records[-1]["paging_token"])

    async def transaction(self, hash_: str) -> Landed | None:
        """Where a transaction landed, found by its own hash or by the inner one of a fee bump.

        None says only that this Horizon does not know it at this moment. Raises HorizonUnavailable.
        """
        response, body = await self._read(f"/transactions/{hash_}", absent=True)
        if response.status_code == 404:
            return None
        with _understood("/transactions"):
            return _landed(body)

    async def fee_paid(self) -> int:
        """What 95 of 100 transactions of the last ledgers paid at most, in native stroops an operation.

        Raises HorizonUnavailable.
        """
        _, body = await self._read("/fee_stats")
        with _understood("/fee_stats"):
            return int(body["fee_charged"]["p95"])

    async def send(self, envelope_xdr: str) -> Answer:
        """Hand in an envelope, once. Whatever goes wrong is an answer too: it may have been taken."""
        try:
            response = await self._client.post(f"{self.url}/transactions_async", data={"tx": envelope_xdr})
        except (HorizonConnectionError, TimeoutError) as error:
            return no_answer(type(error.__cause__ or error).__name__)
        return judge_answer(response.status_code, _json(response) or {}, _retry_after(response))

    def background(self, work: Coroutine[Any, Any, None], context: Context) -> asyncio.Task[None]:
        """Run what uses this client until it ends by itself, or the client is closed."""
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("what followed Horizon at %s has failed", self.url, exc_info=task.exception())

    async def close(self) -> None:
        """End what runs in the background, and give the session's connections back."""
        running = list(self._background)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._client.close()

    async def _read(self, path: str, *, absent: bool = False) -> tuple[Response, dict[str, Any]]:
        """GET a document; `absent` lets Horizon's own 404 pass, with its problem document."""
        try:
            response = await self._client.get(self.url + path)
        except (HorizonConnectionError, TimeoutError) as error:
            raise HorizonUnavailable(f"cannot reach Horizon at {self.url}") from error
        body = _json(response)
        status = response.status_code
        not_found = absent and says_absent(status, body)
        if body is None or not (status == 200 or not_found):
            raise HorizonUnavailable(
                f"Horizon at {self.url} answered {status} to {path}", _retry_after(response)
            )
        return response, body


def refuse_other_network(url: str, served: str, wanted: str) -> None:
    """Raise ConfigurationError unless it is the wanted network that the Horizon at `url` serves."""
    if served != wanted:
        raise ConfigurationError(
            f"Horizon at {url} serves the network {served!r}, not {wanted!r}: "
            "check MINTKEEPER_HORIZON_URL and MINTKEEPER_NETWORK_PASSPHRASE"
        )


def _ledger(record: Mapping[str, Any]) -> Ledger:
    closed_at = datetime.fromisoformat(record["closed_at"])
    return Ledger(record["sequence"], int(closed_at.timestamp()), closed_at, record["hash"])


def _landed(body: Mapping[str, Any]) -> Landed:
    successful = bool(body["successful"])
    # asked by the inner hash, Horizon answers with that one; what landed is the wrapping
    wrapping = body.get("fee_bump_transaction") or body
    return Landed(
        found_hash=wrapping["hash"],
        ledger=body["ledger"],
        closed_at=datetime.fromisoformat(body["created_at"]),
        successful=successful,
        result_codes={} if successful else read_result(body["result_xdr"]).as_extras(),
        fee_charged=int(body["fee_charged"]),
    )


def _listed(record: Mapping[str, Any]) -> Listed:
    landed = _landed(record)
    inner = record.get("inner_transaction") or {}
    hashes = tuple(dict.fromkeys([record["hash"], landed.found_hash, *([inner["hash"]] if inner else [])]))
    return Listed(hashes, landed, str(record["paging_token"]))


@contextmanager
def _understood(path: str) -> Iterator[None]:
    """A document that lacks what it must have is no answer."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, EOFError) as error:
        raise HorizonUnavailable(f"Horizon's answer to {path} can't be read: {error!r}") from error


def _json(response: Response) -> dict[str, Any] | None:
    try:
        body = json.loads(response.text)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _header(response: Response, name: str) -> str:
    return next((value for key, value in response.headers.items() if key.lower() == name), "")


def _stamp(response: Response) -> int:
    return stamped(_header(response, "latest-ledger"))


def _retry_after(response: Response) -> float | None:
    text = _header(response, "retry-after")
    return min(float(text), LONGEST_RETRY_AFTER) if text.isdecimal() else None
