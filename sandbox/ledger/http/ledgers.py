"""Ledgers and transactions: the history."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiohttp import web

from sandbox.ledger.history import LedgerRecord, TransactionRecord
from sandbox.ledger.http.accounts import known_account
from sandbox.ledger.http.context import Context, dump
from sandbox.ledger.http.paging import BadParameterError, Page, hal, last_token
from sandbox.ledger.http.problems import not_found
from sandbox.ledger.http.render import render_ledger
from sandbox.ledger.http.sse import answer
from sandbox.ledger.node import View

_HASH = re.compile("[0-9a-f]{64}")
_LEDGER_DIGITS = 10
_TRUE = ("true", "1", "t", "TRUE", "True", "T")


def _ledger_token(ledger: LedgerRecord) -> int:
    return ledger.sequence << 32


def record_token(record: TransactionRecord) -> int:
    """Position of a transaction in history."""
    return record.paging_token


def includes_failed(request: web.Request) -> bool:
    """Whether unsuccessful transactions are asked for as well."""
    return request.query.get("include_failed", "false") in _TRUE


def ledger_number(request: web.Request) -> int:
    """The ledger of the path; BadParameterError if it is no number."""
    text = request.match_info["sequence"]
    if not text.isdecimal() or len(text) > _LEDGER_DIGITS:
        raise BadParameterError("ledger_id", "ledger_id: must be a number")
    return int(text)


def scope(request: web.Request, view: View) -> Sequence[TransactionRecord]:
    """The transactions of the account, balance, ledger or transaction of the path, or all of them.

    Raises:
        BadParameterError: what the path names cannot exist.
        web.HTTPNotFound: it is not known here; an account or balance is once a transaction was about it.
    """
    if "account_id" in request.match_info:
        records = view.history.of_account(known_account(request))
        if records and record_token(records[0]) <= last_token(view):
            return records
    elif "balance_id" in request.match_info:
        records = view.history.of_balance(request.match_info["balance_id"])
        if records and record_token(records[0]) <= last_token(view):
            return records
    elif "sequence" in request.match_info:
        number = ledger_number(request)
        if 1 <= number <= view.ledger.sequence:
            return view.history.of_ledger(number)
    elif "hash" in request.match_info:
        record = _find(request, view)
        if record is not None:
            return [record]
    else:
        return view.history.transactions
    raise web.HTTPNotFound


def _find(request: web.Request, view: View) -> TransactionRecord | None:
    asked = request.match_info["hash"]
    if not _HASH.fullmatch(asked):
        raise BadParameterError("tx_id", "tx_id: must be a SHA-256 hash in lower-case hex")
    return view.transaction(asked)


class HistoryRoutes:
    """Handlers for closed ledgers and what is in them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ledgers(self, request: web.Request) -> web.StreamResponse:
        """GET /ledgers."""

        def fetch(page: Page, view: View) -> list[tuple[str, bytes]]:
            found = page.take(page.of_history(view.history.ledgers, _ledger_token, last_token(view)))
            return [(str(_ledger_token(ledger)), self._ledger(ledger)) for ledger in found]

        return await answer(request, self._context, fetch)

    def _ledger(self, ledger: LedgerRecord) -> bytes:
        return dump(render_ledger(ledger, self._context.base_url))

    async def ledger(self, request: web.Request) -> web.Response:
        """GET /ledgers/{sequence}."""
        view = self._context.node.view()
        ledger = view.history.ledger(ledger_number(request))
        if ledger is None or ledger.sequence > view.ledger.sequence:
            return not_found()
        return hal(self._ledger(ledger))

    async def transactions(self, request: web.Request) -> web.StreamResponse:
        """GET /transactions, of everything, an account, a claimable balance or a ledger."""
        everything = includes_failed(request)

        def fetch(page: Page, view: View) -> list[tuple[str, bytes]]:
            visible = page.of_history(scope(request, view), record_token, last_token(view))
            found = page.take(record for record in visible if everything or record.successful)
            return [(str(item.paging_token), self._context.transaction_body(item)) for item in found]

        return await answer(request, self._context, fetch)

    async def transaction(self, request: web.Request) -> web.Response:
        """GET /transactions/{hash}, of an outer or an inner transaction."""
        record = _find(request, self._context.node.view())
        if record is None:
            return not_found()
        return hal(self._context.transaction_body(record, request.match_info["hash"]))
