"""A mint request and its accounts, for tests that need no ledger."""

from datetime import datetime

from stellar_sdk import Keypair

from activities.stellar.signers import LocalSigner, Wallet
from domain.amounts import Asset
from domain.mint_request import MintRequest
from settings import TESTNET_PASSPHRASE

ISSUER = Keypair.from_raw_ed25519_seed(b"issuer".ljust(32, b"."))
CHANNEL = Keypair.from_raw_ed25519_seed(b"channel".ljust(32, b"."))
HOLDER = Keypair.from_raw_ed25519_seed(b"holder".ljust(32, b"."))


def a_request(deadline: datetime | None = None, **changes) -> MintRequest:
    """A mint of 2500 EURT to the holder, or with other values."""
    values = {
        "id": "mr_" + "A" * 26,
        "tenant": "acme",
        "network_passphrase": TESTNET_PASSPHRASE,
        "asset": Asset(code="EURT", issuer=ISSUER.public_key),
        "amount": 25_000_000_000,
        "destination": HOLDER.public_key,
        "topic": "redemptions",
        "requester": "rita",
        "ledger_deadline": deadline,
    }
    return MintRequest(**values | changes)


def a_wallet(*channels: Keypair) -> Wallet:
    """The issuer's key, and these channel accounts (none: the issuer is the only channel)."""
    return Wallet(LocalSigner(ISSUER), [LocalSigner(channel) for channel in channels])
