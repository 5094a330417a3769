"""The table of answers: every row, as Horizon writes it."""

import pytest
from stellar_sdk import xdr

from activities.stellar.answers import Meaning, judge_answer, no_answer

Code = xdr.TransactionResultCode


def result_xdr(code, fee=100, operations=None, inner=None) -> str:
    """A TransactionResult as a node encodes it; `inner` makes it that of a fee bump."""
    pair = None
    if inner is not None:
        value = xdr.InnerTransactionResultResult(inner, results=operations)
        result = xdr.InnerTransactionResult(xdr.Int64(0), value, xdr.InnerTransactionResultExt(0))
        pair = xdr.InnerTransactionResultPair(xdr.Hash(bytes(32)), result)
        operations = None
    outcome = xdr.TransactionResultResult(code, inner_result_pair=pair, results=operations)
    return xdr.TransactionResult(xdr.Int64(fee), outcome, xdr.TransactionResultExt(0)).to_xdr()


def refusal(code, **more) -> dict:
    """The body of Horizon's `400` on the asynchronous endpoint."""
    return {"tx_status": "ERROR", "hash": "ab", "error_result_xdr": result_xdr(code, **more)}


BAD_AUTH = [xdr.OperationResult(xdr.OperationResultCode.opBAD_AUTH)]

ROWS = [
    (201, {"tx_status": "PENDING", "hash": "ab"}, Meaning.TAKEN, "PENDING"),
    (409, {"tx_status": "DUPLICATE", "hash": "ab"}, Meaning.TAKEN, "DUPLICATE"),
    (503, {"tx_status": "TRY_AGAIN_LATER", "hash": "ab"}, Meaning.AGAIN, "TRY_AGAIN_LATER"),
    (429, {"type": "https://stellar.org/horizon-errors/rate_limit_exceeded"}, Meaning.AGAIN, "http_429"),
    (503, {"type": "https://stellar.org/horizon-errors/stale_history"}, Meaning.AGAIN, "http_503"),
    (403, {}, Meaning.AGAIN, "http_403"),
    (400, refusal(Code.txINSUFFICIENT_FEE), Meaning.DEARER, "tx_insufficient_fee"),
    (400, refusal(Code.txINSUFFICIENT_BALANCE), Meaning.UNFUNDED, "tx_insufficient_balance"),
    (400, refusal(Code.txTOO_LATE), Meaning.UNKNOWN, "tx_too_late"),
    (400, refusal(Code.txBAD_SEQ), Meaning.UNKNOWN, "tx_bad_seq"),
    (504, {"type": "https://stellar.org/horizon-errors/timeout"}, Meaning.UNKNOWN, "http_504"),
    (504, {}, Meaning.UNKNOWN, "http_504"),
    (500, {}, Meaning.UNKNOWN, "http_500"),
    (200, {}, Meaning.UNKNOWN, "http_200"),
    (400, {"tx_status": "ERROR", "error_result_xdr": "AAAA"}, Meaning.UNKNOWN, "ERROR"),
    (400, refusal(Code.txTOO_EARLY), Meaning.AGAIN, "tx_too_early"),
    (400, refusal(Code.txINTERNAL_ERROR), Meaning.AGAIN, "tx_internal_error"),
    (400, refusal(Code.txBAD_MIN_SEQ_AGE_OR_GAP), Meaning.AGAIN, "tx_bad_minseq_age_or_gap"),
    (400, refusal(Code.txFROZEN_KEY_ACCESSED), Meaning.AGAIN, "tx_frozen_key_accessed"),
    (400, refusal(Code.txFAILED, operations=BAD_AUTH), Meaning.REFUSED, "tx_failed"),
    (400, refusal(Code.txBAD_AUTH), Meaning.REFUSED, "tx_bad_auth"),
    (400, refusal(Code.txBAD_AUTH_EXTRA), Meaning.REFUSED, "tx_bad_auth_extra"),
    (400, refusal(Code.txMALFORMED), Meaning.REFUSED, "tx_malformed"),
    (400, refusal(Code.txMISSING_OPERATION), Meaning.REFUSED, "tx_missing_operation"),
    (400, refusal(Code.txNO_ACCOUNT), Meaning.REFUSED, "tx_no_source_account"),
    (400, refusal(Code.txNOT_SUPPORTED), Meaning.REFUSED, "tx_not_supported"),
    (
        400,
        {"type": "https://stellar.org/horizon-errors/transaction_malformed"},
        Meaning.REFUSED,
        "tx_malformed",
    ),
]


@pytest.mark.parametrize(("status", "body", "meaning", "word"), ROWS, ids=[f"{r[0]}-{r[3]}" for r in ROWS])
def test_every_answer_has_one_meaning(status, body, meaning, word):
    """An answer is classified by status and code, and keeps a stable word for the records."""
    answer = judge_answer(status, body)
    assert (answer.meaning, answer.word) == (meaning, word)


def test_no_meaning_is_an_end():
    """No answer is terminal by itself: the meanings only say whether and how to go on."""
    assert {meaning.value for meaning in Meaning} == {
        "taken", "again", "dearer", "unfunded", "unknown", "refused",
    }  # fmt: skip


def test_a_refusal_for_its_fee_names_the_fee_that_would_do():
    """`fee_charged` of tx_insufficient_fee is the lowest fee that would be taken."""
    assert judge_answer(400, refusal(Code.txINSUFFICIENT_FEE, fee=7300)).wanted_fee == 7300


def test_other_refusals_name_no_fee():
    """`fee_charged` means something else in any other refusal."""
    assert judge_answer(400, refusal(Code.txBAD_SEQ, fee=7300)).wanted_fee is None


def test_the_inner_code_of_a_fee_bump_decides():
    """A fee bump refused for its inner transaction says what the inner one would have said."""
    body = refusal(Code.txFEE_BUMP_INNER_FAILED, inner=Code.txBAD_SEQ)
    assert judge_answer(400, body).word == "tx_bad_seq"


def test_operation_codes_are_kept_as_detail():
    """The operation's code stands in the detail, for people."""
    assert judge_answer(400, refusal(Code.txFAILED, operations=BAD_AUTH)).detail == "op_bad_auth"


@pytest.mark.parametrize("extras", [
    {"result_xdr": result_xdr(Code.txBAD_SEQ), "result_codes": {"transaction": "tx_bad_seq"}},
    {"result_codes": {"transaction": "tx_bad_seq"}},
    {"result_codes": {"transaction": "tx_fee_bump_inner_failed", "inner_transaction": "tx_bad_seq"}},
])  # fmt: skip
def test_a_problem_document_counts_like_the_async_answer(extras):
    """Gateways that answer as the synchronous endpoint does are read as well."""
    body = {"type": "https://stellar.org/horizon-errors/transaction_failed", "extras": extras}
    answer = judge_answer(400, body)
    assert (answer.meaning, answer.word) == (Meaning.UNKNOWN, "tx_bad_seq")


def test_an_unknown_code_is_unknown():
    """A code of a later protocol is never read as refused or taken."""
    body = {"type": "x/transaction_failed", "extras": {"result_codes": {"transaction": "tx_brand_new"}}}
    assert judge_answer(400, body).meaning is Meaning.UNKNOWN


def test_the_pause_a_server_asks_for_is_kept():
    """`Retry-After` travels with the answer."""
    assert judge_answer(429, {}, 7.0).retry_after == 7.0


def test_silence_is_unknown():
    """A broken connection says nothing: the node may have taken the envelope."""
    assert no_answer("ServerDisconnectedError").meaning is Meaning.UNKNOWN
