"""The operations the sandbox ledger knows; `OPERATIONS` is the one table of them."""

from __future__ import annotations

from typing import Final

from stellar_sdk import xdr

from sandbox.ledger.operations.accounts import ACCOUNT_MERGE, BUMP_SEQUENCE, CREATE_ACCOUNT, MANAGE_DATA
from sandbox.ledger.operations.base import OpContext, Operation
from sandbox.ledger.operations.claimable import (
    CLAIM_CLAIMABLE_BALANCE,
    CLAWBACK_CLAIMABLE_BALANCE,
    CREATE_CLAIMABLE_BALANCE,
)
from sandbox.ledger.operations.options import SET_OPTIONS
from sandbox.ledger.operations.payment import PAYMENT
from sandbox.ledger.operations.sponsorship import (
    BEGIN_SPONSORING_FUTURE_RESERVES,
    END_SPONSORING_FUTURE_RESERVES,
    REVOKE_SPONSORSHIP,
)
from sandbox.ledger.operations.trust import ALLOW_TRUST, CHANGE_TRUST, CLAWBACK, SET_TRUST_LINE_FLAGS

__all__ = ["OPERATIONS", "OpContext", "Operation"]

_Type = xdr.OperationType

OPERATIONS: Final[dict[xdr.OperationType, Operation]] = {
    _Type.CREATE_ACCOUNT: CREATE_ACCOUNT,
    _Type.PAYMENT: PAYMENT,
    _Type.CHANGE_TRUST: CHANGE_TRUST,
    _Type.ALLOW_TRUST: ALLOW_TRUST,
    _Type.SET_TRUST_LINE_FLAGS: SET_TRUST_LINE_FLAGS,
    _Type.SET_OPTIONS: SET_OPTIONS,
    _Type.MANAGE_DATA: MANAGE_DATA,
    _Type.BUMP_SEQUENCE: BUMP_SEQUENCE,
    _Type.ACCOUNT_MERGE: ACCOUNT_MERGE,
    _Type.CREATE_CLAIMABLE_BALANCE: CREATE_CLAIMABLE_BALANCE,
    _Type.CLAIM_CLAIMABLE_BALANCE: CLAIM_CLAIMABLE_BALANCE,
    _Type.BEGIN_SPONSORING_FUTURE_RESERVES: BEGIN_SPONSORING_FUTURE_RESERVES,
    _Type.END_SPONSORING_FUTURE_RESERVES: END_SPONSORING_FUTURE_RESERVES,
    _Type.REVOKE_SPONSORSHIP: REVOKE_SPONSORSHIP,
    _Type.CLAWBACK: CLAWBACK,
    _Type.CLAWBACK_CLAIMABLE_BALANCE: CLAWBACK_CLAIMABLE_BALANCE,
}
