"""Assets and amounts: integers in stroops inside, decimal strings with 7 places outside, never floats."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import InvalidInput
from domain.strkey import is_account_id

STROOPS_PER_UNIT = 10_000_000
"""Stellar keeps seven decimal places."""

MAX_STROOPS = 2**63 - 1
"""Amounts on the ledger are signed 64-bit."""

_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)
_ASSET_CODE = re.compile(r"[A-Za-z0-9]{1,12}", re.ASCII)

Stroops = Annotated[int, Field(strict=True, gt=0, le=MAX_STROOPS)]
"""A positive amount in 10^-7 of an asset unit."""


def parse_amount(text: str) -> int:
    """Turn a decimal string into stroops, exactly.

    Raises InvalidInput for signs, exponents, `NaN`, more than 7 decimals, zero, or above int64 stroops.
    """
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"amount {text!r} is not a plain decimal number such as 2500.0000000", "amount")
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > 7:
        raise InvalidInput(f"amount {text!r} has more than 7 decimal places", "amount")
    # int() of an absurdly long digit string is refused by Python itself, so bound it first
    if len(whole) > 12:
        raise InvalidInput(f"amount {text!r} is above the ledger's maximum 922337203685.4775807", "amount")
    stroops = int(whole) * STROOPS_PER_UNIT + int(fraction.ljust(7, "0"))
    if stroops == 0:
        raise InvalidInput("amount must be greater than zero", "amount")
    if stroops > MAX_STROOPS:
        raise InvalidInput(f"amount {text!r} is above the ledger's maximum 922337203685.4775807", "amount")
    return stroops


def format_amount(stroops: int) -> str:
    """Write stroops as a decimal string with 7 places."""
    sign = "-" if stroops < 0 else ""
    whole, fraction = divmod(abs(stroops), STROOPS_PER_UNIT)
    return f"{sign}{whole}.{fraction:07d}"


class Asset(BaseModel):
    """An issued Stellar asset: a code of 1 to 12 letters or digits, and the account that issues it."""

    model_config = ConfigDict(frozen=True)

    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,12}$")]
    issuer: str

    @classmethod
    def parse(cls, text: str) -> Asset:
        """Read `CODE:ISSUER`; raises InvalidInput."""
        code, separator, issuer = text.strip().partition(":")
        if not separator:
            raise InvalidInput(f"asset {text!r} is not of the form CODE:ISSUER", "asset")
        if _ASSET_CODE.fullmatch(code) is None:
            raise InvalidInput(f"asset code {code!r} is not 1 to 12 letters or digits", "asset")
        if not is_account_id(issuer):
            raise InvalidInput(f"issuer {issuer!r} is not a Stellar account (G…, 56 characters)", "asset")
        return cls(code=code, issuer=issuer)

    def __str__(self) -> str:
        return f"{self.code}:{self.issuer}"
