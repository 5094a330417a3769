"""Looking at a mint's destination on the ledger, for people who are about to decide; nothing follows from it.

The worker looks again, by the same rules (`domain.destination`), before it signs anything.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx

from domain.destination import Outlook, look
from domain.errors import ConfigurationError, Unavailable
from domain.ledger_accounts import AccountView, NoAccount, account_of, says_absent, stamped
from domain.ledger_options import LedgerOptions
from domain.mint_request import MintRequest

LOOK_SECONDS: Final = 4.0
"""So long a look may take, whatever hangs."""

KEPT_SECONDS: Final = 5.0
"""So long an account is remembered: a ledger closes about as often."""

MOST_KEPT: Final = 1000


@dataclass(frozen=True)
class Look:
    """What was seen, and as of which ledger."""

    outlook: Outlook
    ledger: int


@dataclass
class Destinations:
    """Reads accounts from one Horizon; one for each web process."""

    url: str
    network_passphrase: str
    seconds: float = LOOK_SECONDS
    _kept: dict[str, tuple[float, httpx.Response]] = field(default_factory=dict)

    async def look(self, request: MintRequest, options: LedgerOptions) -> Look:
        """How the destination stands now; raises Unavailable, or ConfigurationError for another network."""
        if not self.url:
            raise ConfigurationError("no Horizon is configured: set MINTKEEPER_HORIZON_URL")
        try:
            async with asyncio.timeout(self.seconds), self._client() as http:
                closed_at, destination, issuer = await asyncio.gather(
                    self._newest(http),
                    self._account(http, request.destination),
                    self._account(http, request.asset.issuer),
                )
                outlook = look(request, options, destination, issuer, closed_at)
        except TimeoutError as error:
            raise self._away(f"no answer within {self.seconds:g} s") from error
        except httpx.HTTPError as error:
            raise self._away(type(error).__name__) from error
        except (KeyError, TypeError, ValueError, ArithmeticError, StopIteration) as error:
            raise self._away("its answer can't be read") from error
        return Look(outlook, destination.ledger)

    def _client(self) -> httpx.AsyncClient:
        # no proxy of the environment: it is the operator's own Horizon; the look as a whole has the limit
        return httpx.AsyncClient(base_url=self.url.rstrip("/"), timeout=None, trust_env=False)  # noqa: S113

    async def _newest(self, http: httpx.AsyncClient) -> int:
        """The newest ledger's close time in Unix seconds, of the network that is ours."""
        body = (await self._read(http, "/")).json()
        if body["network_passphrase"] != self.network_passphrase:
            raise ConfigurationError(
                f"Horizon at {self.url} serves the network {body['network_passphrase']!r}, "
                f"not {self.network_passphrase!r}"
            )
        return int(datetime.fromisoformat(body["history_latest_ledger_closed_at"]).timestamp())

    async def _account(self, http: httpx.AsyncClient, account_id: str) -> AccountView | NoAccount:
        answer = await self._read(http, f"/accounts/{account_id}")
        ledger = stamped(answer.headers.get("latest-ledger", ""))
        return account_of(account_id, ledger, answer.status_code, answer.json())

    async def _read(self, http: httpx.AsyncClient, path: str) -> httpx.Response:
        """The answer to a GET of these seconds; raises Unavailable for one that says nothing."""
        known = self._kept.get(path)
        if known is not None and time.monotonic() - known[0] < KEPT_SECONDS:
            return known[1]
        answer = await http.get(path)
        if answer.status_code != 200 and not says_absent(answer.status_code, _document(answer)):
            raise self._away(f"it answered {answer.status_code}")
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[path] = time.monotonic(), answer
        return answer

    def _away(self, why: str) -> Unavailable:
        return Unavailable(f"cannot read the ledger from Horizon at {self.url}: {why}")


def _document(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
