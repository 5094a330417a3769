"""The audit chain, verified from an export: whole, and every tampering detected."""

import hashlib
import json

import pytest
import rfc8785

from commands.chain import proof_document
from db import reads
from domain.audit import GENESIS_HASH, AuditHead, event_hash, verify_chain
from domain.proven_decisions import verify_decisions, verify_whole
from tests.db.factories import approve, open_one


@pytest.fixture
async def chain(seeded):
    """A chain with a few requests in it, and its head."""
    async with seeded.database.transaction() as tx:
        for _ in range(3):
            await approve(tx, await open_one(tx))
        return await reads.audit_events(tx, "acme"), await reads.audit_head(tx, "acme")


async def test_an_intact_chain_verifies(chain):
    """Hashes, order and head of an untouched chain are right."""
    events, head = chain
    report = verify_chain(events, head)
    assert report.intact
    assert (report.events, report.head_hash) == (head.seq, head.hash)
    assert events[0].prev_hash == GENESIS_HASH


async def test_bodies_are_canonical_and_carry_their_place(chain):
    """Every body is RFC 8785 JSON with its own seq, and the hash is plain SHA-256 over previous and body."""
    for event in chain[0]:
        content = json.loads(event.body)
        assert rfc8785.dumps(content) == event.body.encode()
        assert (content["tenant"], content["seq"]) == (event.tenant, event.seq)
        assert hashlib.sha256(bytes.fromhex(event.prev_hash) + event.body.encode()).hexdigest() == event.hash


async def test_a_changed_body_is_detected(chain):
    """One changed word breaks the event's hash."""
    events, _ = chain
    forged = events[5].model_copy(update={"body": events[5].body.replace("acme", "evil")})
    report = verify_chain([*events[:5], forged, *events[6:]])
    assert (report.events, report.fault) == (5, "event 6 was changed: its content does not have its hash")


async def test_a_changed_body_with_a_new_hash_is_detected(chain):
    """Recomputing the hash of a changed event breaks the next one."""
    events, _ = chain
    body = events[5].body.replace('"actor":"', '"actor":"not ')
    forged = events[5].model_copy(update={"body": body, "hash": event_hash(events[5].prev_hash, body)})
    report = verify_chain([*events[:5], forged, *events[6:]])
    assert report.fault == "event 7 does not follow the one before it"


async def test_a_removed_event_is_detected(chain):
    """A gap is named."""
    events, _ = chain
    report = verify_chain([*events[:5], *events[6:]])
    assert report.fault == "event 6 is missing: event 7 stands in its place"


async def test_swapped_events_are_detected(chain):
    """Order is part of the chain."""
    events, _ = chain
    report = verify_chain([*events[:5], events[6], events[5], *events[7:]])
    assert not report.intact


async def test_a_renumbered_chain_is_detected(chain):
    """Removing an event and renumbering the rest does not help: each body says its place."""
    events, _ = chain
    last, rest = events[4].hash, []
    for event in events[6:]:
        hashed = event_hash(last, event.body)
        rest.append(event.model_copy(update={"seq": event.seq - 1, "prev_hash": last, "hash": hashed}))
        last = hashed
    report = verify_chain([*events[:5], *rest])
    assert report.fault == "event 6 says of itself that it is another one"


async def test_a_cut_off_tail_needs_the_expected_head(chain):
    """Without a head from elsewhere a shortened chain looks whole; with it the cut shows."""
    events, head = chain
    assert verify_chain(events[:-2]).intact
    assert "is not in the chain" in verify_chain(events[:-2], head).fault


async def test_an_earlier_head_is_still_in_a_grown_chain(chain):
    """A head noted earlier is met on the way; another one is not."""
    events, _ = chain
    earlier = AuditHead(tenant="acme", seq=3, hash=events[2].hash)
    assert verify_chain(events, earlier).intact
    assert not verify_chain(events, earlier.model_copy(update={"hash": "0" * 64})).intact


async def test_the_first_event_can_not_be_dropped(chain):
    """A chain begins at event 1."""
    events, _ = chain
    assert verify_chain(events[1:]).fault == "event 1 is missing: event 2 stands in its place"


async def test_an_event_of_another_tenant_is_detected(chain):
    """Chains of tenants don't mix."""
    events, _ = chain
    stranger = events[4].model_copy(update={"tenant": "other"})
    assert "of tenant other stands in the chain" in verify_chain([*events[:4], stranger]).fault


def appended(events, body):
    """The chain with one more event of any body, whose hash fits."""
    last = events[-1]
    place = {"seq": last.seq + 1, "prev_hash": last.hash, "hash": event_hash(last.hash, body), "body": body}
    return [*events, last.model_copy(update=place)]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("<script>", "no JSON"),
        pytest.param("[" * 100_000, "no JSON", id="deep"),
        ("[]", "no event"),
        ("null", "no event"),
        ('"text"', "no event"),
        ("{}", "another one"),
        ('{"tenant":"acme","seq":SEQ,"kind":"x"}', "no kind, or no details"),
        ('{"tenant":"acme","seq":SEQ,"details":{}}', "no kind, or no details"),
        ('{"tenant":"acme","seq":SEQ,"kind":["x"],"details":{}}', "no kind, or no details"),
        ('{"tenant":"acme","seq":SEQ,"kind":"decision.approve","details":[]}', "no kind, or no details"),
    ],
)  # fmt: skip
async def test_an_event_that_says_nothing_is_a_fault_with_its_number(chain, body, wrong):
    """Whoever can write a fitting hash can write any body: it is named, and everything before it is sound."""
    events, _ = chain
    document = proof_document(appended(events, body.replace("SEQ", str(len(events) + 1))))
    assert document["events"] == len(events)
    assert document["fault"].startswith(f"event {len(events) + 1} ")
    assert wrong in document["fault"]


@pytest.mark.parametrize("kind", ["decision.approve", "decision.reject", "request.opened", "absence.end"])
@pytest.mark.parametrize(
    "rest", ["", '"actor":["x"],"requestId":{},', '"actor":7,"requestId":"mr_1",', '"requestId":null,']
)
async def test_an_event_with_any_content_breaks_no_verification(chain, kind, rest):
    """A decision by nobody, or about nothing, is named as not proven; other events just prove nothing."""
    events, _ = chain
    place = f'"tenant":"acme","seq":{len(events) + 1},"kind":"{kind}"'
    document = proof_document(appended(events, "{" + rest + place + ',"details":{"onBehalfOf":[1]}}'))
    assert document["intact"]
    named = [fault for fault in document["faults"] if fault.startswith(f"event {len(events) + 1}")]
    assert len(named) == kind.startswith("decision.")


async def test_one_pass_finds_what_two_find(chain):
    """Chain and decisions are verified together; of a broken chain nothing is said about decisions."""
    events, head = chain
    assert verify_whole(events, head) == (verify_chain(events, head), verify_decisions(events))
    assert verify_decisions(events).decisions == 3
    broken, decisions = verify_whole([*events[:5], *events[6:]], head)
    assert not broken.intact
    assert decisions is None


async def test_an_empty_chain_is_whole(seeded):
    """Nothing written is nothing forged."""
    assert verify_chain([]).intact
    async with seeded.database.transaction() as tx:
        assert await reads.audit_head(tx, "nobody") is None
