"""The sandbox's own routes, which no real node has: closing by hand, faults, request counts."""

from __future__ import annotations

import json
from collections import Counter

from aiohttp import web

from sandbox.ledger.chain import NotIncreasingError
from sandbox.ledger.faults import UnknownFaultError
from sandbox.ledger.http.context import dump
from sandbox.ledger.http.paging import hal
from sandbox.ledger.http.problems import bad_request
from sandbox.ledger.node import Node

_CAPACITY_DIGITS = 9


class ControlRoutes:
    """Handlers under /sandbox."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.requests: Counter[str] = Counter()

    async def close(self, request: web.Request) -> web.Response:
        """POST /sandbox/close?at=T: close a ledger at unix time T; without, one second after the last."""
        text = request.query.get("at") or str(self._node.chain.last.closed_at + 1)
        if not text.isdecimal() or len(text) > 18:
            return bad_request("at", "at: must be a unix time in seconds")
        try:
            closed = self._node.close(int(text))
        except NotIncreasingError as error:
            return bad_request("at", f"at: {error}")
        return hal(dump({"ledger": closed.ledger.sequence, "closed_at": closed.ledger.closed_at}))

    async def add_fault(self, request: web.Request) -> web.Response:
        """POST /sandbox/faults: switch a fault on."""
        try:
            wanted = json.loads(await request.text())
            fault = self._node.faults.add(wanted, self._node.chain.last.sequence)
        except (json.JSONDecodeError, AttributeError):
            return bad_request("body", "body: must be a JSON object")
        except UnknownFaultError as error:
            return bad_request("body", str(error))
        self._node.follow_crowd()
        return hal(dump({"kind": fault.kind, "count": fault.count}), status=201)

    async def faults(self, _request: web.Request) -> web.Response:
        """GET /sandbox/faults: what is switched on."""
        return hal(dump({"faults": self._node.faults.describe()}))

    async def clear_faults(self, request: web.Request) -> web.Response:
        """DELETE /sandbox/faults: switch all off, or those of ``?kind=``."""
        self._node.faults.clear(request.query.get("kind"))
        self._node.follow_crowd()
        return hal(dump({"faults": self._node.faults.describe()}))

    async def capacity(self, request: web.Request) -> web.Response:
        """POST /sandbox/capacity?operations=N: how many operations every ledger from the next on takes."""
        text = request.query.get("operations", "")
        if not text.isdecimal() or not 1 <= len(text) <= _CAPACITY_DIGITS or int(text) < 1:
            return bad_request("operations", "operations: must be a whole number above 0")
        self._node.queue.limiter.capacity = int(text)
        return hal(dump({"ledger_capacity": int(text)}))

    async def stats(self, _request: web.Request) -> web.Response:
        """GET /sandbox/stats: requests by method and route since the last reset, transactions that wait."""
        body = {
            "requests": dict(self.requests),
            "total": self.requests.total(),
            "waiting": len(self._node.queue),
            "newest_ledger": self._node.chain.last.sequence,
            "waiting_operations": self._node.queue.limiter.operations,
            "ledger_capacity": self._node.queue.limiter.capacity,
        }
        return hal(dump(body))

    async def clear_stats(self, request: web.Request) -> web.Response:
        """DELETE /sandbox/stats: count anew."""
        self.requests.clear()
        return await self.stats(request)
