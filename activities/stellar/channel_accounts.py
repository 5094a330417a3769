"""Channel accounts: planned in the database, created and topped up by the funding account.

A funding transaction is signed in one activity and sent in the next. So it is in the workflow's history
before it is sent, and whichever worker goes on sends that one and no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from temporalio import activity

from activities.pulse import beating
from activities.stellar import funding
from activities.stellar.delivery import deliver
from activities.stellar.horizon import Horizon
from activities.stellar.rules import SubmissionRules
from activities.stellar.signers import KeyFamily, Wallet
from db.reads.stellar_channels import channel_accounts
from db.session import Database
from db.writes import stellar_channels
from domain import channel_accounts as words
from domain.channel_accounts import (
    PAYMENTS_PER_TRANSACTION,
    BatchStep,
    ChannelKey,
    ChannelRecord,
    ChannelState,
    CreateOrder,
    Delivered,
    Funding,
    LiveAccount,
    LiveAccounts,
    Payment,
    TopUpAnswer,
    TopUpOrder,
    TopUpStep,
)
from domain.errors import ConfigurationError, Refused, Unavailable
from domain.ledger_accounts import AccountView, NoAccount, native_balance

READS_AT_ONCE = 20
"""Questions to Horizon that wait for an answer at the same time: mints need it too."""


class ChannelAccountActivities:
    """What the workflows of the channel accounts do; `worker.py` builds one for the process."""

    def __init__(self, database: Database, horizon: Horizon, wallet: Wallet, rules: SubmissionRules) -> None:
        self._database = database
        self._horizon = horizon
        self._wallet = wallet
        self._rules = rules

    @activity.defn(name=words.PLAN_CHANNELS)
    async def plan_channels(self, order: CreateOrder) -> tuple[ChannelKey, ...]:
        """Write the next key indexes down before anything is sent; what was planned before comes first.

        Raises ConfigurationError where keys or funding account are not as they should be, and Refused
        beyond the most channel accounts or when the funding account does not exist.
        """
        async with beating():
            family = self._family()
            _check_family(family, await self._known())
            await self._funder()
            async with self._database.transaction() as tx:
                return await stellar_channels.plan_channels(tx, count=order.count, account_of=family.account)

    @activity.defn(name=words.FUND_CHANNELS)
    async def fund_channels(self, step: BatchStep) -> Funding | None:
        """Open those that exist on the ledger; sign what creates the others, or None if all exist.

        Raises Refused when the funding account has too little.
        """
        async with beating():
            return await self._open_or_sign(step)

    async def _open_or_sign(self, step: BatchStep) -> Funding | None:
        funder = await self._funder(step.at_ledger)
        views = await self._look(channel.account for channel in step.channels)
        existing = {view.account_id for view in views if isinstance(view, AccountView)}
        async with self._database.transaction() as tx:
            await stellar_channels.open_channels(tx, sorted(existing))
        missing = [channel for channel in step.channels if channel.account not in existing]
        if not missing:
            return None
        funding.check_creation(funder, len(missing), step.balance, self._rules)
        newest = await self._horizon.newest_ledger()
        return funding.sign_creation(self._wallet, self._rules, funder, missing, step.balance, newest)

    @activity.defn(name=words.TOP_UP_CHANNELS)
    async def top_up_channels(self, step: TopUpStep) -> TopUpAnswer:
        """Sign the next payments to accounts below the mark; none when nothing is left to pay.

        The funding account is read first: a transaction that lands after that makes this one's sequence
        useless, one that landed before it shows in the balances. So nothing is paid twice.
        """
        async with beating():
            return await self._sign_payments(step)

    async def _sign_payments(self, step: TopUpStep) -> TopUpAnswer:
        funder = await self._funder(step.at_ledger)
        made = [channel for channel in await self._known() if channel.state is not ChannelState.PLANNED]
        views = await self._look_at_all(
            channel.account for channel in made if self._wallet.is_channel(channel.account)
        )
        for view in views:
            _check_height(view, funder.ledger)
        missing = tuple(view.account_id for view in views if isinstance(view, NoAccount))
        payments = _payments(views, step.order)[:PAYMENTS_PER_TRANSACTION]
        if not payments:
            return TopUpAnswer(missing=missing)
        funding.check_payments(funder, payments, self._rules)
        newest = await self._horizon.newest_ledger()
        signed = funding.sign_payments(self._wallet, self._rules, funder, payments, newest)
        return TopUpAnswer(funding=signed, missing=missing)

    @activity.defn(name=words.DELIVER_FUNDING)
    async def deliver_funding(self, signed: Funding) -> Delivered:
        """Send it until the ledger, or the proof that it never landed, has decided."""
        async with beating() as pulse:
            return await deliver(self._horizon, signed, self._rules.network_passphrase, pulse)

    @activity.defn(name=words.LOOK_AT_CHANNELS)
    async def look_at_channels(self) -> LiveAccounts:
        """Every channel account as the ledger has it now, and the funding account."""
        async with beating():
            views = await self._look_at_all(channel.account for channel in await self._known())
            funder = self._wallet.funding
            own = _live(await self._horizon.account(funder)) if funder else None
            return LiveAccounts(channels=tuple(_live(view) for view in views), funding=own)

    def _family(self) -> KeyFamily:
        if self._wallet.family is None:
            raise ConfigurationError(
                "MINTKEEPER_CHANNEL_SIGNER of the worker names no mnemonic phrase: put one into a file of "
                "mode 0600 and name it as file:/path"
            )
        return self._wallet.family

    async def _funder(self, at_ledger: int = 0) -> AccountView:
        """The funding account at that ledger or later; it must be nobody else's transaction source."""
        account = self._wallet.funding
        if account is None:
            raise ConfigurationError(
                "MINTKEEPER_FUNDING_SIGNER of the worker is not set: use env:NAME or file:/path"
            )
        if any(channel.account == account for channel in await self._known()):
            raise ConfigurationError(
                f"funding account {account} is a channel account too: use one that does nothing else"
            )
        await self._horizon.check_network(self._rules.network_passphrase)
        view = await self._horizon.account(account)
        _check_height(view, at_ledger)
        if isinstance(view, NoAccount):
            raise Refused(f"funding account {account} does not exist on the ledger: fund it")
        return view

    async def check_family(self) -> None:
        """Raise ConfigurationError if the accounts on record come from another phrase than the wallet's."""
        if self._wallet.family is not None:
            _check_family(self._wallet.family, await self._known())

    async def _known(self) -> list[ChannelRecord]:
        async with self._database.transaction() as tx:
            return await channel_accounts(tx)

    async def _look_at_all(self, accounts: Iterable[str]) -> list[AccountView | NoAccount]:
        """Many accounts by few questions: whatever the funding account sponsors comes in pages."""
        wanted = list(accounts)
        funder = self._wallet.funding
        sponsored = await self._horizon.accounts_sponsored_by(funder) if funder and wanted else []
        found: dict[str, AccountView | NoAccount] = {view.account_id: view for view in sponsored}
        others = await self._look(account for account in wanted if account not in found)
        found.update({view.account_id: view for view in others})
        return [found[account] for account in wanted]

    async def _look(self, accounts: Iterable[str]) -> list[AccountView | NoAccount]:
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def one(account: str) -> AccountView | NoAccount:
            async with gate:
                return await self._horizon.account(account)

        return list(await asyncio.gather(*(one(account) for account in accounts)))


def _check_height(view: AccountView | NoAccount, at_ledger: int) -> None:
    """Raise Unavailable for a view from before that ledger: one of Horizon's sources is behind."""
    # an answer without a stamp counts as ledger 0: it may be of any age
    if view.ledger < at_ledger:
        raise Unavailable(f"Horizon shows ledger {view.ledger}, although {at_ledger} has closed")


def _check_family(family: KeyFamily, known: Iterable[ChannelRecord]) -> None:
    """Raise ConfigurationError if the accounts on record come from another phrase."""
    for channel in known:
        if channel.key_index is not None and family.account(channel.key_index) != channel.account:
            raise ConfigurationError(
                f"channel account {channel.account} was made from another mnemonic phrase: "
                "put that one back into MINTKEEPER_CHANNEL_SIGNER"
            )


def _payments(views: Iterable[AccountView | NoAccount], order: TopUpOrder) -> list[Payment]:
    balances = {view.account_id: native_balance(view) for view in views if isinstance(view, AccountView)}
    return [
        Payment(account=account, amount=order.to - balance)
        for account, balance in balances.items()
        if balance < order.below
    ]


def _live(view: AccountView | NoAccount) -> LiveAccount:
    if isinstance(view, NoAccount):
        return LiveAccount(account=view.account_id)
    return LiveAccount(account=view.account_id, balance=native_balance(view), sequence=view.sequence)
