"""Anomalies made for real: somebody else with the channel account's key uses the sequence."""

from stellar_sdk import Asset, HashMemo, Keypair, Payment, TransactionBuilder
from stellar_sdk.operation import Operation

from domain.mint_request import MintRequest, MintStatus
from domain.steps import Inspection
from settings import TESTNET_PASSPHRASE
from starter.ledger import inspect_ledger
from tests.support.desk import PATIENCE, Desk, Ticket
from tests.support.ledger import MintLedger
from tests.support.minting import Minting


async def send(ledger: MintLedger, *signers: Keypair, operations: list[Operation], digest: str = "") -> str:
    """Send a transaction of the first signer, with a digest as memo; its hash."""
    account = await ledger.server.load_account(signers[0].public_key)
    builder = TransactionBuilder(account, TESTNET_PASSPHRASE, base_fee=100).add_time_bounds(0, 0)
    for operation in operations:
        builder.append_operation(operation)
    if digest:
        builder.add_memo(HashMemo(digest))
    envelope = builder.build()
    for signer in signers:
        envelope.sign(signer)
    await ledger.server.submit_transaction_async(envelope)
    if ledger.manual:
        await ledger.close()
    return envelope.hash_hex()


def mint_by_hand(ledger: MintLedger, request: MintRequest, amount: str = "2500") -> Payment:
    """The operation that is the mint, signed by whoever has the issuer's key."""
    return Payment(request.destination, ledger.ledger_asset, amount, source=ledger.issuer.public_key)


async def lost(minting: Minting, key: str = "first") -> tuple[MintRequest, Keypair]:
    """A request whose envelope no node keeps, and the key of its channel account."""
    request = await minting.approved(key)
    await minting.ledger.fault("timeout_never_land", count=1000)
    answer = await minting.submit(request, minting.hurried())
    await minting.ledger.clear_faults()
    [channel] = [pair for pair in minting.ledger.channels if pair.public_key == answer.channel]
    return request, channel


async def concluded(minting: Minting, request: MintRequest) -> MintRequest:
    """Settled although nobody ever hears of the envelope again."""
    await minting.ledger.fault("timeout_never_land", count=1000)
    await minting.mint(request)
    await minting.ledger.clear_faults()
    return request


async def an_anomaly(
    minting: Minting, *operations: Operation, digest: bool = False
) -> tuple[str, MintRequest]:
    """Somebody else's transaction on the channel account (its hash), and the request in ANOMALY."""
    ledger = minting.ledger
    request, channel = await lost(minting)
    chosen = list(operations) or [Payment(ledger.holder.public_key, Asset.native(), "1")]
    issues = any(operation.source is not None for operation in chosen)
    signers = [channel, ledger.issuer] if issues else [channel]
    used = await send(ledger, *signers, operations=chosen, digest=request.digest() if digest else "")
    return used, await concluded(minting, request)


async def desk_loses_a_sequence(desk: Desk) -> Ticket:
    """A request in ANOMALY, brought there by its own workflow; its workers run, with a short window."""
    await desk.ledger.fault("timeout_never_land", count=1000)
    ticket = await desk.submit()
    await desk.decide(ticket, "alice")
    record = await desk.until_status(ticket, MintStatus.SUBMITTING)
    await desk.ledger.clear_faults()
    channel = next(pair for pair in desk.ledger.channels if pair.public_key == record.submission.channel)
    await desk.ledger.pay(channel, desk.ledger.holder, "1")
    await desk.ledger.fault("timeout_never_land", count=1000)
    await desk.until_status(ticket, MintStatus.ANOMALY)
    await desk.ledger.clear_faults()
    return ticket


async def look(desk: Desk, ticket: Ticket) -> Inspection:
    """An inspection by its workflow, as the CLI starts one."""
    return await inspect_ledger(desk.client, ticket.id, PATIENCE)
