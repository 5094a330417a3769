"""One look at a real ledger, and what it supports; anomalies are made for real."""

import pytest
from stellar_sdk import AccountMerge, BumpSequence, Keypair, Payment, TextMemo
from temporalio.testing import ActivityEnvironment

from activities.stellar import decoding, history
from activities.stellar.horizon import Horizon, HorizonUnavailable
from activities.stellar.inspect import Inspector
from db.reads.inspections import inspections
from domain.errors import ConfigurationError, NotFound, Refused
from domain.evidence import LedgerEvidence
from domain.mint_request import MintStatus
from domain.steps import InspectStep
from domain.submission import Outcome
from domain.weighing import Conclusion
from sandbox.ledger.server import SandboxOptions, running_sandbox
from tests.support.anomalies import an_anomaly, concluded, lost, mint_by_hand, send
from tests.support.minting import tried

CONFIRMED, FAILED, TIMEOUT = Outcome.CONFIRMED, Outcome.FAILED, Outcome.TIMEOUT_FAILED


async def inspect(minting, request, horizon=None):
    """One attempt of the activity."""
    inspector = Inspector(minting.database, horizon or minting.horizon)
    return await ActivityEnvironment().run(inspector.inspect, InspectStep(request_id=request.id))


async def recorded(minting, request):
    """The looks on the request's audit chain."""
    async with minting.database.transaction() as tx:
        return await inspections(tx, request.id)


async def test_an_anomaly_shows_who_used_the_sequence(minting, ledger):
    """The other transaction is found with ledger and operations; FAILED is supported, and on record."""
    used, request = await an_anomaly(minting)
    inspection = await inspect(minting, request)
    evidence, by = inspection.evidence, inspection.evidence.consumed.by
    assert (await minting.record(request)).status is MintStatus.ANOMALY
    assert inspection.finding.supports == (FAILED, TIMEOUT)
    assert (by.hash, evidence.consumed.how, by.operations[0].asset) == (used, "same_sequence", "native")
    assert evidence.channel_state == "FROZEN"
    assert evidence.channel.ledger >= evidence.newest.sequence
    assert "change its key" in inspection.finding.warnings[0]
    [event] = await recorded(minting, request)
    assert (event.sha256, event.supports) == (evidence.sha256(), inspection.finding.supports)
    again = await inspect(minting, request)
    assert [event.sha256 for event in await recorded(minting, request)] == [again.sha256] * 2
    assert LedgerEvidence.parse(evidence.canonical()) == evidence


async def test_a_failed_transaction_uses_the_sequence_too(minting, ledger):
    """Somebody else's payment was refused in a ledger: the number is gone all the same."""
    used, request = await an_anomaly(minting, Payment(ledger.holder.public_key, ledger.ledger_asset, "1"))
    by = (await inspect(minting, request)).evidence.consumed.by
    assert (by.hash, by.successful) == (used, False)


async def test_a_jump_over_the_sequence_is_found(minting, ledger):
    """A bump from below the number, by the account itself, leaves no use for it."""
    request, channel = await lost(minting)
    stored = (await minting.record(request)).submission
    # the jump itself uses a number, so the envelope stands above it, as one does that follows its ticket
    above = stored.model_copy(update={"sequence": stored.sequence + 2})
    await send(ledger, channel, operations=[BumpSequence(above.sequence)])
    found, searched = await history.History(ledger.url, request, above).sequence_use()
    assert (found.how, searched.transactions) == ("bumped", 1)
    assert found.by.operations[0].detail == f"to {above.sequence}"


async def test_the_end_of_the_account_is_found(minting, ledger):
    """A merged channel account is gone, and the transaction that ended it is named."""
    used, request = await an_anomaly(minting, AccountMerge(ledger.holder.public_key))
    inspection = await inspect(minting, request)
    assert inspection.evidence.channel.sequence is None
    assert inspection.evidence.consumed.by.hash == used
    assert inspection.finding.supports == (FAILED, TIMEOUT)


async def test_a_mint_with_the_digest_by_another_transaction_confirms(minting, ledger):
    """Somebody built the mint anew on the channel account: it is paid, and must not be paid again."""
    request, channel = await lost(minting)
    used = await send(
        ledger, channel, ledger.issuer, operations=[mint_by_hand(ledger, request)], digest=request.digest()
    )
    await concluded(minting, request)
    inspection = await inspect(minting, request)
    assert [other.hash for other in inspection.evidence.others] == [used]
    assert inspection.finding.supports == (CONFIRMED,)


@pytest.mark.parametrize(
    ("amount", "digest", "supports"), [("2499", True, ()), ("2500", False, (FAILED, TIMEOUT))]
)
async def test_a_mint_by_hand_that_is_not_quite_it(minting, ledger, amount, digest, supports):
    """With the digest and another amount nothing can be signed; without the digest there is a warning."""
    request, channel = await lost(minting)
    memo = request.digest() if digest else ""
    operations = [mint_by_hand(ledger, request, amount)]
    await send(ledger, channel, ledger.issuer, operations=operations, digest=memo)
    finding = (await inspect(minting, await concluded(minting, request))).finding
    assert finding.supports == supports
    assert digest or "by hand" in finding.warnings[1]


async def test_a_mint_that_landed_and_was_paid_again_by_hand(minting, ledger):
    """A double mint is seen and said."""
    request = await minting.approved()
    await minting.mint(request)
    await send(ledger, ledger.issuer, operations=[mint_by_hand(ledger, request)], digest=request.digest())
    finding = (await inspect(minting, request)).finding
    assert finding.supports == (CONFIRMED,)
    assert finding.warnings[0].startswith("PAID 2 TIMES")


async def test_other_mints_of_the_issuer_are_not_this_one(minting, ledger):
    """Each carries its own digest."""
    request, _ = await lost(minting)
    await minting.mint(await minting.approved("second"))
    await minting.mint(await minting.approved("third"))
    evidence = (await inspect(minting, request)).evidence
    assert (evidence.others, evidence.issuer_search.transactions) == ((), 2)


async def test_what_landed_is_confirmed(minting):
    """Ledger, close time and fee of the mint itself; the stored outcome agrees."""
    request = await minting.approved()
    result = await minting.mint(request)
    inspection = await inspect(minting, request)
    [seen] = inspection.evidence.hashes
    assert (seen.landed.ledger, seen.landed.fee_charged) == (result.ledger, 100)
    assert (inspection.finding.conclusion, inspection.finding.warnings) == (Conclusion.CONFIRMED, ())


async def test_a_mint_of_any_form_is_recognised(minting, ledger):
    """A claimable balance, with the ticket's removal behind it, pays exactly what was asked too."""
    newcomer = Keypair.random()
    await ledger.fund(newcomer)
    await minting.allow(claimable_balance=True, one_shot_ticket=True)
    request = await minting.approved(destination=newcomer.public_key)
    await minting.mint(request)
    inspection = await inspect(minting, request)
    paid, *rest = inspection.evidence.envelope.operations
    assert (paid.destinations, paid.conditional) == ((newcomer.public_key,), (ledger.issuer.public_key,))
    assert [operation.kind for operation in rest] == ["manage_data"]
    assert (inspection.finding.supports, inspection.finding.warnings) == ((CONFIRMED,), ())


async def test_what_landed_in_a_fee_bump_is_found_by_every_hash(minting, ledger):
    """The inner hash and the bump's lead to the same landing."""
    request = await minting.approved()
    await ledger.fault("surge_fee", fee_per_operation=500)
    await minting.mint(request)
    evidence = (await inspect(minting, request)).evidence
    inner, bump = evidence.hashes
    assert (inner.fee, inner.landed) == (None, bump.landed)
    assert bump.landed.found_hash == bump.hash


async def test_what_the_ledger_refused_has_failed(minting, ledger):
    """Included and refused: the result codes are evidence enough."""
    request = await minting.approved()
    await ledger.fault("timeout_never_land", count=1)
    await minting.submit(request)
    await ledger.trust(ledger.holder, "0")
    await minting.mint(request)
    inspection = await inspect(minting, request)
    assert inspection.finding.supports == (FAILED,)
    assert "op_no_trust" in inspection.finding.words


async def test_before_the_bound_there_is_only_waiting(minting, ledger):
    """An absent hash proves nothing while a ledger may still take it; after it, all three steps do."""
    request, _ = await lost(minting)
    assert (await inspect(minting, request)).finding.conclusion is Conclusion.WAIT
    await ledger.close(8)
    assert (await inspect(minting, request)).finding.supports == (TIMEOUT,)


async def test_nodes_at_different_heights_never_deny_a_mint(minting, ledger):
    """It landed, and every other answer comes from a node that is behind: CONFIRMED, or look again."""
    request = await minting.approved()
    await minting.submit(request, minting.hurried())
    await ledger.close(8)
    await ledger.fault("two_views", ledgers=8)
    seen = [await tried(lambda: look_or_wait(minting, request)) for _ in range(8)]
    assert any(finding.supports for finding in seen)
    assert {outcome for finding in seen for outcome in finding.supports} == {CONFIRMED}


async def look_or_wait(minting, request):
    """What a look finds."""
    return (await inspect(minting, request)).finding


async def test_long_histories_are_read_page_by_page(minting, ledger, monkeypatch):
    """The search goes on behind a full page, and says so when it stops before the newest."""
    monkeypatch.setattr(history, "PAGE_SIZE", 2)
    request, channel = await lost(minting)
    for _ in range(5):
        await ledger.pay(ledger.holder, channel, "1")
    await ledger.pay(channel, ledger.holder, "1")
    submission = (await minting.record(request)).submission
    read = history.History(ledger.url, request, submission)
    found, searched = await read.sequence_use()
    assert (found.how, searched.transactions, searched.whole) == ("same_sequence", 6, True)
    monkeypatch.setattr(history, "MAX_PAGES", 2)
    assert (await read.sequence_use())[1].whole is False


async def test_without_an_envelope_there_is_nothing_to_look_for(minting, horizon):
    """Nothing was signed, or there is no such request: said at once, and not tried again."""
    request = await minting.approved()
    with pytest.raises(Refused, match="nothing was signed"):
        await inspect(minting, request)
    with pytest.raises(NotFound):
        await inspect(minting, request.model_copy(update={"id": "mr_" + "Z" * 26}))
    assert await recorded(minting, request) == []


async def test_another_networks_horizon_knows_nothing_of_it(minting):
    """Absence there would prove nothing: refused, and nothing is recorded."""
    request, _ = await lost(minting)
    options = SandboxOptions(network_passphrase="Another Network", interval=0)
    async with running_sandbox(options) as url:
        foreign = Horizon(url)
        with pytest.raises(ConfigurationError, match="Another Network"):
            await inspect(minting, request, foreign)
        await foreign.close()
    assert await recorded(minting, request) == []


@pytest.mark.parametrize("path", ["/transactions", "/accounts"])
async def test_a_horizon_that_answers_half_gives_no_evidence(minting, ledger, path):
    """Without every answer there is no document, only an error that may pass."""
    request, _ = await lost(minting)
    await ledger.fault("unavailable", count=1000, path=path)
    with pytest.raises(HorizonUnavailable):
        await inspect(minting, request)
    assert await recorded(minting, request) == []


@pytest.mark.parametrize(
    ("memo", "shown"), [(b"\x1b[2J", "text:\ufffd[2J"), (b"\xff", "text:\ufffd"), (b"hi", "text:hi")]
)
def test_strangers_paint_no_terminal(memo, shown):
    """Control characters in a stranger's memo are not passed on to whoever reads it."""
    assert decoding.memo_text(TextMemo(memo)) == shown
