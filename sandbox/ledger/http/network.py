"""The root resource and the fee statistics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from functools import lru_cache
from itertools import accumulate
from typing import Any

from aiohttp import web

from sandbox.ledger.http.context import Context, dump
from sandbox.ledger.http.paging import hal
from sandbox.ledger.http.render import link, timestamp
from sandbox.ledger.rules import BASE_FEE, PROTOCOL_VERSION

_VERSION = "sandbox-ledger"
_STATISTICS_LEDGERS = 5
_PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)
_PAGE = "{?cursor,limit,order}"


class NetworkRoutes:
    """Handlers about the network as a whole."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._statistics = lru_cache(maxsize=_STATISTICS_LEDGERS)(self._fee_stats)

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
            "effects": f"/effects{_PAGE}",
            "fee_stats": "/fee_stats",
            "friendbot": "/friendbot{?addr}",
            "ledger": "/ledgers/{sequence}",
            "ledgers": f"/ledgers{_PAGE}",
            "operation": "/operations/{id}",
            "operations": "/operations{?cursor,limit,order,include_failed}",
            "payments": "/payments{?cursor,limit,order,include_failed}",
            "self": "/",
            "transaction": "/transactions/{hash}",
            "transactions": f"/transactions{_PAGE}",
        }
        return {name: link(self._context.base_url + path) for name, path in paths.items()}

    async def fee_stats(self, _request: web.Request) -> web.Response:
        """GET /fee_stats: fees per operation in the last five ledgers, of failed transactions, too."""
        view = self._context.node.view()
        return hal(self._statistics(view.ledger.sequence, max(BASE_FEE, self._context.node.fee_floor())))

    def _fee_stats(self, newest: int, floor: int) -> bytes:
        history = self._context.node.chain.history
        ledgers = history.ledgers[max(0, newest - _STATISTICS_LEDGERS) : newest]
        charged, bids = Counter[int](), Counter[int]()
        used = 0
        for ledger in ledgers:
            if ledger.crowd:
                charged[min(ledger.crowd_bid, ledger.base_fee)] += ledger.crowd
                bids[ledger.crowd_bid] += ledger.crowd
            used += ledger.set_operations + ledger.crowd
            for record in history.of_ledger(ledger.sequence):
                submission = self._context.submission(record)
                charged[record.fee_charged // submission.operation_count] += 1
                bids[submission.fee // submission.operation_count] += 1
        usage = used / sum(ledger.capacity for ledger in ledgers)
        body = {
            "last_ledger": str(newest),
            "last_ledger_base_fee": str(floor),
            "ledger_capacity_usage": f"{usage:.2f}".rstrip("0").rstrip(".") or "0",
            "fee_charged": _distribution(charged or Counter({floor: 1})),
            "max_fee": _distribution(bids or Counter({floor: 1})),
        }
        return dump(body)


def _distribution(values: Counter[int]) -> dict[str, str]:
    """Extremes, mode and percentiles, all as strings."""
    ordered = sorted(values)
    most = max(values.values())
    body = {
        "max": str(ordered[-1]),
        "min": str(ordered[0]),
        "mode": str(next(value for value in ordered if values[value] == most)),
    }
    reached = list(accumulate(values[value] for value in ordered))
    for percent in _PERCENTILES:
        wanted = max(1, -(-reached[-1] * percent // 100))
        body[f"p{percent}"] = str(ordered[bisect_left(reached, wanted)])
    return body
