"""The root resource and the fee statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from sandbox.ledger.http.context import Context, dump
from sandbox.ledger.http.paging import hal
from sandbox.ledger.http.render import link, timestamp
from sandbox.ledger.node import View
from sandbox.ledger.rules import BASE_FEE, MAX_LEDGER_OPERATIONS, PROTOCOL_VERSION

_VERSION = "sandbox-ledger"
_STATISTICS_LEDGERS = 5
_PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)
_PAGE = "{?cursor,limit,order}"


class NetworkRoutes:
    """Handlers about the network as a whole."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def root(self, _request: web.Request) -> web.Response:
        """GET /."""
        node, view = self._context.node, self._context.node.view()
        body = {
            "_links": self._links(),
            "horizon_version": _VERSION,
            "core_version": _VERSION,
            "ingest_latest_ledger": view.ledger.sequence,
            "history_latest_ledger": view.ledger.sequence,
            "history_latest_ledger_closed_at": timestamp(view.ledger.closed_at),
            "history_elder_ledger": 1,
            "core_latest_ledger": node.chain.last.sequence,
            "network_passphrase": node.passphrase,
            "current_protocol_version": PROTOCOL_VERSION,
            "supported_protocol_version": PROTOCOL_VERSION,
            "core_supported_protocol_version": PROTOCOL_VERSION,
        }
        return hal(dump(body))

    def _links(self) -> dict[str, Any]:
        paths = {
            "account": "/accounts/{account_id}",
            "account_transactions": f"/accounts/{{account_id}}/transactions{_PAGE}",
            "assets": "/assets{?asset_code,asset_issuer,cursor,limit,order}",
            "claimable_balances": "/claimable_balances{?asset,sponsor,claimant,cursor,limit,order}",
            "fee_stats": "/fee_stats",
            "friendbot": "/friendbot{?addr}",
            "ledger": "/ledgers/{sequence}",
            "ledgers": f"/ledgers{_PAGE}",
            "operations": "/operations{?cursor,limit,order,include_failed}",
            "payments": "/payments{?cursor,limit,order,include_failed}",
            "self": "/",
            "transaction": "/transactions/{hash}",
            "transactions": f"/transactions{_PAGE}",
        }
        return {name: link(self._context.base_url + path) for name, path in paths.items()}

    async def fee_stats(self, _request: web.Request) -> web.Response:
        """GET /fee_stats: fees per operation in the last five ledgers."""
        view = self._context.node.view()
        charged, bids, used = self._fees(view)
        floor = max(BASE_FEE, self._context.node.fee_floor())
        capacity = used / (_STATISTICS_LEDGERS * MAX_LEDGER_OPERATIONS)
        body = {
            "last_ledger": str(view.ledger.sequence),
            "last_ledger_base_fee": str(floor),
            "ledger_capacity_usage": f"{capacity:.2f}".rstrip("0").rstrip(".") or "0",
            "fee_charged": _distribution(charged or [floor]),
            "max_fee": _distribution(bids or [floor]),
        }
        return hal(dump(body))

    def _fees(self, view: View) -> tuple[list[int], list[int], int]:
        charged, bids, used = [], [], 0
        newest = view.ledger.sequence
        for sequence in range(max(1, newest - _STATISTICS_LEDGERS + 1), newest + 1):
            for record in view.history.of_ledger(sequence):
                submission = self._context.submission(record)
                used += submission.operation_count
                charged.append(-(-record.fee_charged // submission.operation_count))
                bids.append(-(-submission.fee // submission.operation_count))
        return charged, bids, used


def _distribution(values: Sequence[int]) -> dict[str, str]:
    """Extremes, mode and percentiles, all as strings."""
    ordered = sorted(values)
    body = {
        "max": str(ordered[-1]),
        "min": str(ordered[0]),
        "mode": str(max(ordered, key=ordered.count)),
    }
    for percent in _PERCENTILES:
        position = max(0, -(-len(ordered) * percent // 100) - 1)
        body[f"p{percent}"] = str(ordered[position])
    return body
