"""The routes, and what lies around every one of them: counting, faults, problems."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.ledger.http.accounts import AccountRoutes
from sandbox.ledger.http.context import Context
from sandbox.ledger.http.control import ControlRoutes
from sandbox.ledger.http.ledgers import HistoryRoutes
from sandbox.ledger.http.network import NetworkRoutes
from sandbox.ledger.http.operations import OperationRoutes
from sandbox.ledger.http.paging import BadParameterError
from sandbox.ledger.http.problems import (
    method_not_allowed,
    not_found,
    outage,
    rate_limited,
    unsupported_media_type,
)
from sandbox.ledger.http.submit import ConnectionDropped, SubmitRoutes, drop_connection
from sandbox.ledger.node import Node

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OWN_ROUTES = "/sandbox/"


def build_app(node: Node, base_url: str) -> web.Application:
    """The web application in front of ``node``, reached under ``base_url``."""
    control = ControlRoutes(node)
    app = web.Application(middlewares=[_around(node, control)])
    context = Context(node, base_url)
    _add_state(app.router, AccountRoutes(context), NetworkRoutes(context))
    _add_history(app.router, HistoryRoutes(context), OperationRoutes(context))
    _add_submission(app.router, SubmitRoutes(context))
    _add_control(app.router, control)
    return app


def _add_state(router: web.UrlDispatcher, accounts: AccountRoutes, network: NetworkRoutes) -> None:
    router.add_get("/", network.root)
    router.add_get("/fee_stats", network.fee_stats)
    router.add_get("/accounts", accounts.at(accounts.accounts))
    router.add_get("/accounts/{account_id}", accounts.watched(accounts.account))
    router.add_get("/accounts/{account_id}/data/{name}", accounts.at(accounts.data))
    router.add_get("/assets", accounts.at(accounts.assets))
    router.add_get("/claimable_balances", accounts.at(accounts.balances))
    router.add_get("/claimable_balances/{balance_id}", accounts.at(accounts.balance))


def _add_history(router: web.UrlDispatcher, history: HistoryRoutes, operations: OperationRoutes) -> None:
    router.add_get("/ledgers", history.ledgers)
    router.add_get("/ledgers/{sequence}", history.ledger)
    router.add_get("/transactions/{hash}", history.transaction)
    router.add_get("/operations/{operation_id}", operations.operation)
    router.add_get("/operations/{operation_id}/effects", operations.effects)
    for owner in ("", "/accounts/{account_id}", "/claimable_balances/{balance_id}", "/ledgers/{sequence}"):
        router.add_get(f"{owner}/transactions", history.transactions)
    router.add_get("/claimable_balances/{balance_id}/operations", operations.page)
    for owner in ("", "/accounts/{account_id}", "/ledgers/{sequence}", "/transactions/{hash}"):
        router.add_get(f"{owner}/operations", operations.page)
        router.add_get(f"{owner}/payments", operations.page)
        router.add_get(f"{owner}/effects", operations.effects)


def _add_submission(router: web.UrlDispatcher, submit: SubmitRoutes) -> None:
    router.add_post("/transactions", submit.submit)
    router.add_post("/transactions_async", submit.submit_async)
    router.add_get("/friendbot", submit.friendbot)
    router.add_post("/friendbot", submit.friendbot)


def _add_control(router: web.UrlDispatcher, control: ControlRoutes) -> None:
    router.add_post("/sandbox/close", control.close)
    router.add_post("/sandbox/capacity", control.capacity)
    router.add_post("/sandbox/faults", control.add_fault)
    router.add_get("/sandbox/faults", control.faults)
    router.add_delete("/sandbox/faults", control.clear_faults)
    router.add_get("/sandbox/stats", control.stats)
    router.add_delete("/sandbox/stats", control.clear_stats)


def _around(node: Node, control: ControlRoutes) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def around(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path.startswith(_OWN_ROUTES):
            return await _answer(request, handler)
        resource = request.match_info.route.resource
        control.requests[f"{request.method} {resource.canonical if resource else request.path}"] += 1
        try:
            return _gateway_fault(node, request) or await _answer(request, handler)
        except (ConnectionDropped, ConnectionResetError):
            # We have hung up, or the client has: nobody is left to read what the server wants to have.
            return web.Response(status=500)

    return around


def _gateway_fault(node: Node, request: web.Request) -> web.Response | None:
    """What stands before the node: a cut connection, a rate limit, an outage."""
    if node.faults.take("reset", request.path):
        drop_connection(request)
    limited = node.faults.take("rate_limit", request.path)
    if limited is not None:
        return rate_limited(limited.retry_after)
    if node.faults.take("unavailable", request.path) is not None:
        return outage("service_unavailable")
    wanted = node.faults.take("problem", request.path)
    return outage(wanted.problem) if wanted is not None else None


async def _answer(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadParameterError as error:
        return error.response
    except web.HTTPUnsupportedMediaType:
        return unsupported_media_type()
    except web.HTTPMethodNotAllowed:
        return method_not_allowed()
    except web.HTTPNotFound:
        return not_found()
