"""The first ledger of a network: one account that holds everything, its seed derived from the passphrase."""

from __future__ import annotations

from stellar_sdk import Keypair

from sandbox.ledger.entries import Account
from sandbox.ledger.envelopes import network_id
from sandbox.ledger.history import LedgerRecord
from sandbox.ledger.rules import TOTAL_COINS

GENESIS = LedgerRecord(sequence=1, closed_at=0, previous_hash="0" * 64)


def root_keypair(passphrase: str) -> Keypair:
    """Key of the root account: its seed is the network id."""
    return Keypair.from_raw_ed25519_seed(network_id(passphrase))


def root_account(passphrase: str) -> Account:
    """The account that holds all coins at genesis, sequence number 0."""
    return Account(root_keypair(passphrase).public_key, TOTAL_COINS, 0, modified=1)
