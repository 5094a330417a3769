"""Operations and payments, of everything, an account, a ledger or a transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiohttp import web

from sandbox.ledger.history import TransactionRecord
from sandbox.ledger.http.accounts import known_account
from sandbox.ledger.http.context import Context, dump
from sandbox.ledger.http.ledgers import find_transaction, includes_failed, last_token, ledger_number
from sandbox.ledger.http.paging import Page, page_response
from sandbox.ledger.http.problems import not_found
from sandbox.ledger.http.render_operations import OperationRecord, operations_of, render_operation
from sandbox.ledger.node import View

_IN_TRANSACTION = (1 << 12) - 1


class OperationRoutes:
    """Handlers for /operations and /payments."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def page(self, request: web.Request) -> web.Response:
        """GET /operations and /payments, alone or under an account, a ledger or a transaction."""
        page = Page.of(request)
        view = self._context.node.view()
        account = known_account(request) if "account_id" in request.match_info else ""
        records = _records(request, view, account)
        if records is None:
            return not_found()
        payments = request.path.endswith("/payments")
        everything = includes_failed(request) or "hash" in request.match_info
        found = page.take(
            item
            for item in self._in_order(page, records, view)
            if (everything or item.record.successful)
            and (item.is_payment or not payments)
            and (not account or account in item.accounts)
        )
        bodies = [dump(render_operation(item, self._context.base_url)) for item in found]
        tokens = [str(item.token) for item in found]
        return page_response(request, self._context.base_url, page, tokens, bodies)

    def _in_order(
        self, page: Page, records: Sequence[TransactionRecord], view: View
    ) -> Iterator[OperationRecord]:
        """The operations behind the cursor, decoded one transaction after the other as they are asked for."""
        cursor = page.number()
        whole = Page(_around(cursor, page.descending), page.descending, page.limit)
        for record in whole.of_history(records, lambda item: item.paging_token, last_token(view)):
            operations = operations_of(record, self._context.submission(record).transaction)
            for item in reversed(operations) if page.descending else operations:
                if cursor is None or (item.token < cursor if page.descending else item.token > cursor):
                    yield item


def _around(cursor: int | None, descending: bool) -> str:
    """A cursor for transactions that leaves in the one the operation cursor points into."""
    if cursor is None:
        return ""
    return str(cursor | _IN_TRANSACTION) if descending else str(max(0, (cursor & ~_IN_TRANSACTION) - 1))


def _records(request: web.Request, view: View, account: str) -> Sequence[TransactionRecord] | None:
    """Where to look; None if a transaction was named that is not there."""
    if account:
        return view.history.of_account(account)
    if "sequence" in request.match_info:
        return view.history.of_ledger(ledger_number(request))
    if "hash" in request.match_info:
        record = find_transaction(view, request.match_info["hash"].lower())
        return [record] if record else None
    return view.history.transactions
