from datetime import UTC, datetime, timedelta

import pytest

from domain.approvals import RefusalReason, Verdict
from domain.errors import DecisionRefused, InvalidInput
from domain.evidence import LedgerEvidence, RecordedInspection, Searched, SeenChannel, SeenHash
from domain.mint_request import MintStatus
from domain.submission import FeeBump, Outcome, Submission
from domain.weighing import Conclusion, judge_evidence, judge_recorded, weigh
from tests.domain.factories import make_decision, make_record
from tests.support.evidence import (
    a_landing,
    a_mint,
    another,
    foreign_use,
    landed,
    make_evidence,
    used_up,
)

CHANNEL = "GD" + "C" * 54
SUBMISSION = Submission(
    request_id=make_record().request.id, hash="a" * 64, channel=CHANNEL, sequence=2**57 + 42, max_time=1000,
    envelope_xdr="AAAA", signed_at_ledger=30,
    fee_bumps=(FeeBump(hash="b" * 64, fee=1000, envelope_xdr="BBBB"),),
)  # fmt: skip
RECORD = make_record(status=MintStatus.ANOMALY, submission=SUBMISSION)
BOTH = (SeenHash(hash="a" * 64), SeenHash(hash="b" * 64, fee=1000))
REFUSED = a_landing(False, transaction="tx_failed", operations=["op_no_trust"])


def own(landing, **changes):
    """Evidence with the mint found under its own hash, the fee bump absent."""
    found = landing.model_copy(update={"found_hash": landing.found_hash or "a" * 64})
    hashes = (SeenHash(hash="a" * 64, landed=found), BOTH[1])
    return make_evidence(RECORD, hashes=hashes, channel_search=None, **changes)


def at(sequence, ledger=50):
    """The channel account at a height."""
    return SeenChannel(account=CHANNEL, ledger=ledger, sequence=sequence)


def early():
    """The newest ledger before which the bound has passed: none."""
    newest = make_evidence(RECORD).newest
    return newest.model_copy(update={"closed_at": datetime.fromtimestamp(SUBMISSION.max_time, UTC)})


BUMP_FAILED = a_landing(False, found="b" * 64, transaction="tx_bad_auth")
CONFIRMED, FAILED, TIMEOUT = Outcome.CONFIRMED, Outcome.FAILED, Outcome.TIMEOUT_FAILED

SUPPORTED = {
    "unused after the bound": (make_evidence(RECORD), (TIMEOUT,)),
    "used by somebody else": (used_up(RECORD), (FAILED, TIMEOUT)),
    "the account is gone, and its end is known": (used_up(RECORD, channel=at(None)), (FAILED, TIMEOUT)),
    "landed": (own(a_landing()), (CONFIRMED,)),
    "landed, looked at before the bound": (own(a_landing(), newest=early()), (CONFIRMED,)),
    "landed and refused": (own(REFUSED), (FAILED,)),
    "only the fee bump failed, nothing landed": (own(BUMP_FAILED), (TIMEOUT,)),
    "the fee bump failed, and then somebody used the sequence": (
        own(BUMP_FAILED, channel=at(SUBMISSION.sequence), consumed=foreign_use(RECORD)), (FAILED, TIMEOUT),
    ),
    "the inner one failed in its fee bump": (
        own(a_landing(False, found="b" * 64, transaction="tx_fee_bump_inner_failed")), (FAILED,),
    ),
    "paid by another with the digest": (make_evidence(RECORD, others=(another(RECORD),)), (CONFIRMED,)),
    "refused, and then paid by another": (own(REFUSED, others=(another(RECORD),)), (CONFIRMED,)),
}  # fmt: skip


@pytest.mark.parametrize(("evidence", "supports"), SUPPORTED.values(), ids=SUPPORTED)
def test_what_supports_an_outcome(evidence, supports):
    """Each outcome has its own evidence, and no other outcome is supported by it."""
    finding = weigh(evidence, RECORD)
    assert finding.supports == supports
    assert finding.conclusion == supports[0].value
    for outcome in (CONFIRMED, FAILED, TIMEOUT):
        if outcome in supports:
            assert judge_evidence(evidence, RECORD, outcome) == (evidence, finding)
        else:
            with pytest.raises(DecisionRefused) as caught:
                judge_evidence(evidence, RECORD, outcome)
            assert caught.value.reason == RefusalReason.EVIDENCE_CONTRADICTS


def other(**changes):
    """Evidence of another transaction with the digest that is not quite the mint."""
    return make_evidence(RECORD, others=(another(RECORD, **changes),))


def twice(request):
    """Two mints in one transaction."""
    return (a_mint(request), a_mint(request))


REQUEST = RECORD.request
WAIT, CONTRADICTION = Conclusion.WAIT, Conclusion.CONTRADICTION
NOTHING = {
    "the bound is not past": (make_evidence(RECORD, newest=early()), WAIT),
    "before the bound, used or not": (used_up(RECORD, newest=early()), WAIT),
    "the account was read at an older height": (
        make_evidence(RECORD, channel=at(SUBMISSION.sequence - 1, 49)), WAIT,
    ),
    "paid by another while the stored one may land": (
        make_evidence(RECORD, newest=early(), others=(another(RECORD),)), WAIT,
    ),
    "in the list, but not by its hash": (
        used_up(RECORD, consumed=foreign_use(RECORD, hash="a" * 64)), WAIT,
    ),
    "used, nobody knows by what": (used_up(RECORD, consumed=None), CONTRADICTION),
    "gone, nobody knows how": (used_up(RECORD, consumed=None, channel=at(None)), CONTRADICTION),
    "another amount": (other(operations=(a_mint(REQUEST, amount="1.0000000"),)), CONTRADICTION),
    "another destination": (other(operations=(a_mint(REQUEST, destinations=(CHANNEL,)),)), CONTRADICTION),
    "a second claimant": (
        other(operations=(
            a_mint(REQUEST, kind="create_claimable_balance", conditional=(CHANNEL,)),
        )), CONTRADICTION,
    ),
    "claimable under conditions only": (
        other(operations=(
            a_mint(
                REQUEST, kind="create_claimable_balance", destinations=(), conditional=(REQUEST.destination,)
            ),
        )), CONTRADICTION,
    ),
    "twice in one": (other(operations=twice(REQUEST), operation_count=2), CONTRADICTION),
    "sold": (other(operations=(a_mint(REQUEST, kind="manage_sell_offer"),)), CONTRADICTION),
    "more operations than were kept": (other(operation_count=50), CONTRADICTION),
    "the stored one pays something else": (
        own(a_landing(), envelope=make_evidence(RECORD).envelope.model_copy(
            update={"operations": (a_mint(REQUEST, amount="2500.0000001"),)})), CONTRADICTION,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("evidence", "conclusion"), NOTHING.values(), ids=NOTHING)
def test_what_supports_nothing(evidence, conclusion):
    """Whatever leaves a doubt supports no outcome at all."""
    finding = weigh(evidence, RECORD)
    assert (finding.conclusion, finding.supports) == (conclusion, ())


def change(**values):
    """The evidence with other values somewhere on its top level."""
    return make_evidence(RECORD).model_copy(update=values)


ENVELOPE = make_evidence(RECORD).envelope
STRANGERS = {
    "another request": change(request_id="mr_" + "Z" * 26),
    "another digest": change(request_digest="0" * 64),
    "another network": change(network="Public Global Stellar Network ; September 2015"),
    "another envelope": change(envelope=ENVELOPE.model_copy(update={"hash": "f" * 64})),
    "another sequence": change(envelope=ENVELOPE.model_copy(update={"sequence": 41})),
    "an earlier bound": change(envelope=ENVELOPE.model_copy(update={"max_time": 10})),
    "another channel account": change(channel=SeenChannel(account="GA", ledger=50, sequence=1)),
    "a fee bump left out": change(hashes=BOTH[:1]),
    "a foreign hash": change(hashes=(*BOTH, SeenHash(hash="d" * 64))),
}


@pytest.mark.parametrize("evidence", STRANGERS.values(), ids=STRANGERS)
def test_evidence_of_something_else_supports_nothing(evidence):
    """Request, network, hashes with every fee bump, channel, sequence and bound are the stored ones."""
    assert weigh(evidence, RECORD).supports == ()


def test_a_request_without_an_envelope_has_no_evidence():
    """Nothing was signed, so nothing can have landed."""
    assert weigh(make_evidence(RECORD), make_record(status=MintStatus.ANOMALY)).supports == ()


def test_a_claimable_balance_pays_too():
    """For the destination alone, or with the issuer as the one who may take it back."""
    balance = a_mint(REQUEST, kind="create_claimable_balance", conditional=(REQUEST.asset.issuer,))
    assert weigh(other(operations=(balance,)), RECORD).supports == (CONFIRMED,)


def test_paid_twice_is_said_loudly():
    """The mint landed and another transaction paid it again: CONFIRMED, with a warning."""
    finding = weigh(own(a_landing(), others=(another(RECORD),)), RECORD)
    assert finding.supports == (CONFIRMED,)
    assert "PAID 2 TIMES" in finding.warnings[0]


def test_a_mint_by_hand_and_an_unfinished_search_are_pointed_out():
    """Somebody else's key, a mint without the digest, and what was not searched."""
    by_hand = foreign_use(RECORD, operations=(a_mint(REQUEST),))
    searched = Searched(transactions=4000, from_ledger=30, whole=False)
    finding = weigh(used_up(RECORD, consumed=by_hand, issuer_search=searched), RECORD)
    assert finding.supports == (FAILED, TIMEOUT)
    assert [next(word for word in ("4000", "change its key", "by hand") if word in warning)
            for warning in finding.warnings] == ["4000", "change its key", "by hand"]  # fmt: skip


def test_an_ended_request_is_compared_with_its_outcome():
    """The ledger agrees with what was stored, or that is a contradiction."""
    from tests.db.factories import timed_out

    ended = RECORD.model_copy(update={"status": MintStatus.TIMEOUT_FAILED, "result": timed_out(RECORD)})
    assert weigh(make_evidence(ended), ended).conclusion is Conclusion.TIMEOUT_FAILED
    found = weigh(landed(ended, a_landing(), hashes=own(a_landing()).hashes), ended)
    assert (found.conclusion, found.supports) == (CONTRADICTION, ())


def test_missing_evidence_has_a_word_of_its_own():
    """A reason alone resolves nothing."""
    with pytest.raises(DecisionRefused) as caught:
        judge_evidence(None, RECORD, FAILED)
    assert caught.value.reason == RefusalReason.EVIDENCE_MISSING


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def recorded(evidence, *supports, ledger=50, age=timedelta(0), sha256=""):
    """An inspection on the audit chain."""
    digest = sha256 or evidence.sha256()
    return RecordedInspection(sha256=digest, ledger=ledger, supports=supports, at=NOW - age)


def refusal(evidence, *inspections):
    """Why the recorded inspections refuse it; empty: they do not."""
    try:
        judge_recorded(evidence, TIMEOUT, inspections, NOW)
    except DecisionRefused as refused:
        return refused.reason
    return ""


def test_only_what_was_seen_lately_counts():
    """Unknown evidence is forged, old evidence stale; an hour is the limit."""
    evidence = make_evidence(RECORD)
    hour = timedelta(hours=1)
    assert refusal(evidence) == "evidence_unknown"
    assert refusal(evidence, recorded(evidence, TIMEOUT, sha256="0" * 64)) == "evidence_unknown"
    assert refusal(evidence, recorded(evidence, TIMEOUT, age=hour)) == ""
    assert refusal(evidence, recorded(evidence, TIMEOUT, age=2 * hour), recorded(evidence, TIMEOUT)) == ""
    assert refusal(evidence, recorded(evidence, TIMEOUT, age=hour + timedelta(seconds=1))) == "evidence_stale"


def test_a_newer_look_that_disagrees_wins():
    """A gap in a Horizon's history may have been filled: the newest look must support it too."""
    evidence = make_evidence(RECORD)
    first = recorded(evidence, TIMEOUT)
    newer = {"sha256": "1" * 64, "ledger": 60}
    assert refusal(evidence, first, recorded(evidence, CONFIRMED, **newer)) == "evidence_stale"
    assert refusal(evidence, first, recorded(evidence, FAILED, TIMEOUT, **newer)) == ""
    assert refusal(evidence, first, recorded(evidence, **newer | {"ledger": 49})) == ""


def test_a_saved_document_comes_back_as_it_was():
    """Numbers of 64 bits survive; another spelling is refused, and other content has another hash."""
    evidence = used_up(RECORD, others=(another(RECORD),))
    assert LedgerEvidence.parse(evidence.canonical()) == evidence
    for wrong in (b"{}", b"junk", evidence.canonical() + b"\n"):
        with pytest.raises(InvalidInput):
            LedgerEvidence.parse(wrong)
    changed = LedgerEvidence.parse(evidence.canonical().replace(b"50", b"51"))
    assert changed.sha256() != evidence.sha256()


def test_the_signature_covers_the_evidence_and_plain_decisions_stay_as_they_were():
    """The payload has `evidence` with a resolution, and no such field without."""
    assert b"evidence" not in make_decision().canonical()
    evidence = make_evidence(RECORD)
    decision = make_decision(verdict=Verdict.TIMEOUT_FAILED, evidence=evidence)
    assert evidence.canonical() in decision.canonical()
    assert type(decision).parse(decision.canonical()) == decision
