"""Accounts, claimable balances and assets: the current state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from sandbox.ledger.codec import amount_string, is_account_id, present
from sandbox.ledger.entries import (
    Account,
    ClaimableBalance,
    DataEntry,
    Entries,
    Trustline,
    load_account,
    load_balance,
    load_data,
)
from sandbox.ledger.http.context import Context, dump
from sandbox.ledger.http.paging import BadParameterError, Page, hal, page_response
from sandbox.ledger.http.problems import invalid_accounts_params, not_found
from sandbox.ledger.http.render import (
    asset_fields,
    balance_token,
    render_account,
    render_balance,
    render_flags,
)
from sandbox.ledger.http.watch import wants_stream, watch
from sandbox.ledger.node import View
from sandbox.ledger.rules import LINE_AUTHORIZED, LINE_MAINTAIN

_Read = Callable[[web.Request, View], web.Response]


def _closed_at(view: View, ledger: int) -> int:
    record = view.history.ledger(ledger)
    return record.closed_at if record else 0


def known_account(request: web.Request) -> str:
    """The account id of the path; BadParameterError if it is none."""
    account_id = request.match_info["account_id"]
    if not is_account_id(account_id):
        raise BadParameterError(
            "account_id", "account_id: must be an address of 56 characters that starts with G"
        )
    return account_id


class AccountRoutes:
    """Handlers for the current state."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def at(self, read: _Read) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that stamps every answer, problems too, with the ledger it was read at."""

        async def handle(request: web.Request) -> web.Response:
            view = self._context.node.view()
            try:
                response = read(request, view)
            except BadParameterError as error:
                response = error.response
            response.headers["Latest-Ledger"] = str(view.ledger.sequence)
            return response

        return handle

    def watched(self, read: _Read) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The same for a resource that can also be streamed: sent again whenever it has changed."""
        once = self.at(read)

        async def handle(request: web.Request) -> web.StreamResponse:
            if wants_stream(request):
                return await watch(request, self._context.node, partial(read, request))
            return await once(request)

        return handle

    def accounts(self, request: web.Request, view: View) -> web.Response:
        """GET /accounts, by the asset they trust, by a signer or by a sponsor: exactly one of these."""
        page = Page.of(request, view)
        asset, signer, sponsor = (request.query.get(name, "") for name in ("asset", "signer", "sponsor"))
        if sum(map(bool, (asset, signer, sponsor))) != 1 or asset == "native":
            return invalid_accounts_params()
        found = {
            entry.account_id
            for entry in view.entries
            if not isinstance(entry, ClaimableBalance) and _is_listed(entry, asset, signer, sponsor)
        }
        names = page.take(page.of_names(found, str, lambda name: (name,)))
        accounts = [present(load_account(view.entries, name)) for name in names]
        bodies = [dump(self._render(view, account)) for account in accounts]
        return page_response(request, self._context.base_url, page, names, bodies)

    def account(self, request: web.Request, view: View) -> web.Response:
        """GET /accounts/{account_id}."""
        account_id = known_account(request)
        account = load_account(view.entries, account_id)
        if account is None:
            return not_found()
        return hal(dump(self._render(view, account)))

    def _render(self, view: View, account: Account) -> dict[str, Any]:
        lines, data = view.entries.owned(account.account_id)
        modified_at = _closed_at(view, account.modified)
        return render_account(account, lines, data, modified_at, self._context.base_url)

    def data(self, request: web.Request, view: View) -> web.Response:
        """GET /accounts/{account_id}/data/{name}."""
        account_id = known_account(request)
        entry = load_data(view.entries, account_id, request.match_info["name"])
        if entry is None:
            return not_found()
        body = {"value": entry.value} | ({"sponsor": entry.sponsor} if entry.sponsor else {})
        return hal(dump(body))

    def balances(self, request: web.Request, view: View) -> web.Response:
        """GET /claimable_balances, by asset, claimant or sponsor."""
        page = Page.of(request, view)
        wanted = request.query.get("asset"), request.query.get("claimant"), request.query.get("sponsor")
        found = [item for item in view.entries.claimable_balances() if _matches(item, *wanted)]
        chosen = page.take(page.of_names(found, balance_token, _balance_place))
        bodies = [dump(self._balance(view, item)) for item in chosen]
        tokens = [balance_token(item) for item in chosen]
        return page_response(request, self._context.base_url, page, tokens, bodies)

    def balance(self, request: web.Request, view: View) -> web.Response:
        """GET /claimable_balances/{balance_id}."""
        balance = load_balance(view.entries, request.match_info["balance_id"])
        if balance is None:
            return not_found()
        return hal(dump(self._balance(view, balance)))

    def _balance(self, view: View, balance: ClaimableBalance) -> dict[str, Any]:
        return render_balance(balance, _closed_at(view, balance.modified), self._context.base_url)

    def assets(self, request: web.Request, view: View) -> web.Response:
        """GET /assets, by code or issuer: totals over all trustlines and claimable balances."""
        page = Page.of(request, view)
        totals = _asset_totals(view.entries)
        code, issuer = request.query.get("asset_code"), request.query.get("asset_issuer")
        names = [
            name
            for name in totals
            if (not code or name.partition(":")[0] == code)
            and (not issuer or name.partition(":")[2] == issuer)
        ]
        chosen = page.take(page.of_names(names, _asset_token, _asset_place))
        bodies = [dump(_render_asset(name, totals[name], view.entries)) for name in chosen]
        tokens = [_asset_token(name) for name in chosen]
        return page_response(request, self._context.base_url, page, tokens, bodies)


def _matches(balance: ClaimableBalance, asset: str | None, claimant: str | None, sponsor: str | None) -> bool:
    return (
        (not asset or balance.asset == asset)
        and (not claimant or claimant in dict(balance.claimants))
        and (not sponsor or balance.sponsor == sponsor)
    )


_GROUPS = ("authorized", "authorized_to_maintain_liabilities", "unauthorized")


def _asset_totals(entries: Any) -> dict[str, dict[str, tuple[int, int]]]:
    """Per asset and group of holders: how many, and how much in stroops."""
    totals: dict[str, dict[str, tuple[int, int]]] = {}
    for entry in entries:
        if isinstance(entry, Trustline):
            group, amount = _group(entry), entry.balance
        elif isinstance(entry, ClaimableBalance) and ":" in entry.asset:
            group, amount = "claimable", entry.amount
        else:
            continue
        groups = totals.setdefault(entry.asset, {})
        number, total = groups.get(group, (0, 0))
        groups[group] = (number + 1, total + amount)
    return totals


def _group(line: Trustline) -> str:
    if line.flags & LINE_AUTHORIZED:
        return _GROUPS[0]
    return _GROUPS[1] if line.flags & LINE_MAINTAIN else _GROUPS[2]


def _asset_place(token: str) -> tuple[str, ...]:
    return tuple(token.split("_", 2))


def _balance_place(token: str) -> tuple[int, str]:
    ledger, _, balance_id = token.partition("-")
    return int(ledger), balance_id


def _is_listed(entry: Account | Trustline | DataEntry, asset: str, signer: str, sponsor: str) -> bool:
    """Whether the owner of an entry is asked for because of it; one of the three properties is not empty."""
    if asset:
        return isinstance(entry, Trustline) and entry.asset == asset
    if signer:
        return isinstance(entry, Account) and signer in dict(entry.all_signers())
    signers = dict(entry.signer_sponsors).values() if isinstance(entry, Account) else ()
    return sponsor in (entry.sponsor, *signers)


def _asset_token(name: str) -> str:
    code, _, issuer = name.partition(":")
    return f"{code}_{issuer}_credit_alphanum{4 if len(code) <= 4 else 12}"


def _render_asset(name: str, groups: dict[str, tuple[int, int]], entries: Entries) -> dict[str, Any]:
    issuer: Account | None = load_account(entries, name.partition(":")[2])
    claimable = groups.get("claimable", (0, 0))
    domain = issuer.home_domain if issuer else ""
    return {
        "_links": {"toml": {"href": f"https://{domain}/.well-known/stellar.toml" if domain else ""}},
        **asset_fields(name),
        "paging_token": _asset_token(name),
        "num_claimable_balances": claimable[0],
        "num_liquidity_pools": 0,
        "num_contracts": 0,
        "accounts": {group: groups.get(group, (0, 0))[0] for group in _GROUPS},
        "claimable_balances_amount": amount_string(claimable[1]),
        "liquidity_pools_amount": amount_string(0),
        "contracts_amount": amount_string(0),
        "balances": {group: amount_string(groups.get(group, (0, 0))[1]) for group in _GROUPS},
        "flags": render_flags(issuer.flags if issuer else 0),
    }
