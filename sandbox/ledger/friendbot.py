"""Friendbot: new accounts with 10,000 units of the native asset, paid by the root account."""

from __future__ import annotations

from stellar_sdk import Account, TransactionBuilder

from sandbox.ledger.entries import load_account
from sandbox.ledger.envelopes import FeeBump, Transaction
from sandbox.ledger.genesis import root_keypair
from sandbox.ledger.node import Node

STARTING_BALANCE = "10000"


def funding_transaction(node: Node, account_id: str) -> Transaction | FeeBump:
    """A signed transaction that creates ``account_id``; it follows what the root account has waiting."""
    root = root_keypair(node.passphrase)
    waiting = node.queue.last_sequence(root.public_key)
    stored = load_account(node.chain.state, root.public_key)
    sequence = waiting if waiting is not None else (stored.sequence if stored else 0)
    account = Account(root.public_key, sequence)
    builder = TransactionBuilder(account, node.passphrase, base_fee=node.going_rate())
    envelope = builder.add_time_bounds(0, 0).append_create_account_op(account_id, STARTING_BALANCE).build()
    envelope.sign(root)
    return node.decode(envelope.to_xdr())
