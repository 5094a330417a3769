"""A mint request and its accounts, for tests that need no ledger."""

from datetime import datetime

from stellar_sdk import Keypair

from activities.stellar.signers import LocalSigner, Wallet
from domain.amounts import Asset
from domain.ledger_accounts import AccountView
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


def an_account(
    account_id, *, weight=1, low=0, med=0, lines=(), native="100.0000000", entries=0, sponsoring=0,
    revocable=False, data=(), ledger=7, sequence=41,
) -> AccountView:  # fmt: skip
    """An account as Horizon shows it."""
    body = {
        "signers": [{"key": account_id, "weight": weight, "type": "ed25519_public_key"}],
        "thresholds": {"low_threshold": low, "med_threshold": med, "high_threshold": 0},
        "balances": [
            *lines, {"asset_type": "native", "balance": native, "selling_liabilities": "0.0000000"},
        ],
        "flags": {"auth_required": True, "auth_revocable": revocable},
        "subentry_count": entries,
        "num_sponsoring": sponsoring,
        "num_sponsored": 0,
        "data": dict.fromkeys(data, ""),
    }  # fmt: skip
    return AccountView(account_id, ledger, sequence, body)


def a_line(
    limit="922337203685.4775807", balance="0.0000000", *, authorized=True, maintains=False,
    liabilities="0.0000000",
):  # fmt: skip
    """The holder's trustline for the requested asset."""
    return {
        "asset_type": "credit_alphanum4",
        "asset_code": "EURT",
        "asset_issuer": ISSUER.public_key,
        "limit": limit,
        "balance": balance,
        "buying_liabilities": liabilities,
        "is_authorized": authorized,
        "is_authorized_to_maintain_liabilities": authorized or maintains,
    }
