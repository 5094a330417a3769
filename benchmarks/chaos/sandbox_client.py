"""The sandbox ledger as the run uses it beside the product: faults, counts, pages, a stranger's envelopes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx

from benchmarks.chaos.plan import SEND, Fault
from sandbox.ledger.faults import LASTING

PAGE = 200
_AGAIN_SECONDS = 0.2
_SECONDS = 10.0


class SandboxClient:
    """Asks again while the ledger's process is away; what the product asked is counted over its deaths."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=_SECONDS, trust_env=False)
        self.asked = 0
        """Questions to Horizon so far, those of this client left out."""
        self._own = 0

    async def switch_on(self, fault: Fault) -> None:
        """Switch a fault of the ledger on."""
        wanted: dict[str, Any] = {"kind": fault.kind}
        if fault.kind in LASTING:
            wanted |= {"ledgers": fault.ledgers, "fee_per_operation": fault.fee}
        else:
            wanted |= {"path": fault.path, "count": fault.count, "after_ledgers": fault.ledgers}
        if fault.problem:
            wanted["problem"] = fault.problem
        (await self._ask("POST", "/sandbox/faults", json=wanted)).raise_for_status()

    async def switch_off(self, kind: str) -> None:
        """Switch all faults of a kind off."""
        (await self._ask("DELETE", "/sandbox/faults", params={"kind": kind})).raise_for_status()

    async def take_stock(self) -> list[dict[str, Any]]:
        """The faults that are switched on; what was asked is added up, since nothing else keeps it."""
        self.asked += (await self._ask("GET", "/sandbox/stats")).json()["total"] - self._own
        self._own = 0
        await self._ask("DELETE", "/sandbox/stats")
        faults: list[dict[str, Any]] = (await self._ask("GET", "/sandbox/faults")).json()["faults"]
        return faults

    async def put_back(self, faults: list[dict[str, Any]]) -> None:
        """Switch on again what a ledger process took with it."""
        for fault in faults:
            wanted = {name: value for name, value in fault.items() if name != "since_ledger"}
            wanted["count"] = max(1, fault["count"])
            (await self._ask("POST", "/sandbox/faults", json=wanted)).raise_for_status()

    async def clear(self) -> list[str]:
        """All faults are over; kinds of the one-shot ones that never met a question."""
        left = await self.take_stock()
        await self._ask("DELETE", "/sandbox/faults")
        return [fault["kind"] for fault in left if fault["kind"] not in LASTING]

    async def hand_in(self, envelope_xdr: str) -> str:
        """Submit an envelope as anybody can; the answer's word, `nothing` if there was none."""
        self._own += 1
        try:
            answer = await self._http.post(SEND, data={"tx": envelope_xdr})
            return str(answer.json().get("tx_status", answer.status_code))
        except (httpx.HTTPError, ValueError):
            return "nothing"

    async def fund(self, account: str) -> None:
        """Create an account by friendbot."""
        (await self._ask("GET", "/friendbot", params={"addr": account})).raise_for_status()

    async def newest(self) -> int:
        """Number of the newest ledger."""
        return int((await self.get("/ledgers?order=desc&limit=1"))["_embedded"]["records"][0]["sequence"])

    async def until(self, ledger: int) -> None:
        """Wait until that ledger has closed."""
        while True:
            if await self.exists(f"/ledgers/{ledger}"):
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    async def get(self, path: str) -> dict[str, Any]:
        """A document."""
        answer = await self._ask("GET", path)
        answer.raise_for_status()
        return dict(answer.json())

    async def exists(self, path: str) -> bool:
        """Whether there is a document."""
        answer = await self._ask("GET", path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        answer.raise_for_status()
        return True

    async def pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Every record of a collection, oldest first."""
        cursor = ""
        joint = "&" if "?" in path else "?"
        while True:
            page = await self.get(f"{path}{joint}order=asc&limit={PAGE}&cursor={cursor}")
            records = page["_embedded"]["records"]
            for record in records:
                yield record
            if len(records) < PAGE:
                return
            cursor = records[-1]["paging_token"]

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        while True:
            self._own += not path.startswith("/sandbox/")
            try:
                return await self._http.request(method, path, **arguments)
            except httpx.TransportError:
                await asyncio.sleep(_AGAIN_SECONDS)
