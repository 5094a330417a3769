"""The steps of a request: what each returns, and that repeating one changes nothing."""

import pytest
from sqlalchemy import text

from db import reads
from db.writes import decisions, requests, submissions
from domain.approvals import RefusalReason, Verdict
from domain.errors import DecisionRefused, IdempotencyConflict, NotFound, NotOpen, Refused, TransitionRefused
from domain.mint_request import MintStatus, request_id_for_key
from tests.db.acts import claim, comment, decide, expire, run_stage
from tests.db.factories import (
    a_request,
    approve,
    confirmed,
    later,
    open_one,
    submit,
)

WRITTEN = (
    "mint_requests",
    "approvals",
    "stage_runs",
    "comments",
    "submissions",
    "fee_bumps",
    "submission_attempts",
    "stellar_channels",
    "deliveries",
    "notifications",
    "audit_events",
)


async def everything(tx):
    """Every row of every table that steps write, to see that nothing moved."""
    return {
        name: sorted(map(str, await tx.scalars(text(f"SELECT to_json(t)::text FROM {name} t"))))
        for name in WRITTEN
    }


async def test_plain_path_ends_confirmed(seeded):
    """Open, approve, store, conclude: each step returns the record that a fresh read returns."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        assert record == await reads.request(tx, record.request.id)
        record = await approve(tx, record)
        assert record == await reads.request(tx, record.request.id)
        record = await submit(tx, record)
        assert record == await reads.request(tx, record.request.id)
        record = await submissions.conclude(tx, record=record, result=confirmed(record), at=later(hours=3))
        assert record == await reads.request(tx, record.request.id)
    assert record.status is MintStatus.CONFIRMED
    assert (record.decided_at, record.ended_at) == (later(hours=1), later(hours=3))


async def test_every_step_twice_changes_nothing(seeded):
    """A repeated step writes nothing and returns the record as it stands."""
    request = a_request(units=50_000)
    async with seeded.database.transaction() as tx:
        opened = await open_one(tx, request)
        claimed = await claim(tx, opened)
        commented = await comment(tx, claimed)
        staged = await run_stage(tx, commented)
        once = await approve(tx, staged, satisfied=False)
        approved = await approve(tx, once, "carol", 2)
        stored = await submit(tx, approved)
        done = await submissions.conclude(tx, record=stored, result=confirmed(stored), at=later(hours=3))
        before = await everything(tx)
        repeated = [
            await open_one(tx, request),
            await claim(tx, opened),
            await comment(tx, claimed),
            await run_stage(tx, commented),
            await approve(tx, staged, satisfied=False),
            await approve(tx, once, "carol", 2),
            await submissions.store_submission(
                tx, record=approved, submission=stored.submission, at=later(hours=2)
            ),
            await submissions.conclude(tx, record=stored, result=confirmed(stored), at=later(hours=3)),
        ]
        assert await everything(tx) == before
    assert repeated == [done] * len(repeated)


async def test_a_repeated_step_after_a_fresh_read_changes_nothing(seeded):
    """Repeating an ending on the ended record returns it, as a restarted activity does."""
    async with seeded.database.transaction() as tx:
        record = await expire(tx, await open_one(tx))
        before = await everything(tx)
        assert await expire(tx, record) == record
        assert await everything(tx) == before


async def test_steps_are_guarded_by_version(seeded):
    """A step decided on an older version of the record is refused."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        await comment(tx, record)
        with pytest.raises(TransitionRefused, match="read it again"):
            await approve(tx, record)
        with pytest.raises(TransitionRefused, match="PENDING at version 2, not PENDING at version 1"):
            await expire(tx, record)


async def test_a_transition_outside_the_table_is_refused(seeded):
    """A state change that the table lacks never reaches the database."""
    async with seeded.database.transaction() as tx:
        record = await approve(tx, await open_one(tx))
        with pytest.raises(TransitionRefused, match="can't go from APPROVED to EXPIRED"):
            await expire(tx, record)
        ended = await submissions.fail_before_signing(
            tx, record=record, reason="no trustline", at=later(hours=2)
        )
        with pytest.raises(TransitionRefused, match="is FAILED already"):
            await claim(tx, ended)


async def test_the_same_key_with_other_content_is_a_conflict(seeded):
    """One idempotency key, two contents: refused, and the first stays."""
    async with seeded.database.transaction() as tx:
        await open_one(tx, key="k", units=1)
        with pytest.raises(IdempotencyConflict, match="new idempotency key"):
            await open_one(tx, key="k", units=2)
        kept = await reads.request(tx, request_id_for_key("acme", "k"))
    assert kept.request.amount == 10_000_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"topic": "nowhere"}, "unknown topic 'nowhere'"),
        ({"requester": "nobody"}, "unknown user 'nobody'"),
        ({"resubmission_of": request_id_for_key("acme", "missing")}, "unknown mint request"),
    ],
)
async def test_unknown_names_are_named(seeded, change, message):
    """A request for an unknown topic, user or parent is refused with the word `unknown`."""
    async with seeded.database.transaction() as tx:
        with pytest.raises(NotFound, match=message):
            await open_one(tx, **change)


async def test_unknown_tenant(seeded):
    """A request for an unknown tenant is refused with the word `unknown`."""
    async with seeded.database.transaction() as tx:
        rule = (await reads.rules(tx, "acme"))[0]
        with pytest.raises(NotFound, match="unknown tenant 'other'"):
            await open_one(tx, rule=rule, tenant="other")


async def test_terms_must_be_the_published_ones(seeded):
    """A workflow started with a policy or rule that nobody published is refused."""
    async with seeded.database.transaction() as tx:
        lax = seeded.policy.model_copy(update={"auto_close_minutes": 10_000})
        with pytest.raises(Refused, match="never published"):
            await open_one(tx, policy=lax)
        weak = (await reads.rules(tx, "acme"))[0]
        with pytest.raises(Refused, match="approval rule is not the one"):
            await open_one(tx, rule=weak, units=50_000)
        with pytest.raises(Refused, match="no approval rule"):
            await open_one(tx, rule=weak, units=2_000_000)


async def test_resubmission_is_linked_both_ways_and_happens_once(seeded):
    """Only a request that ended without a mint is re-submitted, and only once."""
    async with seeded.database.transaction() as tx:
        first = await open_one(tx)
        with pytest.raises(Refused, match="is PENDING"):
            await open_one(tx, resubmission_of=first.request.id)
        await expire(tx, first)
        second = await open_one(tx, resubmission_of=first.request.id, at=later(hours=25))
        assert (await reads.request(tx, first.request.id)).resubmitted_as == second.request.id
        with pytest.raises(Refused, match="was re-submitted already"):
            await open_one(tx, resubmission_of=first.request.id, at=later(hours=26))


async def test_stages_grant_their_tier(seeded):
    """A stage grants its tier and counts as escalation; after the end none runs."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        assert (record.next_stage, record.escalation_level, record.granted_tiers) == (1, 0, ())
        record = await run_stage(tx, record)
        assert (record.next_stage, record.escalation_level, record.granted_tiers) == (2, 1, (2,))
        record = await run_stage(tx, record, stage=2)
        assert record.granted_tiers == (2, 3)
        ended = await expire(tx, record)
        assert await run_stage(tx, ended) == ended
    async with seeded.database.transaction() as tx:
        other = await decide(tx, await open_one(tx), Verdict.CANCEL, "rita")
        with pytest.raises(NotOpen):
            await run_stage(tx, other)


async def test_a_claim_never_takes_from_somebody_else(seeded):
    """A claim of a claimed request is refused; an assignment by name and a release are not."""
    async with seeded.database.transaction() as tx:
        record = await claim(tx, await open_one(tx))
        assign = {"record": record, "actor": "bob", "at": later(hours=1), "kind": "request.assign"}
        with pytest.raises(Refused, match="alice works on"):
            await requests.set_assignee(tx, **assign, assignee="bob", step="s1", only_if_unassigned=True)
        with pytest.raises(NotFound, match="unknown user"):
            await requests.set_assignee(tx, **assign, assignee="zoe", step="s2", only_if_unassigned=False)
        record = await requests.set_assignee(
            tx, **assign, assignee="bob", step="s3", only_if_unassigned=False
        )
        assert record.assignee == "bob"


async def test_rejection_and_cancellation_end_a_request(seeded):
    """One verdict ends it, with its reason, and is remembered as the answer to its decision id."""
    async with seeded.database.transaction() as tx:
        for verdict, who in ((Verdict.REJECT, "alice"), (Verdict.CANCEL, "rita")):
            record = await decide(tx, await open_one(tx), verdict, who)
            assert record == await reads.request(tx, record.request.id)
            assert record.ended_at == later(hours=3)
            outcome = await decisions.outcome_of_step(
                tx, record.request.id, f"decision:{verdict}-{record.request.id[-8:]}"
            )
            assert (outcome["verdict"], outcome["reason"]) == (verdict, "because")


async def test_refusals_leave_one_audit_event_and_nothing_else(seeded):
    """A refused decision is written down once a step and changes nothing."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        refusal = {
            "tenant": "acme",
            "request_id": record.request.id,
            "step": "refused:1",
            "reason": RefusalReason.BAD_SIGNATURE,
            "message": "no registered key made this signature",
            "actor_claimed": "alice",
            "envelope_sha256": "0" * 64,
            "at": later(hours=1),
        }
        before = await everything(tx)
        for _ in range(2):
            await decisions.record_refusal(tx, **refusal)
        after = await everything(tx)
        assert len(after.pop("audit_events")) == len(before.pop("audit_events")) + 1
        assert after == before
        outcome = await decisions.outcome_of_step(tx, record.request.id, "refused:1")
    assert outcome["reason"] == "bad_signature"


async def test_the_daily_cap_holds(seeded):
    """What was approved in the last 24 hours counts, what ended without a mint does not."""
    async with seeded.database.transaction() as tx:
        capped = (await reads.rules(tx, "acme"))[0].model_copy(update={"daily_cap_stroops": 30_000_000_000})
        await tx.execute(
            text("UPDATE approval_rules SET daily_cap_stroops = 30000000000 WHERE position = 10")
        )
        first = await approve(tx, await open_one(tx, rule=capped, units=2000))
        second = await open_one(tx, rule=capped, units=2000)
        with pytest.raises(DecisionRefused, match="daily cap") as refusal:
            await approve(tx, second)
        assert refusal.value.reason == RefusalReason.DAILY_CAP
        await submissions.fail_before_signing(tx, record=first, reason="no trustline", at=later(hours=2))
        assert (await approve(tx, second)).status is MintStatus.APPROVED
        third = await open_one(tx, rule=capped, units=2000, at=later(hours=20))
        assert (await approve(tx, third, at=later(hours=25, seconds=1))).status is MintStatus.APPROVED
