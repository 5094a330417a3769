"""Submitting transactions, at once or waiting for the ledger, and friendbot."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

from aiohttp import web

from sandbox.ledger.codec import is_account_id
from sandbox.ledger.entries import load_account
from sandbox.ledger.envelopes import FeeBump, MalformedEnvelopeError, Transaction
from sandbox.ledger.friendbot import funding_transaction
from sandbox.ledger.history import envelope_base64
from sandbox.ledger.http.context import Context, dump
from sandbox.ledger.http.paging import BadParameterError, hal
from sandbox.ledger.http.problems import (
    bad_request,
    submission_timeout,
    transaction_failed,
    transaction_malformed,
)
from sandbox.ledger.placement import Answer, Status
from sandbox.ledger.results import TxCode, TxResult

SUBMISSION_TIMEOUT_SECONDS: Final = 30.0
_FORMS: Final = ("", "application/x-www-form-urlencoded", "multipart/form-data")
_HTTP_STATUS: Final = {
    Status.PENDING: 201,
    Status.DUPLICATE: 409,
    Status.TRY_AGAIN_LATER: 503,
    Status.ERROR: 400,
}


class ConnectionDropped(Exception):
    """The connection was cut instead of answered."""


def drop_connection(request: web.Request) -> None:
    """Cut the connection with a reset, so that the client learns nothing."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    raise ConnectionDropped


class SubmitRoutes:
    """Handlers that put transactions into the queue."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def submit_async(self, request: web.Request) -> web.Response:
        """POST /transactions_async: the node's own answer, at once."""
        envelope_xdr = await _envelope_of(request)
        try:
            submission = self._context.decode(envelope_xdr)
        except MalformedEnvelopeError:
            return transaction_malformed(envelope_xdr)
        answer = self._offer(request, submission)
        if answer is None:
            return submission_timeout(submission.hash.hex(), envelope_xdr)
        body = {"tx_status": answer.status.value, "hash": submission.hash.hex()}
        if answer.result is not None:
            body = {"error_result_xdr": answer.result.to_xdr(), **body}
        return hal(dump(body), status=_HTTP_STATUS[answer.status])

    async def submit(self, request: web.Request) -> web.Response:
        """POST /transactions: from history if it is there, else waits until it is."""
        envelope_xdr = await _envelope_of(request)
        try:
            submission = self._context.decode(envelope_xdr)
        except MalformedEnvelopeError:
            return transaction_malformed(envelope_xdr)
        known = self._recorded(submission, envelope_xdr)
        if known is not None:
            return known
        if submission.sequence < 0:
            refusal = TxResult(TxCode.txBAD_SEQ, 0)
            return transaction_failed(envelope_xdr, refusal.to_xdr(), refusal.codes())
        answer = self._offer(request, submission)
        if answer is None:
            return submission_timeout(submission.hash.hex(), envelope_xdr)
        if answer.result is None:
            return await self._landed(submission, envelope_xdr)
        if answer.result.code == TxCode.txBAD_SEQ:
            await self._caught_up(submission)
            known = self._recorded(submission, envelope_xdr)
            if known is not None:
                return known
        return transaction_failed(envelope_xdr, answer.result.to_xdr(), answer.result.codes())

    async def _caught_up(self, submission: Transaction | FeeBump) -> None:
        """Wait until history has used the sequence number or knows all ledgers: it may only be late."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SUBMISSION_TIMEOUT_SECONDS):
                while not self._knows_sequence(submission):
                    await self._node.upcoming.wait()

    def _knows_sequence(self, submission: Transaction | FeeBump) -> bool:
        view = self._node.ingested()
        account = load_account(view.entries, submission.source)
        used = account is not None and account.sequence >= submission.sequence
        return used or view.ledger.sequence == self._node.chain.last.sequence

    def _offer(self, request: web.Request, submission: Transaction | FeeBump) -> Answer | None:
        """Hand a transaction to the node, unless a fault comes between; None is a gateway's time-out."""
        faults = self._node.faults
        if faults.take("try_again_later", request.path):
            return Answer(Status.TRY_AGAIN_LATER)
        if faults.take("timeout_never_land", request.path):
            return None
        answer = self._node.submit(submission)
        if answer.status is not Status.PENDING:
            return answer
        if faults.take("drop_after_accept", request.path):
            drop_connection(request)
        delayed = faults.take("timeout_then_land", request.path)
        if delayed is None:
            return answer
        self._node.queue.hold(submission, self._node.chain.last.sequence + delayed.after_ledgers)
        return None

    def _recorded(self, submission: Transaction | FeeBump, envelope_xdr: str) -> web.Response | None:
        """The answer from history, None if the transaction is not there."""
        asked = submission.hash.hex()
        record = self._node.ingested().transaction(asked)
        if record is None:
            return None
        if record.successful:
            return hal(self._context.transaction_body(record, asked))
        return transaction_failed(envelope_xdr, record.result_xdr, record.codes)

    async def _landed(self, submission: Transaction | FeeBump, envelope_xdr: str) -> web.Response:
        """Wait until history has the transaction, 504 if it does not in time."""
        try:
            async with asyncio.timeout(SUBMISSION_TIMEOUT_SECONDS):
                while (response := self._recorded(submission, envelope_xdr)) is None:
                    await self._node.upcoming.wait()
        except TimeoutError:
            return submission_timeout(submission.hash.hex(), envelope_xdr)
        return response

    async def friendbot(self, request: web.Request) -> web.Response:
        """GET or POST /friendbot?addr=: fund a new account; waits for the ledger unless it closes by hand."""
        account_id = request.query.get("addr", "")
        if not account_id and request.method == "POST":
            account_id = str((await request.post()).get("addr", ""))
        if not is_account_id(account_id):
            raise BadParameterError("addr", "addr: is no account id")
        if load_account(self._node.chain.state, account_id) is not None:
            return bad_request("addr", "account already funded to starting balance")
        submission = funding_transaction(self._node, account_id)
        answer = self._node.submit(submission, rule="many")
        envelope_xdr = envelope_base64(submission)
        if answer.result is not None:
            return transaction_failed(envelope_xdr, answer.result.to_xdr(), answer.result.codes())
        if self._node.options.manual_close:
            return hal(dump({"tx_status": answer.status.value, "hash": submission.hash.hex()}), status=201)
        return await self._landed(submission, envelope_xdr)


async def _envelope_of(request: web.Request) -> str:
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() not in _FORMS:
        raise web.HTTPUnsupportedMediaType
    field = (await request.post()).get("tx", request.query.get("tx", ""))
    return field if isinstance(field, str) else ""
