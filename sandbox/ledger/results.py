"""Result codes of operations and transactions, and their exact XDR form."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import pack
from typing import Final

from stellar_sdk import xdr

Op = xdr.OperationType
OpCode = xdr.OperationResultCode
TxCode = xdr.TransactionResultCode

_NAME_PREFIXES: Final = {
    "AllowTrustResultCode": "ALLOW_TRUST_",
    "AccountMergeResultCode": "ACCOUNT_MERGE_",
    "BeginSponsoringFutureReservesResultCode": "BEGIN_SPONSORING_FUTURE_RESERVES_",
    "BumpSequenceResultCode": "BUMP_SEQUENCE_",
    "ChangeTrustResultCode": "CHANGE_TRUST_",
    "ClaimClaimableBalanceResultCode": "CLAIM_CLAIMABLE_BALANCE_",
    "ClawbackClaimableBalanceResultCode": "CLAWBACK_CLAIMABLE_BALANCE_",
    "ClawbackResultCode": "CLAWBACK_",
    "CreateAccountResultCode": "CREATE_ACCOUNT_",
    "CreateClaimableBalanceResultCode": "CREATE_CLAIMABLE_BALANCE_",
    "EndSponsoringFutureReservesResultCode": "END_SPONSORING_FUTURE_RESERVES_",
    "ManageDataResultCode": "MANAGE_DATA_",
    "OperationResultCode": "op",
    "PaymentResultCode": "PAYMENT_",
    "RevokeSponsorshipResultCode": "REVOKE_SPONSORSHIP_",
    "SetOptionsResultCode": "SET_OPTIONS_",
    "SetTrustLineFlagsResultCode": "SET_TRUST_LINE_FLAGS_",
    "_Unapplied": "",
}
# The names of Horizon that do not follow from the name of the code.
_IRREGULAR: Final = {
    "opNO_ACCOUNT": "op_no_source_account",
    "CREATE_ACCOUNT_ALREADY_EXIST": "op_already_exists",
    "MANAGE_DATA_NAME_NOT_FOUND": "op_data_name_not_found",
    "MANAGE_DATA_INVALID_NAME": "op_data_invalid_name",
    "MANAGE_DATA_NOT_SUPPORTED_YET": "op_not_supported_yet",
    "CHANGE_TRUST_NOT_AUTH_MAINTAIN_LIABILITIES": "op_not_aut_maintain_liabilities",
    "ALLOW_TRUST_TRUST_NOT_REQUIRED": "op_not_required",
    "ACCOUNT_MERGE_SEQNUM_TOO_FAR": "op_seq_num_too_far",
    "SET_TRUST_LINE_FLAGS_NO_TRUST_LINE": "op_no_trust",
    "ALLOW_TRUST_NO_TRUST_LINE": "op_no_trust",
    "CLAWBACK_NOT_CLAWBACK_ENABLED": "op_not_clawback_enabled",
    "CLAWBACK_CLAIMABLE_BALANCE_NOT_ISSUER": "op_no_issuer",
    "txNO_ACCOUNT": "tx_no_source_account",
    "txBAD_MIN_SEQ_AGE_OR_GAP": "tx_bad_minseq_age_or_gap",
}
_OFFER_SUCCESS: Final = bytes(4 + 4 + 76)
_PATH_SUCCESS: Final = bytes(4 + 48)
# What a success carries: of every kind that may stand beside one that was refused.
_SUCCESS_PAYLOAD: Final = {
    Op.ACCOUNT_MERGE: bytes(8),
    Op.CREATE_CLAIMABLE_BALANCE: bytes(36),
    Op.INFLATION: bytes(4),
    Op.INVOKE_HOST_FUNCTION: bytes(32),
    Op.MANAGE_SELL_OFFER: _OFFER_SUCCESS,
    Op.MANAGE_BUY_OFFER: _OFFER_SUCCESS,
    Op.CREATE_PASSIVE_SELL_OFFER: _OFFER_SUCCESS,
    Op.PATH_PAYMENT_STRICT_RECEIVE: _PATH_SUCCESS,
    Op.PATH_PAYMENT_STRICT_SEND: _PATH_SUCCESS,
}


@dataclass(frozen=True, slots=True)
class OpResult:
    """Result of one operation: its own code (0 is success) or a general one, and what a success carries."""

    kind: xdr.OperationType
    code: IntEnum
    payload: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the operation succeeded."""
        return self.code == 0 and not isinstance(self.code, OpCode)

    @property
    def name(self) -> str:
        """Horizon's string for the code."""
        irregular = _IRREGULAR.get(self.code.name)
        if irregular:
            return irregular
        return "op_" + self.code.name.removeprefix(_NAME_PREFIXES[type(self.code).__name__]).lower()

    def to_xdr(self) -> bytes:
        """XDR OperationResult."""
        if isinstance(self.code, OpCode):
            return pack(">i", self.code)
        return pack(">iii", OpCode.opINNER, self.kind, self.code) + self.payload


class _Unapplied(IntEnum):
    """What stands in the result of an operation that was not looked at: success, with empty contents."""

    SUCCESS = 0


def unapplied(kind: xdr.OperationType) -> OpResult:
    """Result of an operation that was not reached."""
    return OpResult(kind, _Unapplied.SUCCESS, _SUCCESS_PAYLOAD.get(kind, b""))


@dataclass(frozen=True, slots=True)
class TxResult:
    """Result of a transaction; ``operations`` only with txSUCCESS and txFAILED, ``inner`` only for fee bumps.

    ``fee_charged`` is in stroops; in a refusal it informs, with txINSUFFICIENT_FEE of the fee that would do.
    """

    code: xdr.TransactionResultCode
    fee_charged: int
    operations: Sequence[OpResult] = ()
    inner: tuple[bytes, TxResult] | None = None

    @property
    def ok(self) -> bool:
        """Whether the transaction was applied in full."""
        return self.code in (TxCode.txSUCCESS, TxCode.txFEE_BUMP_INNER_SUCCESS)

    @property
    def name(self) -> str:
        """Horizon's string for the code."""
        return _IRREGULAR.get(self.code.name) or "tx_" + self.code.name.removeprefix("tx").lower()

    def _to_bytes(self) -> bytes:
        parts = [pack(">qi", self.fee_charged, self.code)]
        if self.inner is not None:
            parts += [self.inner[0], self.inner[1]._to_bytes()]
        elif self.code in (TxCode.txSUCCESS, TxCode.txFAILED):
            parts.append(pack(">I", len(self.operations)))
            parts += [operation.to_xdr() for operation in self.operations]
        parts.append(bytes(4))
        return b"".join(parts)

    def to_xdr(self) -> str:
        """XDR TransactionResult, base64."""
        return base64.b64encode(self._to_bytes()).decode()

    def codes(self) -> dict[str, object]:
        """The ``result_codes`` of a Horizon problem; without ``operations`` when there are none."""
        codes: dict[str, object] = {"transaction": self.name}
        applied = self
        if self.inner is not None:
            applied = self.inner[1]
            codes["inner_transaction"] = applied.name
        if applied.operations and applied.code in (TxCode.txSUCCESS, TxCode.txFAILED):
            codes["operations"] = [operation.name for operation in applied.operations]
        return codes
