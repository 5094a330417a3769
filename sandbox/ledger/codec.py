"""Between XDR values and the strings the ledger keeps: account ids, signer keys, assets, amounts."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from stellar_sdk import MuxedAccount, StrKey, xdr

from sandbox.ledger.rules import STROOPS_PER_UNIT

NATIVE = "native"

Value = TypeVar("Value")


def present(value: Value | None) -> Value:
    """A value that the rules say is there, such as the arm a union's type names; LookupError if it is not."""
    if value is None:
        raise LookupError("a value is missing that the ledger's rules promise")
    return value


@lru_cache(maxsize=65536)
def account_from_raw(raw: bytes) -> str:
    """The G... address of a raw Ed25519 public key."""
    return StrKey.encode_ed25519_public_key(raw)


@lru_cache(maxsize=65536)
def raw_from_account(account_id: str) -> bytes:
    """The raw Ed25519 public key of a G... address; ValueError if it is none."""
    return StrKey.decode_ed25519_public_key(account_id)


def is_account_id(text: str) -> bool:
    """Whether ``text`` is a well-formed G... address."""
    return StrKey.is_valid_ed25519_public_key(text)


def account_of(account: xdr.AccountID) -> str:
    """The G... address of an XDR account id."""
    return account_from_raw(present(account.account_id.ed25519).uint256)


def account_of_muxed(account: xdr.MuxedAccount) -> str:
    """The G... address of a possibly muxed account; the id inside an M... address is no ledger identity."""
    if account.med25519 is not None:
        return account_from_raw(account.med25519.ed25519.uint256)
    return account_from_raw(present(account.ed25519).uint256)


def muxed_of(account: xdr.MuxedAccount) -> tuple[str, str] | None:
    """The (M... address, id) of a muxed account, None for a plain one."""
    if account.med25519 is None:
        return None
    muxed = MuxedAccount(account_of_muxed(account), account.med25519.id.uint64)
    return muxed.account_muxed or "", str(account.med25519.id.uint64)


def signer_of(key: xdr.SignerKey) -> str:
    """The strkey (G, T, X or P) of a signer key; empty for a payload signer without payload."""
    if key.ed25519 is not None:
        return account_from_raw(key.ed25519.uint256)
    if key.pre_auth_tx is not None:
        return StrKey.encode_pre_auth_tx(key.pre_auth_tx.uint256)
    if key.hash_x is not None:
        return StrKey.encode_sha256_hash(key.hash_x.uint256)
    payload = present(key.ed25519_signed_payload)
    if not payload.payload:
        return ""
    padded = payload.payload + b"\0" * (-len(payload.payload) % 4)
    return StrKey.encode_ed25519_signed_payload(
        payload.ed25519.uint256 + len(payload.payload).to_bytes(4, "big") + padded
    )


AnyAsset = xdr.Asset | xdr.ChangeTrustAsset | xdr.TrustLineAsset


def asset_of(asset: AnyAsset) -> str:
    """``native`` or ``CODE:ISSUER``; only for assets that `asset_is_valid`."""
    if asset.alpha_num4 is not None:
        code, issuer = asset.alpha_num4.asset_code.asset_code4, asset.alpha_num4.issuer
    elif asset.alpha_num12 is not None:
        code, issuer = asset.alpha_num12.asset_code.asset_code12, asset.alpha_num12.issuer
    else:
        return NATIVE
    return f"{code.rstrip(bytes(1)).decode('ascii')}:{account_of(issuer)}"


def asset_is_valid(asset: AnyAsset) -> bool:
    """Code of ASCII letters and digits with zeros only behind them: 1 to 4, or 5 to 12 in the long form."""
    if asset.type == xdr.AssetType.ASSET_TYPE_NATIVE:
        return True
    if asset.alpha_num4 is not None:
        return _code_is_valid(asset.alpha_num4.asset_code.asset_code4, 1)
    if asset.alpha_num12 is not None:
        return _code_is_valid(asset.alpha_num12.asset_code.asset_code12, 5)
    return False


def _code_is_valid(code: bytes, shortest: int) -> bool:
    text = code.rstrip(bytes(1))
    return len(text) >= shortest and text.isascii() and text.isalnum()


def issuer_of(asset: str) -> str:
    """Issuer of ``CODE:ISSUER``; empty for the native asset."""
    return asset.partition(":")[2]


def amount_string(stroops: int) -> str:
    """Decimal string with seven places, as Horizon writes amounts."""
    sign = "-" if stroops < 0 else ""
    whole, rest = divmod(abs(stroops), STROOPS_PER_UNIT)
    return f"{sign}{whole}.{rest:07d}"
