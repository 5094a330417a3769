"""What every handler works with."""

from __future__ import annotations

import json
from functools import lru_cache

from sandbox.ledger.envelopes import FeeBump, Transaction
from sandbox.ledger.history import TransactionRecord
from sandbox.ledger.http.render import render_transaction
from sandbox.ledger.node import Node

# Decoded envelopes and rendered transactions never change; the newest are asked for again and again.
_KEPT = 4096


def dump(body: object) -> bytes:
    """JSON without spare spaces."""
    return json.dumps(body, separators=(",", ":")).encode()


class Context:
    """The node and the address it is reached under."""

    def __init__(self, node: Node, base_url: str) -> None:
        self.node = node
        self.base_url = base_url
        self.decode = lru_cache(maxsize=_KEPT)(node.decode)
        self._body = lru_cache(maxsize=_KEPT)(self._render)

    def submission(self, record: TransactionRecord) -> Transaction | FeeBump:
        """The decoded envelope of a record."""
        return self.decode(record.envelope_xdr)

    def transaction_body(self, record: TransactionRecord, asked_hash: str = "") -> bytes:
        """The rendered transaction, under its own hash or the inner one."""
        return self._body(record, asked_hash or record.hash)

    def _render(self, record: TransactionRecord, asked_hash: str) -> bytes:
        return dump(render_transaction(record, self.submission(record), self.base_url, asked_hash))
