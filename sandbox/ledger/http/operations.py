"""Operations, payments and effects: of everything, an account, a ledger, a transaction, an operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from aiohttp import web

from sandbox.ledger.history import touched_balances
from sandbox.ledger.http.accounts import known_account
from sandbox.ledger.http.context import Context, dump
from sandbox.ledger.http.effects import EffectRecord, effects_of, render_effect
from sandbox.ledger.http.ledgers import includes_failed, record_token, scope
from sandbox.ledger.http.paging import BadParameterError, Page, hal, last_token
from sandbox.ledger.http.problems import not_found
from sandbox.ledger.http.render_operations import OperationRecord, operations_of, render_operation
from sandbox.ledger.http.sse import answer
from sandbox.ledger.node import View

_IN_TRANSACTION = (1 << 12) - 1
_TOKEN_DIGITS = 19

Position = TypeVar("Position", int, tuple[int, int])


class OperationRoutes:
    """Handlers for /operations, /payments and /effects."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def page(self, request: web.Request) -> web.StreamResponse:
        """GET /operations and /payments, alone or under an account, a balance, a ledger or a transaction."""
        payments = request.path.rstrip("/").endswith("/payments")
        everything = includes_failed(request) or "hash" in request.match_info
        account = known_account(request) if "account_id" in request.match_info else ""
        balance = request.match_info.get("balance_id", "")

        def wanted(item: OperationRecord) -> bool:
            shown = (everything or item.record.successful) and (item.is_payment or not payments)
            mine = not account or account in item.accounts
            return shown and mine and (not balance or balance in touched_balances(item.changes))

        def fetch(page: Page, view: View) -> list[tuple[str, bytes]]:
            cursor = page.number()
            items = self._in_order(request, page, view, cursor)
            found = page.take(
                item for item in items if wanted(item) and _is_behind(item.token, cursor, page.descending)
            )
            return [(str(item.token), dump(render_operation(item, self._context.base_url))) for item in found]

        return await answer(request, self._context, fetch)

    async def operation(self, request: web.Request) -> web.Response:
        """GET /operations/{operation_id}."""
        item = self._find(request, self._context.node.view())
        return hal(dump(render_operation(item, self._context.base_url))) if item else not_found()

    async def effects(self, request: web.Request) -> web.StreamResponse:
        """GET /effects, alone or under an account, a ledger, a transaction or an operation."""
        account = known_account(request) if "account_id" in request.match_info else ""

        def fetch(page: Page, view: View) -> list[tuple[str, bytes]]:
            cursor = page.pair()
            items = self._effects_in_order(request, page, view)
            found = page.take(
                item
                for item in items
                if account in ("", item.account) and _is_behind(item.position, cursor, page.descending)
            )
            return [(item.token, dump(render_effect(item, self._context.base_url))) for item in found]

        return await answer(request, self._context, fetch)

    def _effects_in_order(self, request: web.Request, page: Page, view: View) -> Iterator[EffectRecord]:
        if "operation_id" in request.match_info:
            one = self._find(request, view)
            operations = iter([one] if one else [])
        else:
            cursor = page.pair()
            operations = self._in_order(request, page, view, cursor[0] if cursor else None)
        for operation in operations:
            found = effects_of(operation)
            yield from reversed(found) if page.descending else found

    def _find(self, request: web.Request, view: View) -> OperationRecord | None:
        text = request.match_info["operation_id"]
        if not text.isdecimal() or len(text) > _TOKEN_DIGITS:
            raise BadParameterError("id", "id: must be a number")
        token = int(text)
        for record in view.history.of_ledger(token >> 32):
            if token > record.paging_token and token & ~_IN_TRANSACTION == record.paging_token:
                operations = operations_of(record, self._context.submission(record).transaction)
                return next((item for item in operations if item.token == token), None)
        return None

    def _in_order(
        self, request: web.Request, page: Page, view: View, cursor: int | None
    ) -> Iterator[OperationRecord]:
        """The operations of the transactions from the cursor's on, decoded one after the other as needed."""
        whole = Page(_around(cursor, page.descending), page.descending, page.limit)
        for record in whole.of_history(scope(request, view), record_token, last_token(view)):
            operations = operations_of(record, self._context.submission(record).transaction)
            yield from reversed(operations) if page.descending else operations


def _is_behind(position: Position, cursor: Position | None, descending: bool) -> bool:
    if cursor is None:
        return True
    return position < cursor if descending else position > cursor


def _around(cursor: int | None, descending: bool) -> str:
    """A cursor for transactions that leaves in the one the operation cursor points into."""
    if cursor is None:
        return ""
    return str(cursor | _IN_TRANSACTION) if descending else str(max(0, (cursor & ~_IN_TRANSACTION) - 1))
