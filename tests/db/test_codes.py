"""One-time codes: guessed, replayed, doubled, late, and never written down."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from db.reads.wanted import unwanted
from db.writes import codes, dictionaries
from domain.codes import CodePurpose
from domain.errors import InvalidInput, NotFound, Refused
from domain.passes import SessionSecret
from tests.support.talk import ago, all_rows, an_open, run, send_code, told, use_code, wrong

STEP_UP = CodePurpose.STEP_UP


@pytest.fixture
def db(seeded):
    """The demo tenant's database."""
    return seeded.database


async def test_a_code_is_good_once(db):
    """The right one opens, and never again."""
    record = await an_open(db)
    _, code = await send_code(db, record)
    assert await use_code(db, record, code)
    assert not await use_code(db, record, code)


async def test_spaces_and_dashes_do_not_matter(db):
    """People type codes as they read them."""
    record = await an_open(db)
    _, code = await send_code(db, record)
    assert await use_code(db, record, f" {code[:3]}-{code[3:]} ")


async def test_a_code_dies_after_ten_minutes(db):
    """Good until then, worthless from then on."""
    record = await an_open(db)
    sent = datetime.now(UTC)
    _, code = await send_code(db, record, at=sent)
    assert not await use_code(db, record, code, at=sent + timedelta(minutes=10))
    assert await use_code(db, record, code, at=sent + timedelta(minutes=9, seconds=59))


async def test_five_tries_kill_a_code(db):
    """The sixth is refused although it is right; the fifth would have been good."""
    record = await an_open(db)
    _, code = await send_code(db, record)
    for _ in range(5):
        assert not await use_code(db, record, wrong(code))
    assert not await use_code(db, record, code)


async def test_the_fifth_try_may_be_right(db):
    """Four wrong ones leave one."""
    record = await an_open(db)
    _, code = await send_code(db, record)
    for _ in range(4):
        await use_code(db, record, wrong(code))
    assert await use_code(db, record, code)


async def test_twenty_wrong_guesses_at_once_burn_five_tries(db):
    """Each is counted, none twice, and the code is dead."""
    record = await an_open(db)
    _, code = await send_code(db, record)
    answers = await asyncio.gather(*(use_code(db, record, wrong(code)) for _ in range(20)))
    assert not any(answers)
    [row] = await all_rows(db, "SELECT tries, used_at FROM one_time_codes")
    assert (row.tries, row.used_at) == (5, None)
    assert not await use_code(db, record, code)


async def test_twenty_right_ones_at_once_are_good_once(db):
    """A code that is sent twice lets one in."""
    record = await an_open(db)
    _, code = await send_code(db, record)
    answers = await asyncio.gather(*(use_code(db, record, code) for _ in range(20)))
    assert sum(answers) == 1


async def test_only_the_newest_code_counts(db):
    """Whoever asks again has lost the one before, and it is not even delivered any more."""
    record = await an_open(db)
    first, old = await send_code(db, record)
    _, new = await send_code(db, record)
    assert not await use_code(db, record, old) or old == new
    assert await use_code(db, record, new)
    [row] = await all_rows(db, "SELECT id FROM deliveries WHERE facts ->> 'code_id' = :id", id=first)
    async with db.transaction() as tx:
        assert await unwanted(tx, [row.id]) == {row.id: "the code is not good any more"}


async def test_five_codes_an_hour_and_no_more(db):
    """Twenty who ask at once get five; an hour later there is one again, and others are not held back."""
    record = await an_open(db)
    answers = await asyncio.gather(*(send_code(db, record) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, tuple) for answer in answers) == 5
    assert all(isinstance(answer, tuple | Refused) for answer in answers)
    await send_code(db, record, recipient="alice", purpose=STEP_UP)
    await send_code(db, await an_open(db))
    await run(
        db,
        "UPDATE one_time_codes SET created_at = created_at - interval '1 hour' WHERE id = "
        "(SELECT min(id) FROM one_time_codes WHERE recipient = 'rita')",
    )
    await send_code(db, record)


async def test_a_code_is_nowhere_in_the_database(db):
    """Neither with its row, nor in the outbox or the audit; whoever has all tables can't use it."""
    record = await an_open(db)
    code_id, code = await send_code(db, record)
    tables = ["one_time_codes", "deliveries", "audit_events", "notifications"]
    for table in tables:
        rows = await all_rows(db, f"SELECT CAST(x AS text) AS row FROM {table} x")
        assert not [row for row in rows if f'"{code}"' in row.row or f" {code} " in row.row]
    [row] = await all_rows(db, "SELECT facts FROM deliveries WHERE kind = 'code_track'")
    assert row.facts["code_id"] == code_id
    assert "code" not in row.facts


async def test_another_secret_knows_no_code(db):
    """A copy of the database is worth nothing elsewhere."""
    record = await an_open(db)
    _, code = await send_code(db, record, secret=SessionSecret("another-secret-of-32-characters-or-more"))
    assert not await use_code(db, record, code)


@pytest.mark.parametrize(
    "typed", ["", "12345", "1234567", "abcdef", "１２３４５６", "12345\x00", "9" * 10_000]
)
async def test_garbage_is_a_wrong_try(db, typed):
    """It counts, and breaks nothing."""
    record = await an_open(db)
    await send_code(db, record)
    assert not await use_code(db, record, typed)
    [row] = await all_rows(db, "SELECT tries FROM one_time_codes")
    assert row.tries == 1


async def test_a_code_is_for_one_request_purpose_and_person(db):
    """Nobody else's, and nothing else."""
    record, other = await an_open(db), await an_open(db)
    _, code = await send_code(db, record, recipient="alice", purpose=STEP_UP)
    assert not await use_code(db, other, code, recipient="alice", purpose=STEP_UP)
    assert not await use_code(db, record, code, recipient="bob", purpose=STEP_UP)
    assert not await use_code(db, record, code, recipient="alice", purpose=CodePurpose.TRACK)
    assert await use_code(db, record, code, recipient="alice", purpose=STEP_UP)


async def test_a_code_goes_by_email_at_once_and_never_into_the_app(db):
    """Quiet hours do not hold it back: it would be dead in the morning."""
    await run(
        db,
        "UPDATE users SET quiet_hours = "
        """'[{"timeZone": "UTC", "schedules": [{"start": "00:00", "end": "24:00"}]}]' WHERE name = 'rita'""",
    )
    record = await an_open(db)
    await send_code(db, record)
    assert await told(db, record, "code_track") == [("code_track", "email", "rita")]
    [row] = await all_rows(db, "SELECT state FROM deliveries WHERE kind = 'code_track'")
    assert row.state == "pending"


async def test_without_an_address_it_goes_into_the_user_s_own_chat(db):
    """Never into the group; without either it is refused with what to do."""
    record = await an_open(db)
    await run(db, "UPDATE users SET email = NULL WHERE name = 'rita'")
    with pytest.raises(Refused, match="email"):
        await send_code(db, record)
    async with db.transaction() as tx:
        await dictionaries.set_channel(
            tx, tenant="acme", name="tg", kind="telegram", settings={"chat_id": "-100"}, actor="t",
            at=datetime.now(UTC),
        )  # fmt: skip
    await run(db, "UPDATE users SET telegram_chat = '4711' WHERE name = 'rita'")
    await send_code(db, record)
    [row] = await all_rows(db, "SELECT target FROM deliveries WHERE kind = 'code_track'")
    assert row.target == "4711"


async def test_strangers_and_those_who_left_get_none(db):
    """Only active users of the tenant."""
    record = await an_open(db)
    with pytest.raises(NotFound):
        await send_code(db, record, recipient="mallory")
    await run(db, "UPDATE users SET active = false WHERE name = 'rita'")
    with pytest.raises(InvalidInput):
        await send_code(db, record)


async def test_a_used_or_expired_code_is_not_delivered(db):
    """The message dies with the code, however long the provider was away."""
    record = await an_open(db)
    await send_code(db, record)
    [row] = await all_rows(db, "SELECT id FROM deliveries WHERE kind = 'code_track'")
    async with db.transaction() as tx:
        assert await unwanted(tx, [row.id]) == {row.id: ""}
    await run(db, "UPDATE one_time_codes SET expires_at = now()")
    async with db.transaction() as tx:
        assert (await unwanted(tx, [row.id]))[row.id]


async def bind(db, record, decision="dc_1", at=None):
    """Let a used step-up code of alice's stand for a decision."""
    async with db.transaction() as tx:
        return await codes.bind_step_up(
            tx, request_id=record.request.id, approver="alice", decision_id=decision,
            now=at or datetime.now(UTC),
        )  # fmt: skip


async def test_a_step_up_is_good_for_one_decision_and_ten_minutes(db):
    """Used, once, by the approver, and lately."""
    record = await an_open(db)
    _, code = await send_code(db, record, recipient="alice", purpose=STEP_UP)
    assert not await bind(db, record)
    assert await use_code(db, record, code, recipient="alice", purpose=STEP_UP)
    assert not await bind(db, record, at=datetime.now(UTC) + timedelta(minutes=10))
    assert sorted(await asyncio.gather(*(bind(db, record, f"dc_{n}") for n in range(10)))) == [False] * 9 + [
        True
    ]


async def test_only_what_ended_an_hour_ago_is_removed(db):
    """A used step-up stays for as long as a decision may need it; what is left counts for the limit."""
    record = await an_open(db)
    _, code = await send_code(db, record, recipient="alice", purpose=STEP_UP)
    await use_code(db, record, code, recipient="alice", purpose=STEP_UP)
    await send_code(db, record, at=ago(minutes=69))
    await send_code(db, await an_open(db), at=ago(minutes=71))
    async with db.transaction() as tx:
        assert await codes.remove_ended(tx, now=datetime.now(UTC), limit=10) == 1
    assert len(await all_rows(db, "SELECT 1 FROM one_time_codes")) == 2


async def test_what_was_sent_and_used_is_in_the_audit_chain(db):
    """Who, what for, by which channel; a wrong try is no step."""
    record = await an_open(db)
    code_id, code = await send_code(db, record, recipient="alice", purpose=STEP_UP)
    await use_code(db, record, wrong(code), recipient="alice", purpose=STEP_UP)
    await use_code(db, record, code, recipient="alice", purpose=STEP_UP)
    rows = await all_rows(
        db, "SELECT kind, actor, body FROM audit_events WHERE kind LIKE 'code.%' ORDER BY seq"
    )
    assert [(row.kind, row.actor) for row in rows] == [("code.sent", "alice"), ("code.used", "alice")]
    assert all(code_id in row.body for row in rows)


async def test_asking_and_trying_at_once_never_block_each_other(db):
    """Fifty times: every code and try is answered, none by a deadlock."""
    for _ in range(50):
        record = await an_open(db)
        await send_code(db, record)
        _, code = await send_code(db, record)
        answers = await asyncio.gather(
            send_code(db, record),
            use_code(db, record, code),
            send_code(db, record),
            use_code(db, record, code),
        )
        assert sum(answer is True for answer in answers) <= 1
