"""A running sandbox ledger with an issuer, channel accounts and a holder, made by the real client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
from stellar_sdk import (
    AiohttpClient,
    AuthorizationFlag,
    ChangeTrust,
    Keypair,
    Payment,
    ServerAsync,
    SetOptions,
    TransactionBuilder,
    TrustLineFlags,
)
from stellar_sdk import Asset as LedgerAsset
from stellar_sdk.operation import Operation, SetTrustLineFlags

from activities.stellar.rules import SubmissionRules
from activities.stellar.signers import LocalSigner, Wallet
from domain.amounts import STROOPS_PER_UNIT, Asset
from sandbox.ledger.server import SandboxOptions, running_sandbox
from settings import TESTNET_PASSPHRASE

FIRST_CLOSE = 2_000_000_000
"""Ledger time of tests that close by hand: far from any wall clock, so that mixing them up shows."""

SECONDS_PER_LEDGER = 5


@dataclass
class MintLedger:
    """A sandbox ledger in which EURT can be minted to one holder."""

    url: str
    control: httpx.AsyncClient
    server: ServerAsync
    manual: bool
    issuer: Keypair = field(default_factory=Keypair.random)
    holder: Keypair = field(default_factory=Keypair.random)
    channels: list[Keypair] = field(default_factory=list)
    now: int = FIRST_CLOSE
    _closing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _closers: int = 0
    _closer: asyncio.Task | None = None

    @property
    def asset(self) -> Asset:
        """The asset as the product names it."""
        return Asset(code="EURT", issuer=self.issuer.public_key)

    @property
    def ledger_asset(self) -> LedgerAsset:
        """The asset as the client library names it."""
        return LedgerAsset("EURT", self.issuer.public_key)

    def wallet(self) -> Wallet:
        """The signers of the issuer and of every channel account."""
        return Wallet(LocalSigner(self.issuer), [LocalSigner(channel) for channel in self.channels])

    def rules(self, **changes: Any) -> SubmissionRules:
        """A window that no slow machine uses up, and at most 100,000 stroops of fee; or other limits."""
        limits = {
            "network_passphrase": TESTNET_PASSPHRASE,
            "window_seconds": 3600,
            "max_fee_stroops": 100_000,
        }
        return SubmissionRules(**limits | changes)

    async def close(self, ledgers: int = 1, seconds: int = SECONDS_PER_LEDGER) -> int:
        """Close so many ledgers by hand, `seconds` apart; returns the last close time."""
        for _ in range(ledgers):
            # close times must arrive in order, whoever else closes ledgers
            async with self._closing:
                self.now += seconds
                await self._control("POST", "/sandbox/close", params={"at": self.now})
        return self.now

    @asynccontextmanager
    async def closing(self, seconds: int = SECONDS_PER_LEDGER, every: float = 0.02) -> AsyncIterator[None]:
        """Keep closing ledgers by hand, fast in real time and `seconds` apart in ledger time.

        Where several ask for it at once, the first one's pace holds until the last has left.
        """
        self._closers += 1
        if self._closers == 1:
            self._closer = asyncio.create_task(self._close_for_ever(seconds, every))
        try:
            yield
        finally:
            self._closers -= 1
            if self._closers == 0:
                self._closer.cancel()
                await asyncio.gather(self._closer, return_exceptions=True)

    async def _close_for_ever(self, seconds: int, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            await self.close(seconds=seconds)

    async def fault(self, kind: str, **values: Any) -> None:
        """Switch a fault on."""
        await self._control("POST", "/sandbox/faults", json={"kind": kind, **values})

    async def clear_faults(self) -> None:
        """Switch every fault off."""
        await self._control("DELETE", "/sandbox/faults")

    async def until_faults_are_met(self) -> None:
        """Wait until so many requests have suffered each fault as were to."""
        async with asyncio.timeout(30):
            while (await self._control("GET", "/sandbox/faults"))["faults"]:
                await asyncio.sleep(0.02)

    async def requests_served(self) -> dict[str, int]:
        """How often each route was asked since the last reset."""
        return (await self._control("GET", "/sandbox/stats"))["requests"]

    async def forget_requests(self) -> None:
        """Count the requests anew."""
        await self._control("DELETE", "/sandbox/stats")

    async def payments(self, destination: str | None = None) -> list[dict[str, Any]]:
        """Every successful payment of the asset from the issuer to the holder (or another account)."""
        account = destination or self.holder.public_key
        page = await self.server.payments().for_account(account).limit(200).call()
        return [
            record
            for record in page["_embedded"]["records"]
            if record["type"] == "payment"
            and record.get("asset_issuer") == self.issuer.public_key
            and record["to"] == account
        ]

    async def balance(self) -> int:
        """What the holder holds, in stroops."""
        account = await self.server.accounts().account_id(self.holder.public_key).call()
        [line] = [line for line in account["balances"] if line.get("asset_issuer") == self.issuer.public_key]
        whole, _, rest = line["balance"].partition(".")
        return int(whole) * STROOPS_PER_UNIT + int(rest)

    async def sequence(self, account: Keypair) -> int:
        """An account's sequence number now."""
        return (await self.server.load_account(account.public_key)).sequence

    async def fund(self, *accounts: Keypair) -> None:
        """Create accounts by friendbot."""
        for account in accounts:
            await self._control("GET", "/friendbot", params={"addr": account.public_key})
        await self._close_if_manual()

    async def run(self, source: Keypair, *operations: Operation, fee: int = 100) -> dict[str, Any]:
        """Send a transaction of our own making, close its ledger if ledgers close by hand."""
        account = await self.server.load_account(source.public_key)
        builder = TransactionBuilder(account, TESTNET_PASSPHRASE, base_fee=fee)
        builder.add_time_bounds(0, 0)
        for operation in operations:
            builder.append_operation(operation)
        envelope = builder.build()
        envelope.sign(source)
        if self.manual:
            answer = await self.server.submit_transaction_async(envelope)
            await self.close()
            return answer
        return await self.server.submit_transaction(envelope, skip_memo_required_check=True)

    async def pay(self, payer: Keypair, payee: Keypair, amount: str = "100") -> None:
        """Pay native units, for fees."""
        await self.run(payer, Payment(payee.public_key, LedgerAsset.native(), amount))

    async def drain(self, account: Keypair) -> None:
        """Pay away what an account could pay fees with."""
        held = await self.server.accounts().account_id(account.public_key).call()
        [native] = [line for line in held["balances"] if line["asset_type"] == "native"]
        # one unit of reserve stays, and the fee of this very payment
        spare = Decimal(native["balance"]) - Decimal("1.0000100")
        await self.pay(account, self.holder, str(spare))

    async def trust(self, holder: Keypair, limit: str | None = None) -> None:
        """Let an account trust the asset, or change or (limit 0) remove its line."""
        await self.run(holder, ChangeTrust(self.ledger_asset, limit))

    async def require_authorisation(self) -> None:
        """From now on new trustlines need the issuer's authorisation."""
        flags = AuthorizationFlag.AUTHORIZATION_REQUIRED | AuthorizationFlag.AUTHORIZATION_REVOCABLE
        await self.run(self.issuer, SetOptions(set_flags=flags))

    async def lock(self, account: Keypair) -> None:
        """Take the master key's weight away."""
        await self.run(account, SetOptions(master_weight=0))

    async def withdraw_authorisation(self, holder: Keypair) -> None:
        """Take the holder's authorisation away."""
        clear = TrustLineFlags.AUTHORIZED_FLAG
        operation = SetTrustLineFlags(holder.public_key, self.ledger_asset, clear_flags=clear)
        await self.run(self.issuer, operation)

    async def _close_if_manual(self) -> None:
        if self.manual:
            await self.close()

    async def _control(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.control.request(method, path, **arguments)
        answer.raise_for_status()
        return answer.json()


@asynccontextmanager
async def mint_ledger(
    channels: int = 0, *, interval: float | None = None, **options: Any
) -> AsyncIterator[MintLedger]:
    """Run a sandbox with a funded issuer, channel accounts and a holder that trusts EURT.

    Without `interval` ledgers close only by hand (`close`, `closing`); 0 closes as soon as something waits.
    """
    manual = interval is None
    chosen = SandboxOptions(
        network_passphrase=TESTNET_PASSPHRASE, manual_close=manual, interval=interval or 0, **options
    )
    async with (
        running_sandbox(chosen) as url,
        httpx.AsyncClient(base_url=url) as control,
        ServerAsync(url, AiohttpClient()) as server,
    ):
        ledger = MintLedger(url, control, server, manual)
        ledger.channels = [Keypair.random() for _ in range(channels)]
        await ledger._close_if_manual()
        await ledger.fund(ledger.issuer, ledger.holder, *ledger.channels)
        await ledger.trust(ledger.holder)
        yield ledger
