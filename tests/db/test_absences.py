"""Out of office in the database: who may say so, and that authority moves at one moment or not at all."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from ulid import ULID

from activities.decisions import DecisionActivities
from db import reads
from db.reads.absences import absences, away
from db.session import Database
from db.writes import dictionaries
from db.writes.absences import end_absence, set_absence
from db.writes.routing import routing
from domain.approvals import Decision, Verdict
from domain.commands import CommandAction
from domain.errors import CommandRefused, InvalidInput, NotFound, Refused
from domain.mint_request import MintStatus
from domain.steps import DecideStep
from starter.decisions import sign_decision
from tests.db.factories import a_request, an_approval, open_one
from tests.support.absences import call_back, forge_absence, send_away, signed, wish

TWO_TIERS = 20_000
"""Units for which the demo tenant wants two approvals, one of tier 2 or above."""
ROUNDS = 12


async def a_pending(seeded, **changes):
    """A request that is open now."""
    async with seeded.database.transaction() as tx:
        return await open_one(tx, at=datetime.now(UTC), **{"units": TWO_TIERS, **changes})


async def decide(seeded, record, by, verdict=Verdict.APPROVE, database=None):
    """Let the activity judge a decision that arrives now; its outcome."""
    decision = Decision(
        decision_id=f"dc_{ULID()}",
        request_id=record.request.id,
        request_digest=record.request.digest(),
        verdict=verdict,
        approver=by,
        reason="because",
        issued_at=datetime.now(UTC),
    )
    step = DecideStep(
        request_id=record.request.id,
        tenant=record.request.tenant,
        signed=sign_decision(decision, seeded.keys[by]).model_dump(mode="json", by_alias=True),
        expected=(verdict,),
        at=datetime.now(UTC),
    )
    return (await DecisionActivities(database or seeded.database).decide(step)).outcome


async def only_tier_2(seeded):
    """From now on tier 1 decides on nothing."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("UPDATE approval_rules SET min_tier = 2, at_least_one_of_tier = NULL"))


async def read(seeded, record):
    """The request as it stands."""
    async with seeded.database.transaction() as tx:
        return await reads.request(tx, record.request.id)


async def chain(seeded):
    """What the tenant's audit events say, in order."""
    async with seeded.database.transaction() as tx:
        return [json.loads(event.body) for event in await reads.audit_events(tx, "acme")]


async def test_an_approval_for_somebody_names_them_everywhere(seeded):
    """The approval, its audit event and the absence's own event with the signed command."""
    absence = await send_away(seeded, "carol", "bob", reason="holiday")
    record = await a_pending(seeded)
    assert (await decide(seeded, record, "alice")).missing_tier == 2
    outcome = await decide(seeded, record, "bob")
    assert (outcome.accepted, outcome.status) == (True, MintStatus.APPROVED)
    given = (await read(seeded, record)).approvals[-1]
    assert (given.approver, given.on_behalf_of, given.tier) == ("bob", "carol", 2)
    events = await chain(seeded)
    [moved] = [event for event in events if event["kind"] == "absence.set"]
    assert (moved["actor"], moved["details"]["delegate"]) == ("carol", "bob")
    assert moved["details"]["envelope"]["payloadType"].endswith("command+json")
    details = events[-1]["details"]
    assert (details["onBehalfOf"], details["absence"], details["tier"]) == ("carol", absence.id, 2)


async def test_a_delegate_rejects_as_well(seeded):
    """Where only tier 2 may veto; the audit says for whom it was done."""
    await only_tier_2(seeded)
    await send_away(seeded, "carol", "bob")
    record = await a_pending(seeded)
    assert (await decide(seeded, record, "bob", Verdict.REJECT)).status == MintStatus.REJECTED
    [rejected] = [event for event in await chain(seeded) if event["kind"] == "decision.reject"]
    assert (rejected["actor"], rejected["details"]["onBehalfOf"]) == ("bob", "carol")


async def test_the_absent_approvers_own_decision_is_refused_and_audited(seeded):
    """Until the absence is ended, by which the authority is back at once."""
    absence = await send_away(seeded, "carol", "bob")
    record = await a_pending(seeded)
    assert (await decide(seeded, record, "carol")).reason == "delegated"
    assert (await chain(seeded))[-1]["details"]["reason"] == "delegated"
    await call_back(seeded, absence)
    assert (await decide(seeded, record, "carol")).accepted
    assert (await decide(seeded, record, "bob")).status == MintStatus.APPROVED
    assert [approval.on_behalf_of for approval in (await read(seeded, record)).approvals] == [None, None]


async def test_an_absence_without_a_delegate_takes_no_authority_away(seeded):
    """Nobody else has it."""
    await send_away(seeded, "carol")
    assert (await decide(seeded, await a_pending(seeded), "carol")).accepted


async def test_a_forged_row_is_refused_and_audited(seeded):
    """A password of the database is no authority: the row lacks a signature, or has another's."""
    honest = signed(seeded, "carol", CommandAction.SET_ABSENCE, "carol", wish("bob")).decode()
    by_bob = signed(seeded, "carol", CommandAction.SET_ABSENCE, "carol", wish("bob"), key_of="bob").decode()
    record = await a_pending(seeded)
    for number, envelope in enumerate(("{}", honest, by_bob)):
        await forge_absence(seeded, "carol", "bob", envelope, id_=f"abs_{number:026d}")
    await decide(seeded, record, "alice")
    outcome = await decide(seeded, record, "bob")
    assert outcome.accepted, "bob's own tier 1 is not touched by a forgery"
    assert (await read(seeded, record)).status is MintStatus.PENDING
    [given] = [one for one in (await read(seeded, record)).approvals if one.approver == "bob"]
    assert (given.on_behalf_of, given.tier) == (None, 1)
    assert (await decide(seeded, record, "carol")).status == MintStatus.APPROVED


async def test_a_forged_row_alone_leads_to_a_refusal(seeded):
    """Where only the forged authority would do, the refusal says that it is unproven."""
    await forge_absence(seeded, "carol", "bob", "{}")
    await only_tier_2(seeded)
    record = await a_pending(seeded)
    assert (await decide(seeded, record, "bob")).reason == "delegation_unproven"
    assert (await chain(seeded))[-1]["details"]["reason"] == "delegation_unproven"


async def test_a_revoked_key_ends_the_delegation_that_it_signed(seeded):
    """Whoever lost it may have been impersonated."""
    await send_away(seeded, "carol", "bob")
    async with seeded.database.transaction() as tx:
        [carol] = [user for user in await reads.users(tx, "acme") if user.name == "carol"]
        await dictionaries.revoke_key(
            tx, tenant="acme", user="carol", key_id=carol.keys[0], actor="adam", at=datetime.now(UTC)
        )
    await only_tier_2(seeded)
    assert (await decide(seeded, await a_pending(seeded), "bob")).reason == "delegation_unproven"


REFUSED = {
    "of oneself by somebody else": (CommandRefused, {"by": "alice", "user": "carol"}),
    "by an auditor": (CommandRefused, {"by": "lena", "user": "carol"}),
    "by a delegate for themselves": (CommandRefused, {"by": "bob", "user": "carol", "delegate": "bob"}),
    "of who is no approver": (InvalidInput, {"by": "adam", "user": "rita"}),
    "of nobody": (NotFound, {"by": "adam", "user": "nobody"}),
    "to who is no approver": (InvalidInput, {"user": "carol", "delegate": "rita"}),
    "to nobody": (NotFound, {"user": "carol", "delegate": "nobody"}),
    "to oneself": (InvalidInput, {"user": "carol", "delegate": "carol"}),
    "dated back": (InvalidInput, {"user": "carol", "start": timedelta(minutes=-6)}),
    "over already": (InvalidInput, {"user": "carol", "until": timedelta(minutes=-1)}),
    "too long": (InvalidInput, {"user": "carol", "until": timedelta(days=93)}),
    "backwards": (InvalidInput, {"user": "carol", "start": timedelta(days=2), "until": timedelta(days=1)}),
}


@pytest.mark.parametrize(("error", "asked"), REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_leaves_nothing_behind(seeded, error, asked):
    """Neither an absence nor an audit event, and the command is unused."""
    now = datetime.now(UTC)
    period = {name: now + asked[name] for name in ("start", "until") if name in asked}
    before = await chain(seeded)
    with pytest.raises(error):
        await send_away(seeded, asked["user"], asked.get("delegate"), by=asked.get("by"), **period)
    async with seeded.database.transaction() as tx:
        assert await absences(tx, "acme", now, past=True) == []
        assert await tx.value(text("SELECT count(*) FROM signed_commands")) == 0
    assert await chain(seeded) == before


async def test_a_command_is_good_once_in_time_and_for_its_purpose(seeded):
    """Forged, replayed, late, for the end of another absence."""
    now = datetime.now(UTC)

    async def use(document, at=now):
        async with seeded.database.transaction() as tx:
            return await set_absence(tx, document, now=at)

    for document, at in (
        (signed(seeded, "carol", CommandAction.SET_ABSENCE, "carol", wish(), key_of="bob"), now),
        (signed(seeded, "carol", CommandAction.SET_ABSENCE, "carol", wish()), now + timedelta(minutes=6)),
        (signed(seeded, "carol", CommandAction.END_ABSENCE, "carol", wish()), now),
        (b"{}", now),
    ):
        with pytest.raises(CommandRefused):
            await use(document, at)
    good = signed(seeded, "carol", CommandAction.SET_ABSENCE, "carol", wish())
    absence = await use(good)
    with pytest.raises(CommandRefused, match="has been used"):
        await use(good)
    end_of_another = signed(seeded, "carol", CommandAction.END_ABSENCE, "abs_" + "A" * 26)
    with pytest.raises(CommandRefused, match="another target"):
        async with seeded.database.transaction() as tx:
            await end_absence(tx, end_of_another, absence_id=absence.id, now=now)


async def test_authority_is_never_moved_back_in_time(seeded):
    """An absence since four minutes ago begins with its acceptance."""
    before = datetime.now(UTC)
    absence = await send_away(seeded, "carol", "bob", start=before - timedelta(minutes=4))
    assert absence.starts_at >= before


async def test_absences_of_one_user_never_overlap(seeded):
    """One after the other is fine, and so is the place of one that was ended before it began."""
    now = datetime.now(UTC)
    first = await send_away(seeded, "carol", start=now + timedelta(days=1), until=now + timedelta(days=2))
    with pytest.raises(Refused, match=first.id):
        await send_away(seeded, "carol", until=now + timedelta(days=1, seconds=1))
    await send_away(seeded, "carol", start=first.ends_at, until=now + timedelta(days=3))
    ended = await call_back(seeded, first)
    assert (ended.starts_at, ended.ends_at) == (first.starts_at, first.starts_at)
    await send_away(seeded, "carol", until=now + timedelta(days=2))


async def test_two_at_once_are_one(seeded):
    """Of twenty overlapping absences that are set at the same time, one is accepted."""
    database = Database(seeded.url, pool_size=20)

    async def one():
        document = signed(seeded, "carol", CommandAction.SET_ABSENCE, "carol", wish("bob"))
        try:
            async with database.transaction() as tx:
                return (await set_absence(tx, document, now=datetime.now(UTC))).id
        except Refused:
            return None

    accepted = await asyncio.gather(*(one() for _ in range(20)))
    await database.close()
    assert len([id_ for id_ in accepted if id_]) == 1


async def test_only_they_or_an_admin_end_it_and_once(seeded):
    """Not the delegate; and what is over stays over."""
    absence = await send_away(seeded, "carol", "bob", by="adam", reason="ill")
    for other in ("bob", "alice", "lena"):
        with pytest.raises(CommandRefused):
            await call_back(seeded, absence, by=other)
    await call_back(seeded, absence, by="adam")
    with pytest.raises(Refused, match="is over"):
        await call_back(seeded, absence)


async def test_the_row_of_an_absence_is_guarded(seeded):
    """It can be ended once and nothing else, whatever statement is sent."""
    absence = await send_away(seeded, "carol", "bob")
    await call_back(seeded, absence)
    for statement in (
        "UPDATE absences SET delegate = 'alice'",
        "UPDATE absences SET ends_at = ends_at + interval '1 day'",
        "UPDATE absences SET ended_by = NULL",
        "DELETE FROM absences",
    ):
        with pytest.raises(DBAPIError, match="can only be ended, once"):
            async with seeded.database.transaction() as tx:
                await tx.run(text(statement))


async def test_the_database_keeps_four_eyes_and_one_authority_by_itself(seeded):
    """Past every check of ours: the requester's authority, in any case, and one that is used up."""
    record = await a_pending(seeded)
    row = text("""
        INSERT INTO approvals (request_id, approver, on_behalf_of, tier, decision_id, reason, digest,
            envelope, at)
        VALUES (:id, :approver, :for, 2, :decision, '', :digest, '{}', :at)
    """)

    async def insert(approver, on_behalf_of):
        async with seeded.database.transaction() as tx:
            values = {"id": record.request.id, "approver": approver, "for": on_behalf_of}
            more = {"decision": f"dc_{ULID()}", "digest": record.request.digest(), "at": datetime.now(UTC)}
            await tx.run(row, values | more)

    for approver, on_behalf_of in (("bob", "rita"), ("rita", "carol"), ("bob", "RITA"), ("Rita", None)):
        with pytest.raises(DBAPIError, match="four eyes"):
            await insert(approver, on_behalf_of)
    with pytest.raises(DBAPIError, match="approvals_behalf"):
        await insert("bob", "bob")
    await insert("bob", "carol")
    for approver, on_behalf_of in (("carol", None), ("alice", "carol"), ("bob", None), ("bob", "dave")):
        with pytest.raises(DBAPIError, match="duplicate key"):
            await insert(approver, on_behalf_of)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_delegate_and_the_end_of_the_absence_at_once(seeded, number):
    """Whatever wins: no approval for carol stands behind the end of her absence in the chain."""
    absence = await send_away(seeded, "carol", "bob")
    opened = [await a_pending(seeded) for _ in range(4)]
    database = Database(seeded.url, pool_size=8)

    async def end():
        await asyncio.sleep(0.004 * (number % 4))
        await call_back(seeded, absence)

    outcomes = await asyncio.gather(*(decide(seeded, one, "bob", database=database) for one in opened), end())
    await database.close()
    events = [event for event in await chain(seeded) if event["kind"] in ("decision.approve", "absence.end")]
    kinds = [event["kind"] for event in events]
    after = events[kinds.index("absence.end") + 1 :]
    assert all(outcome.accepted for outcome in outcomes[:-1]), "in his own right, if not in hers"
    assert all("onBehalfOf" not in event["details"] for event in after)
    before = events[: kinds.index("absence.end")]
    assert all(event["details"]["onBehalfOf"] == "carol" for event in before)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_the_absent_approver_and_the_beginning_of_the_absence_at_once(seeded, number):
    """No decision of carol's own stands behind her absence in the chain, and none of bob's for her before."""
    opened = [await a_pending(seeded) for _ in range(4)]
    database = Database(seeded.url, pool_size=10)

    async def leave():
        await asyncio.sleep(0.004 * (number % 4))
        await send_away(seeded, "carol", "bob")

    async def both(record):
        own, lent = await asyncio.gather(
            decide(seeded, record, "carol", database=database),
            decide(seeded, record, "bob", database=database),
        )
        return own, lent

    outcomes = await asyncio.gather(*map(both, opened), leave())
    await database.close()
    events = [event for event in await chain(seeded) if event["kind"] in ("decision.approve", "absence.set")]
    left = [event["kind"] for event in events].index("absence.set")
    for event in events[:left]:
        assert "onBehalfOf" not in event["details"]
    for event in events[left + 1 :]:
        assert event["actor"] == "bob"
    assert {own.reason for own, _ in outcomes[:-1] if not own.accepted} <= {
        "delegated", "already_decided", "not_open",
    }  # fmt: skip


async def test_who_is_away_and_the_list(seeded):
    """By name, at a moment; the list has the latest first, and the past only if asked."""
    now = datetime.now(UTC)
    gone = await send_away(seeded, "carol", "bob")
    later = await send_away(seeded, "alice", start=now + timedelta(days=1), until=now + timedelta(days=2))
    async with seeded.database.transaction() as tx:
        assert await away(tx, "acme", now + timedelta(hours=1)) == {"carol": gone}
        assert set(await away(tx, "acme", now + timedelta(days=1, hours=1))) == {"alice"}
        assert await away(tx, "other", now + timedelta(hours=1)) == {}
        assert [one.id for one in await absences(tx, "acme", now)] == [later.id, gone.id]
        assert await absences(tx, "acme", now + timedelta(days=3)) == []
        assert len(await absences(tx, "acme", now + timedelta(days=3), past=True, user="carol")) == 1


async def told(seeded, *tiers, requester="rita"):
    """Names of who is told in stages that tell `tiers`, and of the leads."""
    async with seeded.database.transaction() as tx:
        found = await routing(tx, a_request(requester=requester), tiers)
        return [person.name for person in found.recipients(tiers)], [person.name for person in found.leads]


async def lead(seeded, name):
    """Make somebody a lead of the demo tenant's department."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("DELETE FROM department_leads"))
        await dictionaries.set_lead(
            tx, tenant="acme", department="treasury", user=name, actor="adam", at=datetime.now(UTC)
        )


async def test_the_delegate_is_told_in_the_place_of_who_is_away(seeded):
    """Once, if told anyway; never the requester; and the authority's tier decides which stage it is."""
    assert (await told(seeded, 1, 2))[0] == ["alice", "bob", "carol"]
    await send_away(seeded, "carol", "dave")
    assert (await told(seeded, 1, 2))[0] == ["alice", "bob", "dave"]
    assert (await told(seeded, 2, 3))[0] == ["dave"]
    assert (await told(seeded, 2, requester="dave"))[0] == ["carol"], "nobody else of the tier remains"


async def test_who_is_away_without_a_delegate_is_told_only_if_nobody_else_is(seeded):
    """No stage falls silent by an absence."""
    await send_away(seeded, "alice")
    assert (await told(seeded, 1))[0] == ["bob"]
    await send_away(seeded, "bob")
    assert (await told(seeded, 1))[0] == ["alice", "bob"]
    async with seeded.database.transaction() as tx:
        await tx.run(text("UPDATE users SET primary_topic = NULL WHERE name = 'bob'"))
        await tx.run(text("DELETE FROM user_topics WHERE user_name = 'bob'"))
    assert (await told(seeded, 1))[0] == ["alice"]


async def test_leads_stay_and_their_delegates_hear_of_it_too(seeded):
    """Leads must not be silent."""
    await lead(seeded, "carol")
    assert (await told(seeded, 1))[1] == ["carol"]
    absence = await send_away(seeded, "carol", "dave")
    assert (await told(seeded, 1))[1] == ["carol", "dave"]
    await call_back(seeded, absence)
    await send_away(seeded, "carol")
    assert (await told(seeded, 1))[1] == ["carol"]


async def test_an_approval_under_no_absence_is_as_before(seeded):
    """Neither the approval nor its event says anything of delegation."""
    record = await a_pending(seeded, units=2500)
    await decide(seeded, record, "alice")
    [event] = [event for event in await chain(seeded) if event["kind"] == "decision.approve"]
    assert {"onBehalfOf", "absence", "judgedAt"}.isdisjoint(event["details"])
    assert an_approval(record).on_behalf_of is None
