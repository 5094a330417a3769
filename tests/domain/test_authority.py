"""Whose authority a decision uses, and every way in which somebody else's is not moved."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.absences import Absence, Delegation, Party, Wish, absence_id
from domain.approvals import Verdict
from domain.authority import Authority, authority_of, prove
from domain.commands import Command, CommandAction, sign_command
from domain.errors import DecisionRefused, InvalidInput
from domain.judgement import judge
from tests.domain.factories import (
    make_approval,
    make_decision,
    make_record,
    make_request,
    make_rule,
    make_signer,
)

KEYS = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob", "carol", "dave", "adam", "rita")}
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EVERY = frozenset(Verdict)
APPROVER = frozenset({"approver"})
ADMIN = frozenset({"admin"})
SIGNED_FOR = {"from": "2026-11-22T11:00:00Z", "until": "2026-11-22T13:00:00Z", "reason": "ill"}


def party(name, tier=None, roles=APPROVER, active=True):
    """Somebody as they are registered now."""
    keys = (KEYS[name].public_key().public_bytes_raw(),)
    return Party(name=name, active=active, roles=roles, tier=tier, public_keys=keys)


def delegation(
    user="carol", to="bob", tier=2, *, by=None, setter=None, absent=None, key_of=None, row=None, **said
):
    """`user` is away from 11:00 to 13:00 and `to` stands in; `said` changes the command, `row` the row."""
    values = {
        "tenant": "acme",
        "actor": by or user,
        "action": CommandAction.SET_ABSENCE,
        "target": user,
        "body": SIGNED_FOR | {"delegate": to},
        "id": f"cm_{user}_{to}_00000000",
        "issued_at": NOON - timedelta(hours=1),
    } | said
    command = Command(**values)
    absence = {
        "id": absence_id(command.id),
        "tenant": "acme",
        "user": user,
        "starts_at": NOON - timedelta(hours=1),
        "ends_at": NOON + timedelta(hours=1),
        "delegate": to,
        "reason": "ill",
        "set_by": by or user,
        "set_at": NOON - timedelta(hours=1),
    } | (row or {})
    envelope = sign_command(command, KEYS[key_of or by or user])
    return Delegation(
        absence=Absence(**absence),
        absent=absent or party(user, tier),
        setter=setter or party(by or user, tier, APPROVER if by is None else ADMIN),
        envelope=json.loads(envelope.model_dump_json(by_alias=True)),
    )


def bob(*delegations, **changes):
    """Bob of tier 1, with delegations."""
    return make_signer(**({"name": "bob", "delegations": delegations} | changes))


def used(record, signer, now=NOON, **changes):
    """The authority that an approval uses; raises what the judgement raises."""
    decision = make_decision(**({"approver": signer.name} | changes))
    judge(decision, EVERY, record, signer, now)
    return authority_of(decision, record, signer, now)


def refusal(record, signer, now=NOON, **changes):
    """Why a decision is refused."""
    with pytest.raises(DecisionRefused) as caught:
        used(record, signer, now, **changes)
    return caught.value.reason


TIER_2 = make_record(rule=make_rule(min_tier=2))


def test_the_delegate_decides_with_the_tier_of_the_absent_approver():
    """Where their own does not suffice, and only while the absence lasts."""
    lent = delegation()
    found = used(TIER_2, bob(lent))
    assert found == Authority(2, "carol", lent.absence.id, NOON)
    assert refusal(TIER_2, bob(lent), lent.absence.ends_at) == "tier_not_eligible"
    assert (
        refusal(TIER_2, bob(lent), lent.absence.starts_at - timedelta(microseconds=1)) == "tier_not_eligible"
    )
    assert used(TIER_2, bob(lent), lent.absence.starts_at).on_behalf_of == "carol"


def test_own_authority_is_preferred_where_it_is_enough():
    """Nobody uses more than they need."""
    assert used(make_record(), bob(delegation())) == Authority(1)


def test_the_awaited_tier_is_used_where_only_somebody_elses_has_it():
    """The rule lacks tier 2: bob's own tier 1 would not end the wait, carol's does."""
    record = make_record(
        rule=make_rule(approvals=2, at_least_one_of_tier=2), approvals=(make_approval("alice"),)
    )
    assert used(record, bob(delegation())).on_behalf_of == "carol"
    assert used(record, bob()) == Authority(1)
    own = {"verdict": Verdict.REJECT, "reason": "no"}
    assert used(record, bob(delegation()), **own) == Authority(1), "a rejection needs no more"
    senior = record.model_copy(update={"approvals": (make_approval("erin", 2),)})
    assert used(senior, bob(delegation())) == Authority(1)


def test_among_several_the_lowest_sufficient_tier_and_then_the_name_decides():
    """Deterministic, whatever the order of the rows."""
    granted = make_record(rule=make_rule(min_tier=2), granted_tiers=(3,))
    lent = [delegation("dave", tier=3), delegation("carol", tier=2), delegation("adam", tier=2)]
    for order in (lent, lent[::-1]):
        assert used(granted, bob(*order)).on_behalf_of == "adam"
    assert used(granted, bob(lent[0])).on_behalf_of == "dave"


def test_a_rejection_too_needs_somebody_elses_authority_where_the_own_may_not_decide():
    """Veto power is authority like any other."""
    rejection = {"verdict": Verdict.REJECT, "reason": "no"}
    assert used(TIER_2, bob(delegation()), **rejection).on_behalf_of == "carol"
    assert refusal(TIER_2, bob(), **rejection) == "tier_not_eligible"


def test_the_limits_of_the_absent_approver_move_with_their_authority():
    """A tier that no stage has granted is no more entitled in another's hand."""
    assert (
        refusal(make_record(rule=make_rule(min_tier=2)), bob(delegation("dave", tier=3)))
        == "tier_not_eligible"
    )


@pytest.mark.parametrize(
    "absent",
    [
        party("carol", 2, active=False),
        party("carol", 2, frozenset({"auditor"})),
        party("carol", None),
        party("carol", 1),
    ],
    ids=["left", "no approver any more", "no tier", "lower tier now"],
)
def test_what_the_absent_approver_has_lost_does_not_move(absent):
    """They are judged as they are at the moment of the decision."""
    assert refusal(TIER_2, bob(delegation(absent=absent))) == "tier_not_eligible"


def test_four_eyes_hold_in_both_directions():
    """Neither the requester's authority in another's hand nor another's in the requester's, in any case."""
    by_carol = TIER_2.model_copy(update={"request": make_request(requester="Carol")})
    digest = {"request_digest": by_carol.request.digest()}
    assert refusal(by_carol, bob(delegation()), **digest) == "self_approval"
    by_bob = TIER_2.model_copy(update={"request": make_request(requester="BOB")})
    digest = {"request_digest": by_bob.request.digest()}
    assert refusal(by_bob, bob(delegation()), **digest) == "self_approval"


def test_nobodys_authority_counts_twice():
    """Carol approved before she left; or somebody approved for her and she is back."""
    left = TIER_2.model_copy(update={"approvals": (make_approval("carol", 2),)})
    assert refusal(left, bob(delegation())) == "already_decided"
    for_her = make_approval("bob", 2).model_copy(update={"on_behalf_of": "carol"})
    back = TIER_2.model_copy(update={"approvals": (for_her,)})
    assert refusal(back, make_signer(name="carol", tier=2)) == "already_decided"


def test_one_person_is_one_approval():
    """In their own right and for somebody, or for two: the second is refused."""
    own = make_record(rule=make_rule(approvals=3, at_least_one_of_tier=2), approvals=(make_approval("bob"),))
    assert refusal(own, bob(delegation())) == "already_decided"
    lent = (delegation("carol"), delegation("adam"))
    once = TIER_2.model_copy(
        update={"approvals": (make_approval("bob", 2).model_copy(update={"on_behalf_of": "adam"}),)}
    )
    assert refusal(once, bob(*lent)) == "already_decided"


def test_who_is_away_has_no_authority_until_the_absence_is_over():
    """Approve and reject are refused with the way out; cancelling one's own request is no authority."""
    lent = delegation()
    carol = make_signer(name="carol", tier=2, delegations=(lent,))
    for verdict in (Verdict.APPROVE, Verdict.REJECT):
        with pytest.raises(DecisionRefused, match=f"absence end {lent.absence.id}") as caught:
            used(TIER_2, carol, verdict=verdict, reason="no")
        assert caught.value.reason == "delegated"
    assert used(TIER_2, carol, lent.absence.ends_at) == Authority(2)
    hers = make_record(request=make_request(requester="carol"))
    judge(
        make_decision(verdict=Verdict.CANCEL, approver="carol", request_digest=hers.request.digest()),
        EVERY, hers, carol, NOON,
    )  # fmt: skip


def test_there_are_no_chains():
    """Bob stands in for carol and is away himself: neither he nor his own delegate has carol's authority."""
    to_bob, to_alice = delegation(), delegation("bob", "alice", tier=1)
    assert refusal(TIER_2, bob(to_bob, to_alice)) == "delegated"
    assert refusal(TIER_2, make_signer(delegations=(to_alice,))) == "tier_not_eligible"


FORGED = {
    "signed by another": {"key_of": "bob"},
    "for another tenant": {"tenant": "other"},
    "another action": {"action": CommandAction.END_ABSENCE},
    "another target": {"target": "dave"},
    "another actor": {"actor": "dave"},
    "a longer absence": {"row": {"ends_at": NOON + timedelta(hours=2)}},
    "an earlier absence": {"row": {"starts_at": NOON - timedelta(hours=2)}},
    "another's command under a new id": {"row": {"id": "abs_" + "A" * 26}},
    "another reason": {"row": {"reason": "holiday"}},
    "said to be set by another": {"row": {"set_by": "dave"}},
    "another delegate": {"body": SIGNED_FOR | {"delegate": "eve"}},
    "no period": {"body": {"delegate": "bob"}},
    "set by somebody who is no admin": {"by": "dave", "setter": party("dave", 3)},
    "set by an admin who has left": {"by": "adam", "setter": party("adam", roles=ADMIN, active=False)},
    "the key is revoked": {"setter": party("carol", 2).model_copy(update={"public_keys": ()})},
    "back-dated": {"issued_at": NOON},
}  # fmt: skip


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
def test_a_forged_row_moves_no_authority(changes):
    """The signed command must say just what the row says; else the decision is refused, with its own word."""
    forged = delegation(**changes)
    assert refusal(TIER_2, bob(forged)) == "delegation_unproven"
    carol = make_signer(name="carol", tier=2, delegations=(forged,))
    assert used(TIER_2, carol) == Authority(2), "and it takes none away"


@pytest.mark.parametrize(
    "envelope", [None, "x", [], {}, {"payload": "e30=", "payloadType": "x", "signatures": []}]
)
def test_a_row_without_an_envelope_moves_no_authority(envelope):
    """Whatever is in its place."""
    forged = delegation().model_copy(update={"envelope": envelope})
    assert refusal(TIER_2, bob(forged)) == "delegation_unproven"


def test_an_admin_may_send_somebody_away_but_not_take_their_authority():
    """For somebody ill; an admin who stands in themselves proves nothing."""
    prove(delegation(by="adam"))
    taken = delegation(to="adam", by="adam")
    adam = make_signer(name="adam", roles=frozenset({"admin", "approver"}), tier=1, delegations=(taken,))
    assert refusal(TIER_2, adam) == "delegation_unproven"


def test_an_absence_that_was_ended_early_is_proven_still():
    """Its period is shorter than what was signed."""
    prove(delegation(row={"ends_at": NOON, "ended_by": "carol"}))


WRONG = {
    "until": [
        {"from": NOON, "until": NOON - timedelta(hours=1)},
        {"from": NOON, "until": NOON},
        {"from": NOON - timedelta(minutes=4), "until": NOON},
        {"from": NOON, "until": NOON + timedelta(days=92, seconds=1)},
        {"from": NOON, "until": 1_800_000_000},
        {"from": NOON, "until": "tomorrow"},
        {"from": NOON},
    ],
    "from": [
        {"from": NOON - timedelta(minutes=6), "until": NOON + timedelta(days=1)},
        {"from": "2026-11-22T12:00:00", "until": NOON + timedelta(days=1)},
    ],
    "delegate": [{"from": NOON, "until": NOON + timedelta(days=1), "delegate": "CAROL"}],
    "reason": [{"from": NOON, "until": NOON + timedelta(days=1), "reason": "\x1b[2J"}],
    "sudo": [{"from": NOON, "until": NOON + timedelta(days=1), "sudo": True}],
}


@pytest.mark.parametrize(
    ("field", "body"), [(field, body) for field, bodies in WRONG.items() for body in bodies]
)
def test_a_wrong_wish_names_its_field(field, body):
    """Nothing is dated back, longer than a quarter, or understood by guessing."""
    with pytest.raises(InvalidInput) as caught:
        Wish.parse(body).check("carol", NOON)
    assert caught.value.field == field
