"""Wrong states are impossible, even for somebody who types SQL."""

import pytest

from tests.db.acts import a_confirmed, an_approved, made, refused, time_out
from tests.db.factories import (
    ISSUER,
    a_request,
    approve,
    later,
    open_one,
    submitting,
)


@pytest.mark.parametrize(
    ("build", "target"),
    [
        (open_one, "SUBMITTING"),
        (open_one, "CONFIRMED"),
        (open_one, "FAILED"),
        (an_approved, "PENDING"),
        (an_approved, "REJECTED"),
        (an_approved, "EXPIRED"),
        (an_approved, "CONFIRMED"),
        (submitting, "APPROVED"),
        (submitting, "CANCELLED"),
    ],
)
async def test_forbidden_transition(seeded, build, target):
    """A status change that the table of transitions lacks is refused."""
    record = await made(seeded, build)
    ended = "now()" if target not in ("PENDING", "SUBMITTING", "APPROVED") else "NULL"
    said = await refused(
        seeded.database,
        f"UPDATE mint_requests SET status = '{target}', version = version + 1, ended_at = {ended},"
        " decided_at = created_at WHERE id = :id",
        id=record.request.id,
    )
    assert "can't go from" in said


async def test_terminal_states_never_revive(seeded):
    """Nothing about a request changes once it has ended."""
    record = await made(seeded, a_confirmed)
    for change in ("assignee = 'bob'", "status = 'PENDING', ended_at = NULL", "reason = 'better'"):
        said = await refused(
            seeded.database,
            f"UPDATE mint_requests SET {change}, version = version + 1 WHERE id = :id",
            id=record.request.id,
        )
        assert "is CONFIRMED already" in said


@pytest.mark.parametrize(
    "change",
    [
        "amount = amount + 1",
        "destination = 'GOTHER'",
        "asset_code = 'USDT'",
        "memo = 'other'",
        "requester = 'alice'",
        "digest = repeat('a', 64)",
        "expires_at = expires_at + interval '1 day'",
        "policy_id = 'other'",
        "rule = '{}'",
        "network_passphrase = 'other'",
    ],
)
async def test_content_never_changes(seeded, change):
    """What was asked, and under which terms, can't be changed afterwards."""
    record = await made(seeded, open_one)
    said = await refused(
        seeded.database,
        f"UPDATE mint_requests SET {change}, version = version + 1 WHERE id = :id",
        id=record.request.id,
    )
    assert "never changes" in said


async def test_version_moves_one_by_one(seeded):
    """An update that does not count the version up by one is refused."""
    record = await made(seeded, open_one)
    for version in ("version", "version + 2"):
        said = await refused(
            seeded.database,
            f"UPDATE mint_requests SET assignee = 'bob', version = {version} WHERE id = :id",
            id=record.request.id,
        )
        assert "is at version" in said


async def test_requests_are_born_pending(seeded):
    """No row begins its life in a later state."""
    record = await made(seeded, open_one)
    said = await refused(
        seeded.database,
        "INSERT INTO mint_requests SELECT (r).* FROM (SELECT jsonb_populate_record(m, jsonb_build_object("
        "'id', 'mr_ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'track_number', 'MK-X', 'status', 'APPROVED',"
        " 'decided_at', created_at)) AS r FROM mint_requests m WHERE id = :id) AS copied",
        id=record.request.id,
    )
    assert "born PENDING" in said


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"amount": -1}, "mint_requests_amount"),
        ({"amount": 0}, "mint_requests_amount"),
        ({"id": "mr_short"}, "mint_requests_id"),
        ({"destination": ISSUER}, "mint_requests_destination"),
        ({"topic": "nowhere"}, "mint_requests_tenant_topic_fkey"),
        ({"requester": "nobody"}, "mint_requests_tenant_requester_fkey"),
    ],
)
async def test_columns_are_checked(seeded, change, constraint):
    """Amounts are positive, names exist, the issuer is no destination."""
    record = await made(seeded, open_one)
    fields = {"id": "mr_ABCDEFGHIJKLMNOPQRSTUVWXYZ", "track_number": "MK-X", **change}
    pairs = ", ".join(f"'{name}', CAST(:{name} AS {_type(value)})" for name, value in fields.items())
    said = await refused(
        seeded.database,
        "INSERT INTO mint_requests SELECT (r).* FROM (SELECT jsonb_populate_record(m,"
        f" jsonb_build_object({pairs}, 'version', 1, 'next_stage', 0)) AS r"
        " FROM mint_requests m WHERE id = :other) AS copied",
        other=record.request.id,
        **fields,
    )
    assert constraint in said


def _type(value):
    return "bigint" if isinstance(value, int) else "text"


async def test_nobody_approves_twice(seeded):
    """A second approval by the same person is refused, whatever its decision id."""
    async with seeded.database.transaction() as tx:
        record = await approve(tx, await open_one(tx, units=50_000), satisfied=False)
    said = await refused(
        seeded.database,
        "INSERT INTO approvals SELECT request_id, approver, tier, 'another-id', reason, digest, envelope, at"
        " FROM approvals WHERE request_id = :id",
        id=record.request.id,
    )
    assert "approvals_pkey" in said


async def test_one_decision_counts_once(seeded):
    """A decision id that was used can't be used by another approver."""
    async with seeded.database.transaction() as tx:
        record = await approve(tx, await open_one(tx, units=50_000), satisfied=False)
    said = await refused(
        seeded.database,
        "INSERT INTO approvals SELECT request_id, 'bob', tier, decision_id, reason, digest, envelope, at"
        " FROM approvals WHERE request_id = :id",
        id=record.request.id,
    )
    assert "approvals_decision" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"approver": "rita"}, "four eyes"),
        ({"at": later(hours=24)}, "takes no approvals any more"),
        ({"digest": "0" * 64}, "signed for other content"),
    ],
)
async def test_approvals_are_guarded(seeded, change, message):
    """Four eyes, the deadline and the digest hold in the database too."""
    record = await made(seeded, open_one)
    fields = {
        "id": record.request.id,
        "approver": "alice",
        "digest": record.request.digest(),
        "at": later(hours=1),
        **change,
    }
    said = await refused(
        seeded.database,
        "INSERT INTO approvals (request_id, approver, tier, decision_id, reason, digest, envelope, at)"
        " VALUES (:id, :approver, 1, 'decision-1', '', :digest, '{}', :at)",
        **fields,
    )
    assert message in said


async def test_approved_needs_the_approvals_of_the_rule(seeded):
    """APPROVED with fewer approvals than the pinned rule asks for does not commit."""
    record = await made(seeded, open_one)
    said = await refused(
        seeded.database,
        "UPDATE mint_requests SET status = 'APPROVED', version = version + 1, decided_at = created_at"
        " WHERE id = :id",
        id=record.request.id,
    )
    assert "without the approvals of its rule" in said


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'mallory'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_heads SET seq = 0",
        "DELETE FROM audit_heads",
        "TRUNCATE audit_heads",
        "UPDATE approvals SET tier = 3",
        "DELETE FROM approvals",
        "DELETE FROM mint_requests",
        "TRUNCATE submissions CASCADE",
        "UPDATE escalation_policies SET name = 'other'",
        "INSERT INTO mint_request_transitions VALUES ('EXPIRED', 'APPROVED')",
        "DELETE FROM mint_request_transitions",
    ],
)
async def test_what_is_written_stays(seeded, statement):
    """Audit chain, approvals, requests, published policies and transitions can't be rewritten."""
    await made(seeded, submitting)
    assert "is refused" in await refused(seeded.database, statement)


async def test_an_event_can_not_choose_its_place(seeded):
    """An audit event without the place for its number is refused: only the chain numbers events."""
    said = await refused(
        seeded.database,
        "INSERT INTO audit_events (tenant, seq, kind, actor, at, body)"
        " VALUES ('acme', 1, 'forged', 'mallory', now(), '{}')",
    )
    assert "gets its seq from the chain" in said


async def test_a_request_is_resubmitted_once(seeded):
    """Two requests can't both be the re-submission of one."""
    record = await made(seeded, submitting)
    await made(seeded, lambda tx: time_out(tx, record))
    await made(seeded, lambda tx: open_one(tx, a_request(resubmission_of=record.request.id)))
    said = await refused(
        seeded.database,
        "INSERT INTO mint_requests SELECT (r).* FROM (SELECT jsonb_populate_record(m, jsonb_build_object("
        "'id', 'mr_ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'track_number', 'MK-X', 'version', 1)) AS r"
        " FROM mint_requests m WHERE resubmission_of = :id) AS copied",
        id=record.request.id,
    )
    assert "mint_requests_resubmitted_once" in said


async def test_a_key_belongs_to_one_person(seeded):
    """Two people with one key would be one pair of eyes."""
    said = await refused(
        seeded.database,
        "INSERT INTO approver_keys SELECT tenant, 'bob', key_id, public_key, registered_at"
        " FROM approver_keys WHERE user_name = 'alice'",
    )
    assert "approver_keys_one_person" in said
