"""The assignment sweep on a real database: what is due, who gets it, and what a person may do about it."""

import pytest
import pytest_asyncio
from sqlalchemy import text

from db import reads
from db.reads.assignment import candidates, due_requests
from domain.assignment_steps import Behind, SweepReport
from domain.errors import InvalidInput, NotFound, Refused
from domain.mint_request import MintStatus
from tests.db.acts import decide, run_stage
from tests.db.factories import START, a_request, approve, later, open_one
from tests.support.sweeping import (
    act,
    away,
    claim,
    events_of,
    hire,
    kinds_of,
    loads,
    one_pass,
    only,
    record_of,
    run,
)

DUE = later(hours=1)
"""When what is opened at START has been unassigned for as long as the topic allows."""


@pytest_asyncio.fixture
async def database(seeded):
    """The demo tenant, whose topics wait an hour; alice alone works on them."""
    await run(seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")
    await only(seeded.database, "alice", "rita", "adam")
    return seeded.database


async def opened(database, **changes):
    """A request of rita's that nobody took; its id."""
    async with database.transaction() as tx:
        return (await open_one(tx, **changes)).request.id


async def scaled(database, scale):
    """A request whose SLA runs so much faster."""
    request_id = await opened(database)
    async with database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(
            text("UPDATE mint_requests SET sla_scale = :scale WHERE id = :id"),
            {"scale": scale, "id": request_id},
        )
    return request_id


async def assignee(database, request_id):
    """Who has it."""
    return (await record_of(database, request_id)).assignee


# ---- what is due


async def test_what_nobody_took_for_as_long_as_the_topic_allows_is_assigned(database):
    """At the limit and not before; the record says that nobody has claimed it, and nothing was done."""
    request_id = await opened(database)
    before = await record_of(database, request_id)
    assert (await one_pass(database, DUE.replace(microsecond=0) - (later(seconds=1) - START))).report == (
        SweepReport()
    )
    answer = await one_pass(database, DUE)
    assert (answer.report.looked_at, answer.report.assigned, answer.behind) == (1, 1, None)
    after = await record_of(database, request_id)
    assert (after.assignee, after.assigned_at, after.assigned_automatically) == ("alice", DUE, True)
    assert after.unassigned_since is None
    assert (after.last_activity_at, after.first_response_at) == (before.last_activity_at, None)


async def test_each_topic_has_its_own_limit(database):
    """The other desk waits for two hours."""
    await run(database, "UPDATE topics SET auto_assign_after_hours = 2 WHERE code = 'treasury-us'")
    eu, us = await opened(database), await opened(database, topic="treasury-us")
    await one_pass(database, DUE)
    assert (await assignee(database, eu), await assignee(database, us)) == ("alice", None)
    await one_pass(database, later(hours=2))
    assert await assignee(database, us) == "alice"


async def test_the_limit_is_scaled_as_every_time_of_the_request(database):
    """At scale 60 the hour lasts a minute; requests of several scales are due side by side."""
    plain, fast = await scaled(database, 1), await scaled(database, 60)
    await one_pass(database, later(seconds=59))
    assert await assignee(database, fast) is None
    await one_pass(database, later(seconds=60))
    assert (await assignee(database, plain), await assignee(database, fast)) == (None, "alice")
    await one_pass(database, DUE)
    assert await assignee(database, plain) == "alice"


async def test_what_was_released_is_counted_from_its_release(database):
    """Not from its creation: whoever gave it back gives the others their time."""
    request_id = await opened(database)
    await claim(database, request_id, "alice", later(minutes=30))
    await act(database, request_id, "release", "alice", None, later(minutes=45))
    await one_pass(database, later(minutes=104))
    assert await assignee(database, request_id) is None
    await one_pass(database, later(minutes=105))
    assert await assignee(database, request_id) == "alice"


async def test_what_somebody_has_or_nobody_waits_for_is_left_alone(database):
    """Claimed, assigned, decided, expired by the clock: none of them is looked at."""
    held, given, approved, rejected = [await opened(database) for _ in range(4)]
    await claim(database, held, "alice", later(minutes=1))
    await act(database, given, "assign", "adam", "alice", later(minutes=1))
    async with database.transaction() as tx:
        await approve(tx, await record(tx, approved), at=later(minutes=2))
        await decide(tx, await record(tx, rejected), "reject", "alice")
    assert (await one_pass(database, DUE)).report.looked_at == 0
    late = await opened(database)
    assert (await one_pass(database, later(hours=24))).report.looked_at == 0
    assert (await one_pass(database, later(hours=23, minutes=59))).report.looked_at == 1
    assert await assignee(database, late) == "alice"


async def record(tx, request_id):
    """How it stands, held."""
    return await reads.lock_request(tx, request_id)


async def test_the_longest_unassigned_come_first_and_a_pass_goes_on_behind_the_last(database):
    """Bounded, in order, and complete: nobody who can't be assigned keeps the others out for ever."""
    ages = [later(minutes=minute) for minute in (3, 1, 2, 1)]
    ids = [await opened(database, at=at) for at in ages]
    oldest_first = [ids[index] for index in sorted(range(4), key=lambda index: (ages[index], ids[index]))]
    at, behind, seen = later(hours=3), (START, ""), []
    async with database.transaction() as tx:
        while due := await due_requests(tx, at, behind=behind, limit=3):
            seen += [one.request_id for one in due]
            behind = (due[-1].since, due[-1].request_id)
    assert seen == oldest_first
    answer = await one_pass(database, at, Behind(since=ages[2], request_id=ids[2]))
    assert [given.request_id for given in answer.report.given] == [ids[0]]


async def test_what_nobody_can_have_does_not_keep_the_rest_from_anybody(database):
    """Two old ones that nobody fits come first in every pass's order, and still all others are assigned."""
    await run(database, "UPDATE users SET max_load = 5 WHERE name = 'alice'")
    await hire(database, "zoe", topic="treasury-us", max_load=1)
    for minute in range(3):
        await opened(database, topic="treasury-us", at=later(minutes=minute))
    for minute in range(3, 8):
        await opened(database, at=later(minutes=minute))
    # alice works on the other desk as well
    await run(database, "DELETE FROM user_topics WHERE user_name = 'alice'")
    behind, reports = None, []
    while behind is not None or not reports:
        answer = await one_pass(database, later(hours=3), behind, most=2)
        behind = answer.behind
        reports.append(answer.report)
    assert [report.looked_at for report in reports] == [2, 2, 2, 2, 0]
    assert (sum(report.assigned for report in reports), sum(report.nobody for report in reports)) == (6, 2)
    assert await loads(database) == {"alice": 5, "zoe": 1}


# ---- who gets it


async def first(database, at=DUE, **changes):
    """Who gets a new request."""
    request_id = await opened(database, **changes)
    await one_pass(database, at)
    return await assignee(database, request_id)


async def test_the_primary_topic_comes_before_the_additional_ones(database):
    """The desk's own people first, even with more to do; who is on neither gets nothing."""
    await hire(database, "zoe", topic="treasury-us")
    await hire(database, "stranger", topic=None)
    await claim(database, await opened(database), "zoe", later(minutes=1))
    assert await first(database, topic="treasury-us") == "zoe"
    await run(database, "UPDATE users SET active = false WHERE name = 'zoe'")
    assert await first(database, topic="treasury-us") == "alice"


async def test_the_load_counts_what_has_not_ended(database):
    """Assigned requests in every status but the last ones; of those who have few the first gets more."""
    await hire(database, "abel")
    ended, going_on = await opened(database), await opened(database)
    for request_id in (ended, going_on):
        await claim(database, request_id, "abel", later(minutes=1))
    async with database.transaction() as tx:
        await decide(tx, await record(tx, ended), "reject", "alice")
        await approve(tx, await record(tx, going_on), at=later(minutes=2))
    assert await loads(database) == {"abel": 1}
    assert await first(database) == "alice"


async def test_between_equal_loads_the_longest_without_an_assignment_gets_it(database):
    """Every way to get one counts; who never got one comes first, then the name decides."""
    await hire(database, "bert")
    assert await first(database) == "alice"
    await run(database, "UPDATE users SET last_assigned_at = :at WHERE name = 'alice'", at=later(hours=9))
    await run(database, "UPDATE users SET last_assigned_at = :at WHERE name = 'bert'", at=later(hours=10))
    held = await opened(database)
    await claim(database, held, "bert", later(minutes=1))
    async with database.transaction() as tx:
        people = {person.name: person for person in await candidates(tx, "acme", DUE)}
    # an older claim does not turn the clock back
    assert people["bert"].last_assigned_at == later(hours=10)
    assert await first(database) == "alice"


@pytest.mark.parametrize("verb", ["claim", "assign"])
async def test_a_claim_and_an_assignment_count_as_the_last_one(database, verb):
    """`last_assigned_at` is kept for what people do as for what the sweep does."""
    request_id = await opened(database)
    await act(database, request_id, verb, "alice", "alice", later(minutes=7))
    async with database.transaction() as tx:
        [alice] = [one for one in await candidates(tx, "acme", DUE) if one.name == "alice"]
    assert (alice.last_assigned_at, alice.load) == (later(minutes=7), 1)


async def test_the_requester_never_gets_their_own(database):
    """Not under another spelling either."""
    await run(
        database, "UPDATE users SET roles = ARRAY['requester', 'approver'], tier = 1 WHERE name = 'rita'"
    )
    await hire(database, "RITA")
    await run(database, "UPDATE users SET active = name = ANY (ARRAY['rita', 'RITA'])")
    assert await first(database) is None
    assert await first(database, request=a_request(requester="RITA")) is None


@pytest.mark.parametrize(
    ("begin", "end", "got"),
    [(-60, 1, None), (-60, 0, "alice"), (0, 60, None), (1, 60, "alice"), (-120, -60, "alice")],
)
async def test_who_is_out_of_office_gets_nothing(database, begin, end, got):
    """From the begin of an absence to before its end (in seconds from the sweep)."""
    span = later(seconds=1) - START
    await away(database, "alice", DUE + begin * span, DUE + end * span)
    assert await first(database) == got


async def test_outside_working_hours_a_request_waits_for_the_next_sweep(database):
    """START is a Monday at 09:00 UTC. Nothing is recorded, since somebody will fit."""
    await only(database, "rita")
    await hire(database, "abel", hours={"mon": [["13:00", "17:00"]]}, time_zone="Europe/Berlin")
    request_id = await opened(database)
    answer = await one_pass(database, DUE)
    assert (answer.report.waiting, answer.report.nobody) == (1, 0)
    assert await kinds_of(database, request_id) == ["request.opened", "stage.opened"]
    # 12:00 UTC is 13:00 in Berlin
    assert (await one_pass(database, later(hours=3, seconds=-1))).report.waiting == 1
    await one_pass(database, later(hours=3))
    assert await assignee(database, request_id) == "abel"


async def test_working_hours_that_cannot_be_read_keep_nothing_from_anybody(database):
    """A zone that this machine lacks is no reason to let a request lie."""
    await run(
        database,
        "UPDATE users SET time_zone = 'Mars/Olympus', "
        """working_hours = CAST('{"tue": [["09:00", "10:00"]]}' AS jsonb) WHERE name = 'alice'""",
    )
    assert await first(database) == "alice"


async def test_a_tier_that_a_stage_has_granted_gets_it(database):
    """Before the reminder tier 2 may not decide, so it gets nothing; afterwards it does."""
    await only(database, "carol", "rita")
    request_id = await opened(database)
    await one_pass(database, DUE)
    assert await assignee(database, request_id) is None
    async with database.transaction() as tx:
        await run_stage(tx, await record(tx, request_id))
    await one_pass(database, later(hours=4, minutes=1))
    assert await assignee(database, request_id) == "carol"


async def test_who_has_approved_it_does_not_get_it_for_the_second_approval(database):
    """The other half needs somebody else."""
    await hire(database, "zoe", tier=2)
    request_id = await opened(database, units=20_000)
    async with database.transaction() as tx:
        await approve(tx, await record(tx, request_id), "alice", satisfied=False, at=later(minutes=1))
    await one_pass(database, DUE)
    assert await assignee(database, request_id) == "zoe"


async def test_nobody_gets_more_than_their_limit(database):
    """A full desk gets nothing more from the sweep; the rest stays with nobody."""
    await run(database, "UPDATE users SET max_load = 2 WHERE name = 'alice'")
    for _ in range(3):
        await opened(database)
    report = (await one_pass(database, DUE)).report
    assert (report.assigned, report.nobody) == (2, 1)
    assert await loads(database) == {"alice": 2}


async def test_loads_are_spread_within_one_sweep(database):
    """Ten are due and two can take them: five each."""
    await hire(database, "bert")
    for _ in range(10):
        await opened(database)
    report = (await one_pass(database, DUE)).report
    assert report.assigned == 10
    assert await loads(database) == {"alice": 5, "bert": 5}


async def test_the_audit_says_why_them(database):
    """Rank and load as they were, by the sweep, once; the chain names no person as the actor."""
    request_id = await opened(database)
    await one_pass(database, DUE)
    event = (await events_of(database, request_id))[-1]
    assert (event["kind"], event["actor"]) == ("assignment.automatic", "sweep")
    assert event["step"] == f"auto-assign:{int(START.timestamp() * 1_000_000)}"
    assert event["details"] == {
        "message": "to alice: primary topic, 0 open requests",
        "from": None,
        "to": "alice",
        "unassignedSince": START.isoformat(),
        "topic": "primary",
        "tier": 1,
        "load": 0,
        "lastAssignedAt": None,
    }


# ---- what people may do


async def swept(database):
    """A request that the sweep has given to alice."""
    request_id = await opened(database)
    await one_pass(database, DUE)
    return request_id


async def test_a_claim_takes_over_what_the_sweep_assigned(database):
    """A person who claims it wins; the audit says from whom, and it is a manual one from then on."""
    await hire(database, "bert")
    request_id = await swept(database)
    after = await claim(database, request_id, "bert", later(hours=2))
    assert (after.assignee, after.assigned_automatically, after.assigned_at) == (
        "bert",
        False,
        later(hours=2),
    )
    details = (await events_of(database, request_id))[-1]["details"]
    assert details == {"from": "alice", "to": "bert", "fromSweep": True}
    with pytest.raises(Refused, match="bert works on"):
        await claim(database, request_id, "alice", later(hours=3))


async def test_who_claims_what_the_sweep_gave_them_keeps_it(database):
    """Claiming makes it manual: nobody else can claim it then; its time of assignment stays."""
    await hire(database, "bert")
    request_id = await swept(database)
    after = await claim(database, request_id, "alice", later(hours=2))
    assert (after.assigned_automatically, after.assigned_at) == (False, DUE)
    with pytest.raises(Refused, match="alice works on"):
        await claim(database, request_id, "bert", later(hours=3))


async def test_a_manual_assignment_is_never_touched_by_a_sweep(database):
    """However long it lies, and whoever has less to do."""
    await hire(database, "bert")
    request_id = await opened(database)
    await act(database, request_id, "assign", "adam", "alice", later(minutes=1))
    await one_pass(database, later(hours=23))
    assert await assignee(database, request_id) == "alice"
    assert "assignment.automatic" not in await kinds_of(database, request_id)


async def test_only_an_active_approver_who_did_not_ask_for_it_can_work_on_it(database):
    """Claimed by oneself or assigned by somebody, with the error that says what is wrong."""
    request_id = await opened(database)
    await run(
        database, "UPDATE users SET roles = ARRAY['requester', 'approver'], tier = 1 WHERE name = 'rita'"
    )
    for name, error, words in (
        ("rita", Refused, "rita asked for"),
        ("adam", InvalidInput, "adam is no approver"),
        ("bob", InvalidInput, "'bob' is not active"),
        ("mallory", NotFound, "unknown user 'mallory'"),
    ):
        with pytest.raises(error, match=words):
            await claim(database, request_id, name, later(minutes=1))
        with pytest.raises(error, match=words):
            await act(database, request_id, "assign", "adam", name, later(minutes=1))
    assert await assignee(database, request_id) is None


async def test_the_case_of_a_name_does_not_hide_the_requester(database):
    """Whoever is called as the requester is the requester."""
    await hire(database, "Rita")
    with pytest.raises(Refused, match="Rita asked for"):
        await claim(database, await opened(database), "Rita", later(minutes=1))


async def test_a_released_one_is_assigned_anew_in_its_new_stint(database):
    """The second time is a step of its own, so that nothing takes it for the first."""
    request_id = await swept(database)
    await act(database, request_id, "release", "alice", None, later(hours=2))
    assert (await one_pass(database, later(hours=2, minutes=59))).report.looked_at == 0
    assert (await one_pass(database, later(hours=3))).report.assigned == 1
    assert (await kinds_of(database, request_id)).count("assignment.automatic") == 2
    assert (await record_of(database, request_id)).status is MintStatus.PENDING
