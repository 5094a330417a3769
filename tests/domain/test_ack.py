"""Ack tokens: who signed what, until when; and garbage of every kind."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from domain import dsse
from domain.ack import (
    ACK_TYPE,
    LONGEST_TOKEN,
    NO_AUTHORITY,
    AckClaim,
    AckSubject,
    Addressee,
    Authority,
    action_hash,
    check_addressee,
    check_open,
    decode,
    encode,
    read_envelope,
    token_sha256,
)
from domain.errors import AckRefused
from domain.mint_request import MintStatus
from domain.records import DeliveryJob
from domain.runs import EventKind, EventRun, RunState
from tests.domain.factories import POLICY, START, make_record

OLD, NEW = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
AUTHORITY = Authority([OLD])
RECORD = make_record()
JOB = DeliveryJob(
    id="d" * 64,
    tenant="acme",
    request_id=RECORD.request.id,
    rule_id=POLICY.id,
    stage=1,
    kind="reminder",
    channel="email",
    channel_kind="email",
    target="alice@acme.example",
    recipient="alice",
    time_zone="UTC",
    attempt=1,
    max_attempts=3,
    backoff_seconds=60,
    due_at=START,
    expires_at=RECORD.expires_at,
)
CLAIM = AckClaim.for_delivery(JOB, 1, START)
TOKEN = AUTHORITY.issue(CLAIM)
ADDRESSEE = Addressee(tenant="acme", request_id=RECORD.request.id, recipient="alice", stage=1, active=True)
SUBJECT = AckSubject.of_request(RECORD, START)
RUN = EventRun(
    id="esc_" + "0" * 32,
    tenant="acme",
    event_kind=EventKind.STALLED,
    request_id=RECORD.request.id,
    occurrence="1",
    rule_id="event:submission.stalled",
    policy=POLICY,
    action_hash="c" * 64,
    state=RunState.RUNNING,
    started_at=START,
    closes_at=START + timedelta(hours=6),
)


def check_at(claim, record, now):
    """Whether a token may take effect, given how the request or the run stands."""
    kind = AckSubject.of_run if isinstance(record, EventRun) else AckSubject.of_request
    check_open(claim, kind(record, now), now)


def refusal(call, *arguments):
    """The reason with which a call refuses."""
    with pytest.raises(AckRefused) as caught:
        call(*arguments)
    return caught.value.reason


def signed(payload, payload_type=ACK_TYPE, key=OLD):
    """An envelope around any payload."""
    return dsse.sign(payload if isinstance(payload, bytes) else rfc8785.dumps(payload), payload_type, key)


def test_a_token_says_what_was_signed():
    """The promised fields travel, under their promised names."""
    assert AUTHORITY.verify(decode(TOKEN)) == CLAIM
    payload = json.loads(base64.b64decode(json.loads(_bytes_of(TOKEN))["payload"]))
    assert set(payload) == {
        "tenant", "deliveryId", "expiresUtc", "ruleId", "actionHash",
        "jti", "sub", "purpose", "requestId", "stage", "iat",
    }  # fmt: skip
    assert payload["actionHash"] == action_hash("acme", POLICY.id, RECORD.request.id)


def _bytes_of(token):
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def test_both_alphabets_are_read_and_have_one_hash():
    """Transport may change the alphabet or the padding; what is stored stays the same."""
    # its envelope holds characters that the two alphabets write differently
    envelope = decode(TOKEN).model_copy(
        update={"signatures": [dsse.Signature(keyid="???>>>~~~", sig=decode(TOKEN).signatures[0].sig)]}
    )
    token = encode(envelope)
    standard = token.replace("-", "+").replace("_", "/")
    assert standard != token
    for form in (token, standard, standard + "=" * (-len(standard) % 4)):
        assert AUTHORITY.verify(decode(form)) == CLAIM
        assert token_sha256(decode(form)) == token_sha256(envelope)


def test_keys_rotate_without_a_token_being_lost():
    """A new key signs, the old one still verifies, until it is taken out; the hint decides nothing."""
    both = Authority([NEW, OLD])
    assert both.verify(decode(TOKEN)) == CLAIM
    assert AckClaim.for_delivery(JOB, 1, START) == Authority([NEW]).verify(decode(both.issue(CLAIM)))
    assert refusal(Authority([NEW]).verify, decode(TOKEN)) == "bad_signature"
    lying = decode(TOKEN).model_copy(
        update={"signatures": [dsse.Signature(keyid="liar", sig=decode(TOKEN).signatures[0].sig)]}
    )
    assert AUTHORITY.verify(lying) == CLAIM


def test_without_keys_nobody_is_believed():
    """A server that has no key accepts no token."""
    assert refusal(NO_AUTHORITY.verify, decode(TOKEN)) == "bad_signature"


def test_other_types_purposes_and_payloads_are_refused():
    """What the same key signed for something else is no acknowledgement."""
    claim = CLAIM.model_dump(mode="json", by_alias=True)
    decision = signed(claim, "application/vnd.mintkeeper.decision+json")
    assert refusal(AUTHORITY.verify, decision) == "bad_signature"
    assert refusal(AUTHORITY.verify, signed(claim | {"purpose": "login"})) == "wrong_purpose"
    changes = ({"expiresUtc": "soon"}, {"expiresUtc": "2026-11-22T08:00:00"}, {"sub": "\x00"}, {"stage": -1})
    for broken in (b"", b"{}", b"[]", b"null", b"\xff", *(claim | change for change in changes)):
        assert refusal(AUTHORITY.verify, signed(broken)) == "malformed"


def test_a_token_ends_after_24_hours_and_never_after_its_request():
    """The shorter of the two."""
    long = JOB.model_copy(update={"expires_at": START + timedelta(days=7)})
    assert AckClaim.for_delivery(long, 1, START).expires_utc == START + timedelta(hours=24)
    late = AckClaim.for_delivery(JOB, 1, START + timedelta(hours=23))
    assert late.expires_utc == RECORD.expires_at


def test_a_message_sent_again_carries_the_same_identity():
    """Two attempts, two tokens, one `jti`; another delivery has another."""
    again = AckClaim.for_delivery(JOB, 1, START + timedelta(hours=1))
    assert (again.jti, again.iat - CLAIM.iat) == (CLAIM.jti, 3600)
    other = AckClaim.for_delivery(JOB.model_copy(update={"id": "e" * 64}), 1, START)
    assert other.jti != CLAIM.jti


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tenant": "globex"}, "wrong_tenant"),
        ({"request_id": "mr_01KAN3D0000000000000000001"}, "wrong_request"),
        ({"rule_id": "p2"}, "wrong_request"),
        ({"action_hash": "0" * 64}, "wrong_request"),
        ({"sub": "bob"}, "wrong_request"),
        ({"stage": 2}, "wrong_request"),
    ],
)
def test_a_token_is_for_one_message_of_one_request(change, reason):
    """Signed or not, it counts for nothing else."""
    check_addressee(CLAIM, SUBJECT, ADDRESSEE)
    assert refusal(check_addressee, CLAIM.model_copy(update=change), SUBJECT, ADDRESSEE) == reason


def test_unknown_messages_and_people_who_have_left_are_refused():
    """There must be such a delivery, and its recipient must still be active."""
    assert refusal(check_addressee, CLAIM, SUBJECT, None) == "wrong_request"
    gone = ADDRESSEE.model_copy(update={"active": False})
    assert refusal(check_addressee, CLAIM, SUBJECT, gone) == "inactive_recipient"


def test_a_revoked_link_is_refused_with_a_word_of_its_own():
    """Whoever holds it learns that it leaked, not that it was forged."""
    leaked = ADDRESSEE.model_copy(update={"revoked": True})
    assert refusal(check_addressee, CLAIM, SUBJECT, leaked) == "revoked"


def test_a_token_of_an_event_is_none_of_the_request_itself():
    """The message decides which run it is: neither token counts for the other run."""
    job = JOB.model_copy(update={"run_id": RUN.id, "rule_id": RUN.rule_id, "action_hash": RUN.action_hash})
    claim, message = AckClaim.for_delivery(job, 1, START), ADDRESSEE.model_copy(update={"run_id": RUN.id})
    run = AckSubject.of_run(RUN, START)
    check_addressee(claim, run, message)
    for wrong in ((claim, SUBJECT, message), (claim, run, ADDRESSEE), (CLAIM, run, message)):
        assert refusal(check_addressee, *wrong) == "wrong_request"


def test_a_run_of_an_event_is_judged_by_itself():
    """Its own end, state and acknowledgement count, whatever the request has come to."""
    hour = timedelta(hours=1)
    check_at(CLAIM, RUN, START + hour)
    assert refusal(check_at, CLAIM, RUN, START + 6 * hour) == "expired"
    ended = {"state": RunState.CLOSED, "ended_at": START, "ended_by": "clock"}
    taken = {"acknowledged_by": "bob", "acknowledged_at": START}
    assert refusal(check_at, CLAIM, RUN.model_copy(update=ended | taken), START + hour) == "over"
    assert refusal(check_at, CLAIM, RUN.model_copy(update=taken), START + hour) == "already_acknowledged"
    recorded = AckSubject.of_run(RUN.model_copy(update=taken), START).recorded
    assert (recorded["run_id"], recorded["status"], recorded["acknowledged"]["by"]) == (
        RUN.id,
        "running",
        "bob",
    )


def test_a_cancelled_escalation_leaves_nothing_to_acknowledge():
    """The request is still PENDING, but no stage is left to hold back."""
    cancelled = {"escalation_cancelled_by": "adam", "escalation_cancelled_at": START}
    assert refusal(check_at, CLAIM, RECORD.model_copy(update=cancelled), START) == "over"


def test_too_late_says_how_the_request_stands():
    """Expired, acknowledged by somebody else, or over; each with what is recorded."""
    hour = timedelta(hours=1)
    check_at(CLAIM, RECORD, START + hour)
    assert refusal(check_at, CLAIM, RECORD, RECORD.expires_at) == "expired"
    taken = RECORD.model_copy(update={"acknowledged_by": "bob", "acknowledged_at": START})
    over = RECORD.model_copy(update={"status": MintStatus.REJECTED})
    for record, reason in ((taken, "already_acknowledged"), (over, "over")):
        with pytest.raises(AckRefused) as caught:
            check_at(CLAIM, record, START + hour)
        assert caught.value.reason == reason
        assert caught.value.recorded["status"] == record.status
    assert caught.value.recorded["acknowledged"] is None


def test_an_ack_that_has_lapsed_leaves_room_for_another():
    """After `ackTimeoutSeconds` somebody else can be on it."""
    policy = POLICY.model_copy(update={"ack_timeout_seconds": 3600})
    taken = RECORD.model_copy(update={"policy": policy, "acknowledged_by": "bob", "acknowledged_at": START})
    before, after = START + timedelta(minutes=59), START + timedelta(minutes=60)
    assert refusal(check_at, CLAIM, taken, before) == "already_acknowledged"
    check_at(CLAIM, taken, after)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "payload": st.text() | JSON,
        "payloadType": st.just(ACK_TYPE) | JSON,
        "signatures": st.lists(st.fixed_dictionaries({"sig": st.text(), "keyid": st.text()})) | JSON,
    },
)


def believed(token):
    """Whether the token passes every check that needs no database; only AckRefused may be raised."""
    try:
        AUTHORITY.verify(decode(token))
    except AckRefused:
        return False
    return True


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_garbage_is_refused(token):
    """Any text at all is a refusal and nothing else."""
    assert not believed(token)


@given(JSON | ENVELOPES)
def test_garbage_in_the_right_wrapping_is_refused(document):
    """JSON of any shape, well encoded, is a refusal too; as an object sent to the workflow likewise."""
    text = json.dumps(document)
    assert not believed(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))
    try:
        AUTHORITY.verify(read_envelope(document))
    except AckRefused:
        return
    raise AssertionError("believed")


@given(st.integers(0, len(_bytes_of(TOKEN)) - 1), st.integers(1, 255))
def test_no_changed_byte_changes_what_is_said(place, change):
    """A token with a byte changed is refused, or says exactly the same (the hint is nobody's word)."""
    raw = bytearray(_bytes_of(TOKEN))
    raw[place] ^= change
    try:
        claim = AUTHORITY.verify(decode(base64.urlsafe_b64encode(raw).decode()))
    except AckRefused:
        return
    assert claim == CLAIM


@pytest.mark.parametrize(
    "token",
    [
        "", " ", "=", "====", "eyJ", "e", TOKEN[:-7], TOKEN + TOKEN, TOKEN + ".", TOKEN * 20,
        "A" * LONGEST_TOKEN,
        "A" * (LONGEST_TOKEN + 1), "\ud800", "eyJ\x00", "../../etc/passwd", "%00", "é" * 40,
        base64.b64encode(b"[" * 5000).decode(), base64.b64encode(b'{"payload":"\\ud800"}').decode(),
    ],
)  # fmt: skip
def test_well_known_garbage_is_malformed(token):
    """Cut, doubled, empty, too long, nested too deep, of no encoding: 400, never a crash."""
    assert refusal(decode, token) == "malformed"


@pytest.mark.parametrize("field", ["payload", "payloadType", "keyid"])
def test_lone_surrogates_in_an_object_are_malformed(field):
    """Temporal's JSON can carry what no encoding can: it ends here."""
    signature = {"sig": "AA==", "keyid": "\ud800" if field == "keyid" else ""}
    broken = {"payload": "e30=", "payloadType": ACK_TYPE, "signatures": [signature], field: "\ud800"}
    assert refusal(read_envelope, broken) == "malformed"


def test_an_action_is_named_by_what_it_is_about():
    """SHA-256 over tenant, rule, subject and event kind as canonical JSON; no two of them blur into one."""
    named = hashlib.sha256(b'["acme","event:sla.overdue","mr_1","sla.overdue"]').hexdigest()
    assert action_hash("acme", "event:sla.overdue", "mr_1", "sla.overdue") == named
    assert action_hash("ac", "me", "mr_1", "x") != action_hash("acm", "e", "mr_1", "x")
