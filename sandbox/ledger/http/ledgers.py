"""Ledgers and transactions: the history."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiohttp import web

from sandbox.ledger.history import LedgerRecord, TransactionRecord
from sandbox.ledger.http.accounts import known_account
from sandbox.ledger.http.context import Context, dump
from sandbox.ledger.http.paging import BadParameterError, Page, hal, page_response
from sandbox.ledger.http.problems import not_found
from sandbox.ledger.http.render import render_ledger
from sandbox.ledger.http.sse import start_of, stream, wants_stream
from sandbox.ledger.node import View

_HASH = re.compile("[0-9a-f]{64}")
_IN_LEDGER = (1 << 32) - 1
_LEDGER_DIGITS = 10


def _ledger_token(ledger: LedgerRecord) -> int:
    return ledger.sequence << 32


def _token(record: TransactionRecord) -> int:
    return record.paging_token


def last_token(view: View) -> int:
    """The highest position a view may show."""
    return view.ledger.sequence << 32 | _IN_LEDGER


def includes_failed(request: web.Request) -> bool:
    """Whether unsuccessful transactions are asked for as well."""
    return request.query.get("include_failed", "false") == "true"


def ledger_number(request: web.Request) -> int:
    """The ledger of the path; BadParameterError if it is no number."""
    text = request.match_info["sequence"]
    if not text.isdecimal() or len(text) > _LEDGER_DIGITS:
        raise BadParameterError("ledger_id", "ledger_id: must be a number")
    return int(text)


def find_transaction(view: View, asked: str) -> TransactionRecord | None:
    """The transaction of that hash; BadParameterError if it is no hash."""
    if not _HASH.fullmatch(asked):
        raise BadParameterError("tx_id", "tx_id: must be a SHA-256 hash in hex")
    return view.transaction(asked)


class HistoryRoutes:
    """Handlers for closed ledgers and what is in them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ledgers(self, request: web.Request) -> web.StreamResponse:
        """GET /ledgers, also as a stream."""
        if wants_stream(request):
            return await stream(
                request,
                self._context.node,
                start_of(request),
                lambda view: _ledger_token(view.ledger),
                self._ledgers_behind,
            )
        page = Page.of(request)
        view = self._context.node.view()
        found = page.take(page.of_history(view.history.ledgers, _ledger_token, last_token(view)))
        tokens = [str(_ledger_token(ledger)) for ledger in found]
        return page_response(
            request, self._context.base_url, page, tokens, [self._ledger(item) for item in found]
        )

    def _ledgers_behind(self, view: View, position: int) -> list[tuple[int, bytes]]:
        first = position >> 32
        ledgers = view.history.ledgers[first : view.ledger.sequence]
        return [(_ledger_token(ledger), self._ledger(ledger)) for ledger in ledgers]

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
        """GET /transactions, also as a stream."""
        if wants_stream(request):
            return await stream(
                request, self._context.node, start_of(request), last_token, self._transactions_behind
            )
        return self._transaction_page(request, self._context.node.view().history.transactions)

    def _transactions_behind(self, view: View, position: int) -> list[tuple[int, bytes]]:
        page = Page(str(position), False, 0)
        records = page.of_history(view.history.transactions, _token, last_token(view))
        return [
            (record.paging_token, self._context.transaction_body(record))
            for record in records
            if record.successful
        ]

    async def transactions_of_account(self, request: web.Request) -> web.Response:
        """GET /accounts/{account_id}/transactions."""
        return self._transaction_page(
            request, self._context.node.chain.history.of_account(known_account(request))
        )

    async def transactions_of_ledger(self, request: web.Request) -> web.Response:
        """GET /ledgers/{sequence}/transactions."""
        return self._transaction_page(
            request, self._context.node.chain.history.of_ledger(ledger_number(request))
        )

    def _transaction_page(self, request: web.Request, records: Sequence[TransactionRecord]) -> web.Response:
        page = Page.of(request)
        view = self._context.node.view()
        everything = includes_failed(request)
        visible = page.of_history(records, _token, last_token(view))
        found = page.take(record for record in visible if everything or record.successful)
        bodies = [self._context.transaction_body(record) for record in found]
        tokens = [str(record.paging_token) for record in found]
        return page_response(request, self._context.base_url, page, tokens, bodies)

    async def transaction(self, request: web.Request) -> web.Response:
        """GET /transactions/{hash}, of an outer or an inner transaction."""
        asked = request.match_info["hash"].lower()
        record = find_transaction(self._context.node.view(), asked)
        return hal(self._context.transaction_body(record, asked)) if record else not_found()
