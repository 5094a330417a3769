"""The inbox holds exactly the requests on which the rules would accept the person's decision."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db import reads
from db.reads import lines
from db.reads.inbox import PAGE, inbox
from db.reads.lines import Narrowing
from domain.approvals import Verdict, tally
from domain.authority import authorities, authority_of
from domain.errors import DecisionRefused
from domain.judgement import judge
from domain.mint_request import MintStatus
from tests.db.factories import HOLDER, ISSUER
from tests.domain.factories import make_decision, make_rule
from tests.support.absences import send_away

NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)
"""Later than the absences begin: authority moves when it is signed, and not before."""
APPROVERS = ("alice", "bob", "carol", "dave")
PEOPLE = (*APPROVERS, "Alice", "CAROL", "rita", "adam")
"""Two of them differ from approvers in case only."""

_COLUMNS = (
    "id, tenant, network_passphrase, asset_code, asset_issuer, amount, destination, topic, requester, memo, "
    "digest, track_number, policy_id, rule, sla_scale, run_id, created_at, expires_at, status, status_since, "
    "version, granted_tiers, next_stage, escalation_level, assignee, assigned_at, unassigned_since, "
    "last_activity_at, decided_at, ended_at, reason"
)


def requests_of(chance, count):
    """Rows of requests with all that a decision may hang on."""
    for number in range(count):
        status = chance.choice(["PENDING"] * 6 + ["REJECTED"])
        opened = NOW - timedelta(minutes=chance.randrange(1, 1500))
        expires = NOW + timedelta(seconds=chance.choice([-60, 0, 1, 600, 7200, 50_000]))
        rule = make_rule(
            approvals=chance.choice([1, 2, 3]),
            min_tier=chance.choice([1, 1, 2, 3]),
            at_least_one_of_tier=chance.choice([None, None, 1, 2, 3]),
        )
        ended = opened - timedelta(days=1) if status == "REJECTED" else None
        yield (
            f"mr_{number:026d}",
            chance.choice(["acme", "acme", "acme", "other"]),
            "Test Network",
            chance.choice(["EURT", "USDT"]),
            ISSUER,
            chance.randrange(1, 10**12),
            HOLDER,
            chance.choice(["treasury-eu", "treasury-us"]),
            chance.choice(PEOPLE),
            chance.choice(["", "salaries of May", "100%"]),
            f"{number:064x}",
            f"MK-{number:010d}",
            "acme-mint-default-1",
            rule.model_dump_json(by_alias=True),
            1,
            "run",
            opened - timedelta(days=3),
            expires,
            status,
            opened,
            1,
            sorted(set(chance.choices([1, 2, 3], k=chance.choice([0, 0, 1, 2])))),
            0,
            chance.choice([0, 0, 1, 2]),
            *chance.choice([("alice", opened, None), (None, None, opened)]),
            opened,
            ended,
            ended,
            "",
        )


def load(url, chance, count=250):
    """Write requests, approvals and stages past the guards, and people who differ in case only."""
    rows = list(requests_of(chance, count))
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "INSERT INTO tenants SELECT (jsonb_populate_record(t, "
            "'{\"code\": \"other\"}')).* FROM tenants t WHERE code = 'acme'"
        )
        for name in ("Alice", "CAROL"):
            connection.execute(
                "INSERT INTO users SELECT (jsonb_populate_record(u, jsonb_build_object('name', %s::text))).* "
                "FROM users u WHERE tenant = 'acme' AND name = 'rita'",
                [name],
            )
        with connection.cursor().copy(f"COPY mint_requests ({_COLUMNS}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        for row in rows:
            _follow(connection, chance, row[0], row[21])


def _follow(connection, chance, request_id, granted):
    """What else hangs on a request: approvals, some on behalf of others, and the stages that granted."""
    for who in chance.sample(PEOPLE, chance.choice([0, 0, 1, 2])):
        whose = chance.choice([None, None, *(name for name in APPROVERS if name != who)])
        decision = f"dc_{request_id}_{who}"
        values = (request_id, who, whose, chance.choice([1, 2, 3]), decision, "0" * 64, NOW)
        connection.execute(
            "INSERT INTO approvals (request_id, approver, on_behalf_of, tier, decision_id, reason, digest, "
            "envelope, at) VALUES (%s, %s, %s, %s, %s, '', %s, '{}', %s) ON CONFLICT DO NOTHING",
            values,
        )
    for stage, tier in enumerate(granted, start=1):
        due = NOW + timedelta(seconds=chance.choice([-600, 0, 1, 10]))
        connection.execute(
            "INSERT INTO stage_runs (request_id, stage, due_at, ran_at, granted_tier, routed) "
            "VALUES (%s, %s, %s, %s, %s, true)",
            (request_id, stage, due, NOW, tier),
        )


async def accepted(tx, url, signer):
    """Of every request, the authority with which the rules would accept an approval of it."""
    with psycopg.connect(url) as connection:
        early = connection.execute(
            "SELECT request_id, granted_tier FROM stage_runs WHERE due_at > %s", [NOW]
        ).fetchall()
        ids = [row[0] for row in connection.execute("SELECT id FROM mint_requests WHERE tenant = 'acme'")]
    found = {}
    for one in ids:
        record = await reads.request(tx, one)
        due = tuple(tier for tier in record.granted_tiers if (one, tier) not in early)
        record = record.model_copy(update={"granted_tiers": due})
        decision = make_decision(request_id=one, request_digest=record.request.digest(), approver=signer.name)
        try:
            judge(decision, frozenset({Verdict.APPROVE}), record, signer, NOW)
        except DecisionRefused:
            continue
        found[one] = authority_of(decision, record, signer, NOW)
    return found


async def everything(tx, name, held, narrowing=None):
    """All pages of somebody's inbox."""
    found, page = [], 1
    while (shown := await inbox(tx, "acme", name, held, NOW, narrowing, page=page)).waiting:
        found += shown.waiting
        page += 1
    assert shown.total == len(found)
    return found


AWAY = {
    "nobody is away": (),
    "carol stands in for nobody, bob does for carol": (("carol", "bob"),),
    "alice has two authorities beside her own": (("carol", "alice"), ("dave", "alice")),
    "in a circle": (("alice", "bob"), ("bob", "alice")),
    "one is away without a delegate": (("dave", None), ("alice", "dave")),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("away", AWAY.values(), ids=AWAY.keys())
async def test_the_inbox_is_what_the_rules_accept(seeded, away, seed):
    """For each approver, with lent authorities, early stages, approvals and names in other case: the same."""
    load(seeded.url, random.Random(seed))
    for user, delegate in away:
        await send_away(seeded, user, delegate, until=NOW + timedelta(hours=1))
    for name in APPROVERS:
        async with seeded.database.transaction() as tx:
            signer = await reads.signer(tx, "acme", name, NOW)
            right = await accepted(tx, seeded.url, signer)
            held = authorities(signer, NOW)
            found = await everything(tx, name, held)
        assert {one.line.id: one.authority for one in found} == right
        assert [one.line.id for one in found] == [
            one.line.id for one in sorted(found, key=lambda one: (one.line.expires_at, one.line.id))
        ]


async def test_who_decides_nothing_has_an_empty_inbox(seeded):
    """An admin, a requester, an auditor, an approver who is no longer active, and whose authority is lent."""
    load(seeded.url, random.Random(4))
    await send_away(seeded, "alice", "bob")
    async with seeded.database.transaction() as tx:
        for name in ("adam", "rita", "lena", "alice"):
            signer = await reads.signer(tx, "acme", name, NOW)
            assert authorities(signer, NOW) == ()
            assert (await inbox(tx, "acme", name, (), NOW)).total == 0
        gone = (await reads.signer(tx, "acme", "bob", NOW)).model_copy(update={"active": False})
        assert authorities(gone, NOW) == ()


NARROWED = {
    "topic": (Narrowing(topic="treasury-us"), lambda line: line.topic == "treasury-us"),
    "amounts": (Narrowing(least=10**11, most=5 * 10**11), lambda line: 10**11 <= line.amount <= 5 * 10**11),
    "mine": (Narrowing(assignee="alice"), lambda line: line.assignee == "alice"),
    "nobody's": (Narrowing(unassigned=True), lambda line: line.assignee is None),
    "escalated": (Narrowing(escalated=True), lambda line: line.escalation_level > 0),
    "soon": (
        Narrowing(expires_before=NOW + timedelta(hours=1)),
        lambda line: line.expires_at < NOW + timedelta(hours=1),
    ),
    "requester": (Narrowing(requester="rita"), lambda line: line.requester == "rita"),
    "memo": (Narrowing(search="SALARIES"), lambda line: "salaries" in line.memo),
    "a wildcard is a plain character": (Narrowing(search="100%"), lambda line: line.memo == "100%"),
    "track number": (Narrowing(search="mk-0000000"), lambda line: True),
    "destination": (Narrowing(search=HOLDER[10:30]), lambda line: True),
    "nothing": (Narrowing(search="_"), lambda line: "_" in line.id),
}


@pytest.mark.parametrize(("narrowing", "fits"), NARROWED.values(), ids=NARROWED.keys())
async def test_filters_leave_what_fits(seeded, narrowing, fits):
    """Each filter leaves of the inbox, and of the list of all requests, just what it says."""
    load(seeded.url, random.Random(5))
    async with seeded.database.transaction() as tx:
        held = authorities(await reads.signer(tx, "acme", "alice", NOW), NOW)
        every = await everything(tx, "alice", held)
        some = await everything(tx, "alice", held, narrowing)
        assert [one.line.id for one in some] == [one.line.id for one in every if fits(one.line)]
        whole = await lines.lines(tx, "acme", Narrowing(), own=None, limit=1000)
        found = await lines.lines(tx, "acme", narrowing, own=None, limit=1000)
        assert [one.id for one in found] == [one.id for one in whole if fits(one)]
        assert await lines.count_lines(tx, "acme", narrowing, own=None) == len(found)


async def test_a_list_keeps_to_tenant_requester_and_status(seeded):
    """Another tenant's requests are never listed; `own` leaves a requester's own; pages don't overlap."""
    load(seeded.url, random.Random(6))
    async with seeded.database.transaction() as tx:
        mine = await lines.lines(tx, "acme", Narrowing(), own="rita", limit=1000)
        assert {one.requester for one in mine} == {"rita"}
        other = await lines.lines(tx, "other", Narrowing(), own=None, limit=1000)
        every = await lines.lines(tx, "acme", Narrowing(), own=None, limit=1000)
        assert len(other) + len(every) == 250
        assert not {one.id for one in other} & {one.id for one in every}
        pending = await lines.lines(
            tx, "acme", Narrowing(), own=None, statuses=[MintStatus.PENDING], limit=1000
        )
        assert {one.status for one in pending} == {MintStatus.PENDING}
        for order in lines.ORDERS:
            first = await lines.lines(tx, "acme", Narrowing(), own=None, order=order, limit=100)
            rest = await lines.lines(tx, "acme", Narrowing(), own=None, order=order, limit=1000, offset=100)
            assert {one.id for one in (*first, *rest)} == {one.id for one in every}
            assert len(first) + len(rest) == len(every)
        assert {asset.code for asset in await lines.assets_used(tx, "acme")} == {"EURT", "USDT"}
        assert await lines.assets_used(tx, "nobody") == []


async def test_a_page_beyond_the_last_still_counts(seeded):
    """Rows that went meanwhile leave an empty page, which says how much waits."""
    load(seeded.url, random.Random(7))
    async with seeded.database.transaction() as tx:
        held = authorities(await reads.signer(tx, "acme", "alice", NOW), NOW)
        first = await inbox(tx, "acme", "alice", held, NOW)
        beyond = await inbox(tx, "acme", "alice", held, NOW, page=99)
    assert first.total > 0
    assert len(first.waiting) == min(PAGE, first.total)
    assert (beyond.waiting, beyond.total) == ((), first.total)


async def test_a_line_tells_what_is_missing(seeded):
    """The tally of a line is that of the whole record."""
    load(seeded.url, random.Random(8))
    async with seeded.database.transaction() as tx:
        for line in await lines.lines(tx, "acme", Narrowing(), own=None, limit=60):
            record = await reads.request(tx, line.id)
            assert line.missing == record.missing == tally(record.rule, line.approvals)
            assert (line.amount, line.asset) == (record.request.amount, record.request.asset)
            assert replace(line).status is record.status
