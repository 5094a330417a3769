"""Deleting a policy: never under a run, and never together with a request that is opened with it."""

import asyncio

import pytest
from sqlalchemy import text

from db import reads
from db.reads.catalogue import policies
from db.session import Database
from db.writes import channels, dictionaries, event_rules, publication, withdrawal
from domain.errors import NotFound, Refused
from domain.escalation import Stage
from domain.mint_request import MintStatus
from domain.runs import EventAction, EventKind, EventRule
from tests.db.acts import expire
from tests.db.factories import START, a_request, approve, open_one
from tests.support.postgres import until_waiting

BY = {"actor": "adam", "at": START}


def another(seeded, number=2):
    """The demo policy under another id."""
    return seeded.policy.model_copy(update={"id": f"acme-mint-{number}"})


async def publish(seeded, policy):
    """Publish in a transaction of its own."""
    async with seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, **BY)
    return policy


async def delete(database, policy_id, tenant="acme"):
    """Delete in a transaction of its own."""
    async with database.transaction() as tx:
        await withdrawal.delete_policy(tx, tenant=tenant, policy_id=policy_id, **BY)


async def open_with(database, policy):
    """Open a request in a transaction of its own."""
    async with database.transaction() as tx:
        return await open_one(tx, policy=policy)


async def outcome(work):
    """What came of it: its answer, or the refusal's text."""
    try:
        return await work
    except Refused as refusal:
        return refusal.message


async def test_a_deleted_policy_is_gone_for_good(seeded):
    """Not listed, not switchable, not publishable again; its row and its audit event stay."""
    policy = await publish(seeded, another(seeded))
    await delete(seeded.database, policy.id)
    await delete(seeded.database, policy.id)
    async with seeded.database.transaction() as tx:
        assert policy.id not in [found.id for found in await policies(tx, "acme")]
        listed = {found.id: found for found in await policies(tx, "acme", deleted=True)}
        assert (listed[policy.id].deleted_by, listed[policy.id].deleted_at) == ("adam", START)
        assert await reads.policy(tx, policy.id) == policy
        kinds = [
            event.body for event in await reads.audit_events(tx, "acme") if "policy.deleted" in event.body
        ]
        assert len(kinds) == 1
        with pytest.raises(Refused, match="is deleted: publish its content under a new id"):
            await publication.switch_policy(tx, tenant="acme", policy_id=policy.id, **BY)
    for again in (policy, policy.model_copy(update={"auto_close_minutes": 5000})):
        with pytest.raises(Refused, match="is deleted and its id is used up"):
            await publish(seeded, again)
    with pytest.raises(Refused, match="acme-mint-2 is deleted: submit again"):
        await open_with(seeded.database, policy)


async def test_another_tenants_policy_is_unknown(seeded):
    """Nobody deletes, or learns of, what belongs to somebody else."""
    policy = await publish(seeded, another(seeded))
    with pytest.raises(NotFound, match="tenant other has no policy"):
        await delete(seeded.database, policy.id, tenant="other")
    with pytest.raises(NotFound, match="has no policy 'none'"):
        await delete(seeded.database, "none")


async def test_the_current_policy_stays(seeded):
    """New requests must always get one."""
    with pytest.raises(Refused, match="new requests of acme get policy"):
        await delete(seeded.database, seeded.policy.id)


async def test_a_policy_that_an_event_rule_names_stays(seeded):
    """The next event of that kind would have nothing to escalate with."""
    policy = await publish(seeded, another(seeded))
    rule = EventRule(
        tenant="acme", event_kind=EventKind.STALLED, action=EventAction.ESCALATE, policy_id=policy.id
    )
    async with seeded.database.transaction() as tx:
        await event_rules.set_event_rule(tx, rule=rule, **BY)
    with pytest.raises(Refused, match=r"escalate with policy acme-mint-2 \(submission.stalled\)"):
        await delete(seeded.database, policy.id)


async def test_a_channel_that_an_event_escalates_over_stays(seeded):
    """Removing it would leave the next event with nobody to tell."""
    desk = [Stage(delay_seconds=0, channels=["desk"])]
    async with seeded.database.transaction() as tx:
        settings = {"channel": "#desk"}
        await dictionaries.set_channel(tx, tenant="acme", name="desk", kind="slack", settings=settings, **BY)
    policy = await publish(seeded, another(seeded).model_copy(update={"stages": desk}))
    rule = EventRule(
        tenant="acme", event_kind=EventKind.ANOMALY, action=EventAction.ESCALATE, policy_id=policy.id
    )
    async with seeded.database.transaction() as tx:
        await event_rules.set_event_rule(tx, rule=rule, **BY)
        with pytest.raises(Refused, match="needed by policy acme-mint-2"):
            await channels.remove_channel(tx, tenant="acme", name="desk", **BY)


async def test_runs_in_flight_are_named(seeded):
    """The first 20, how many more, and how to stop them."""
    policy = await publish(seeded, another(seeded))
    async with seeded.database.transaction() as tx:
        opened = [await open_one(tx, policy=policy) for _ in range(23)]
    with pytest.raises(Refused, match=r"and 3 more\. .*mintkeeper escalation cancel") as refused:
        await delete(seeded.database, policy.id)
    named = [record.request.id for record in opened if record.request.id in refused.value.message]
    assert len(named) == 20


async def test_a_run_of_an_event_is_named(seeded):
    """A run of an operational event follows the policy as well."""
    policy = await publish(seeded, another(seeded))
    run_id = f"esc_{7:032x}"
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        await tx.run(
            text("""INSERT INTO escalation_runs (id, tenant, event_kind, request_id, occurrence, rule_id,
                policy_id, action_hash, sla_scale, state, version, next_stage, started_at, closes_at, reason)
                VALUES (:id, 'acme', 'sla.overdue', :request, '1', 'r', :policy, repeat('0', 64), 1,
                'running', 1, 0, :at, :at, '')"""),
            {"id": run_id, "request": record.request.id, "policy": policy.id, "at": START},
        )
    with pytest.raises(Refused, match=run_id):
        await delete(seeded.database, policy.id)


async def test_a_run_that_is_over_or_cancelled_is_no_obstacle(seeded):
    """A decided request has no stages left, and neither has one whose escalation was cancelled."""
    policy = await publish(seeded, another(seeded))
    async with seeded.database.transaction() as tx:
        decided = await approve(tx, await open_one(tx, policy=policy))
        ended = await expire(tx, await open_one(tx, policy=policy))
        quiet = await open_one(tx, policy=policy)
        await tx.execute(
            text("""UPDATE mint_requests SET escalation_cancelled_by = 'adam', escalation_cancelled_at = :at,
                version = version + 1 WHERE id = :id"""),
            {"id": quiet.request.id, "at": START},
        )
    assert (decided.status, ended.status) == (MintStatus.APPROVED, MintStatus.EXPIRED)
    await delete(seeded.database, policy.id)
    async with seeded.database.transaction() as tx:
        assert (await reads.request(tx, quiet.request.id)).policy == policy


async def test_who_deletes_first_keeps_requests_out(seeded):
    """The opening has read the policy already, waits for the deletion, and is refused."""
    policy = await publish(seeded, another(seeded))
    async with seeded.database.transaction() as tx:
        await withdrawal.delete_policy(tx, tenant="acme", policy_id=policy.id, **BY)
        opening = asyncio.create_task(outcome(open_with(seeded.database, policy)))
        await until_waiting(seeded.database)
    assert "is deleted" in await opening
    assert await opened_with(seeded, policy) == 0


async def test_who_opens_first_keeps_the_policy(seeded):
    """The deletion waits for the opening, and then names its request."""
    policy = await publish(seeded, another(seeded))
    request = a_request()
    async with seeded.database.transaction() as tx:
        await open_one(tx, request, policy=policy)
        deleting = asyncio.create_task(outcome(delete(seeded.database, policy.id)))
        await until_waiting(seeded.database)
    assert request.id in await deleting


async def test_exactly_one_of_opening_and_deleting_wins(seeded):
    """Thirty times at the same moment: either a request and a policy, or neither."""
    database, wins = Database(seeded.url, pool_size=4), []
    for number in range(30):
        policy = await publish(seeded, another(seeded, number + 10))
        works = [outcome(open_with(database, policy)), outcome(delete(database, policy.id))]
        # gather starts them in this order
        results = await asyncio.gather(*(works if number % 2 else reversed(works)))
        refusals = [result for result in results if isinstance(result, str)]
        assert len(refusals) == 1, results
        async with database.transaction() as tx:
            gone = policy.id not in [found.id for found in await policies(tx, "acme")]
        assert await opened_with(seeded, policy) == (0 if gone else 1)
        wins.append(gone)
    await database.close()


async def test_exactly_one_of_switching_and_deleting_wins(seeded):
    """New requests never get a policy that is deleted."""
    for number in range(20):
        policy = await publish(seeded, another(seeded, number + 50))

        async def switch(policy_id=policy.id):
            async with seeded.database.transaction() as tx:
                await publication.switch_policy(tx, tenant="acme", policy_id=policy_id, **BY)

        works = [outcome(switch()), outcome(delete(seeded.database, policy.id))]
        results = await asyncio.gather(*(works if number % 2 else reversed(works)))
        assert sum(isinstance(result, str) for result in results) == 1, results
        async with seeded.database.transaction() as tx:
            current = await reads.current_policy(tx, "acme")
            assert current.id in [found.id for found in await policies(tx, "acme")]


async def test_two_who_publish_one_id_with_other_content_do_not_both_succeed(seeded):
    """The second learns that the id is taken, even at the same moment."""
    first = another(seeded)
    second = first.model_copy(update={"auto_close_minutes": 5000})
    async with seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=first, **BY)
        late = asyncio.create_task(outcome(publish(seeded, second)))
        await until_waiting(seeded.database)
    assert "published with other content" in await late


async def opened_with(seeded, policy):
    """How many requests follow the policy."""
    async with seeded.database.transaction() as tx:
        return await tx.value(
            text("SELECT count(*) FROM mint_requests WHERE policy_id = :id"), {"id": policy.id}
        )
