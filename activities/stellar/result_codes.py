"""Result codes of the ledger, as the strings Horizon uses."""

from __future__ import annotations

from dataclasses import dataclass

from stellar_sdk import xdr

DATA_NAME_NOT_FOUND = "op_data_name_not_found"
"""A data entry was to be deleted that is not there."""

_Transaction = xdr.TransactionResultCode
_Operation = xdr.OperationResultCode

_TRANSACTION_IRREGULAR = {
    _Transaction.txNO_ACCOUNT: "tx_no_source_account",
    _Transaction.txBAD_MIN_SEQ_AGE_OR_GAP: "tx_bad_minseq_age_or_gap",
}
_OPERATION_IRREGULAR = {_Operation.opNO_ACCOUNT: "op_no_source_account"}
_INNER_IRREGULAR = {
    "CREATE_ACCOUNT_ALREADY_EXIST": "op_already_exists",
    "MANAGE_DATA_NAME_NOT_FOUND": DATA_NAME_NOT_FOUND,
    "MANAGE_DATA_INVALID_NAME": "op_data_invalid_name",
    "SET_TRUST_LINE_FLAGS_NO_TRUST_LINE": "op_no_trust",
}


@dataclass(frozen=True, slots=True)
class ResultCodes:
    """What a transaction result says; `inner` only for a fee bump, `operations` only if they were tried."""

    transaction: str
    operations: tuple[str, ...]
    fee_charged: int
    """Stroops of the native asset; in a refusal for too low a fee, the lowest fee that would do."""
    inner: str | None = None

    @property
    def deciding(self) -> str:
        """The code that speaks about the payment: the inner one where a fee bump only passes it on."""
        return self.inner or self.transaction

    def as_extras(self) -> dict[str, object]:
        """The `result_codes` of Horizon's problem documents."""
        codes: dict[str, object] = {"transaction": self.transaction}
        if self.inner is not None:
            codes["inner_transaction"] = self.inner
        if self.operations:
            codes["operations"] = list(self.operations)
        return codes


def read_result(result_xdr: str) -> ResultCodes:
    """Decode a base64 `TransactionResult`; raises ValueError or EOFError if it is none."""
    outer = xdr.TransactionResult.from_xdr(result_xdr)
    pair = outer.result.inner_result_pair
    if pair is None:
        operations = outer.result.results or []
        inner = None
    else:
        operations = pair.result.result.results or []
        inner = _transaction_code(pair.result.result.code)
    return ResultCodes(
        transaction=_transaction_code(outer.result.code),
        operations=tuple(_operation_code(result) for result in operations),
        fee_charged=outer.fee_charged.int64,
        inner=inner,
    )


def _transaction_code(code: xdr.TransactionResultCode) -> str:
    return _TRANSACTION_IRREGULAR.get(code) or "tx_" + code.name.removeprefix("tx").lower()


def _operation_code(result: xdr.OperationResult) -> str:
    if result.code is not _Operation.opINNER:
        return _OPERATION_IRREGULAR.get(result.code) or "op_" + result.code.name.removeprefix("op").lower()
    if result.tr is None:
        return "op_inner"
    # of the union's members, one for each kind of operation, exactly one is set
    [outcome] = [value for name, value in vars(result.tr).items() if name != "type" and value is not None]
    code: str = outcome.code.name
    return _INNER_IRREGULAR.get(code) or "op_" + code.removeprefix(f"{result.tr.type.name}_").lower()
