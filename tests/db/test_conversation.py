"""Messages: who may say what, who is told, and what moves the clock."""

import asyncio
from datetime import UTC, datetime

import pytest

from db import reads
from db.reads import conversation as talk
from db.writes import dictionaries, requests
from domain.errors import IdempotencyConflict, InvalidInput, NotFound, Refused
from tests.db.acts import expire
from tests.support.talk import all_rows, an_open, held, inbox, run, say, told


@pytest.fixture
def db(seeded):
    """The demo tenant's database."""
    return seeded.database


async def give(db, record, name="carol"):
    """Let somebody have the request."""
    async with db.transaction() as tx:
        return await requests.set_assignee(
            tx, record=await held(tx, record), assignee=name, actor=name, at=datetime.now(UTC),
            step=f"claim:{name}", kind="request.claim", only_if_unassigned=True,
        )  # fmt: skip


async def comment(db, record, author="alice", text="looking", comment_id="c1"):
    """The step of the workflow."""
    async with db.transaction() as tx:
        return await requests.add_comment(
            tx, record=await held(tx, record), author=author, text=text, at=datetime.now(UTC),
            comment_id=comment_id,
        )  # fmt: skip


async def now(db, record):
    """The request as it stands."""
    async with db.transaction() as tx:
        return await reads.request(tx, record.request.id)


async def test_a_client_s_message_tells_the_approvers_of_the_topic_in_the_app(db):
    """Nobody has the request: those who could take it see the words, and nobody gets mail."""
    record = await an_open(db)
    assert await say(db, record, said="when?")
    found = await inbox(db, record, "MESSAGE")
    assert found == [("ADMIN_USER", name, "rita: when?") for name in ("alice", "bob", "carol", "dave")]
    assert {kind for _, kind, _ in await told(db, record, "message")} == {"in-app"}


async def test_a_client_s_message_tells_whoever_has_the_request_and_the_telegram_group_once(db):
    """The assignee in the app and by email, the group once, and nobody else."""
    record = await an_open(db)
    await give(db, record)
    async with db.transaction() as tx:
        await dictionaries.set_channel(
            tx, tenant="acme", name="tg", kind="telegram", settings={"chat_id": "-100"}, actor="t",
            at=datetime.now(UTC),
        )  # fmt: skip
    await say(db, record)
    assert await told(db, record, "message") == [
        ("message", "email", "carol"), ("message", "in-app", "carol"), ("message", "telegram", "-100"),
    ]  # fmt: skip


async def test_an_assignee_who_has_left_is_not_counted_on(db):
    """An inactive assignee reads nothing, so the approvers of the topic are told."""
    record = await an_open(db)
    await give(db, record)
    await run(db, "UPDATE users SET active = false WHERE name = 'carol'")
    await say(db, record)
    assert [name for _, name, _ in await inbox(db, record, "MESSAGE")] == ["alice", "bob", "dave"]


async def test_a_comment_of_the_desk_tells_the_client_in_the_app_and_by_email(db):
    """Under the track number, and to the requester's address."""
    record = await an_open(db)
    await comment(db, record, text="which cost centre?")
    track = record.request.track_number
    assert await inbox(db, record, "MESSAGE") == [("CLIENT", track, "alice: which cost centre?")]
    assert await told(db, record, "message") == [("message", "email", "rita"), ("message", "in-app", "rita")]


async def test_a_client_can_not_postpone_the_escalation(db):
    """Neither version nor activity moves, whichever way the words come; the desk's do."""
    record = await an_open(db)
    await say(db, record)
    await comment(db, record, author="rita", comment_id="c2")
    stands = await now(db, record)
    assert (stands.version, stands.last_activity_at) == (record.version, record.last_activity_at)
    await comment(db, record, author="alice", comment_id="c3")
    assert (await now(db, record)).last_activity_at > record.last_activity_at


async def test_a_requester_who_writes_the_own_name_in_capitals_is_the_client(db):
    """`RITA` is no second person, and no user of that name exists."""
    record = await an_open(db)
    with pytest.raises(NotFound):
        await say(db, record, author="RITA")


async def test_both_sides_can_write_after_the_end(db):
    """The conversation outlives the request; nothing of the request changes."""
    record = await an_open(db)
    async with db.transaction() as tx:
        ended = await expire(tx, await held(tx, record))
    await say(db, record, message_id="ms_1")
    await comment(db, record, comment_id="ms_2")
    assert await now(db, record) == ended
    async with db.transaction() as tx:
        found = await talk.messages(tx, record.request.id)
    assert [(one.author, one.author_kind) for one in found] == [("rita", "CLIENT"), ("alice", "ADMIN_USER")]


async def test_the_same_message_again_is_one_message(db):
    """Repeated, or twenty times at once: one row, one audit event, one notification each."""
    record = await an_open(db)
    written = await asyncio.gather(*(say(db, record) for _ in range(20)))
    assert sorted(written) == [False] * 19 + [True]
    assert len(await all_rows(db, "SELECT 1 FROM comments")) == 1
    assert len(await inbox(db, record, "MESSAGE")) == 4
    assert len(await all_rows(db, "SELECT 1 FROM audit_events WHERE kind = 'comment.added'")) == 1


async def test_an_id_that_stands_for_something_else_is_refused(db):
    """Other words, another author, or another request under the same id."""
    record, other = await an_open(db), await an_open(db)
    await say(db, record)
    with pytest.raises(IdempotencyConflict):
        await say(db, record, said="other")
    with pytest.raises(IdempotencyConflict):
        await say(db, record, author="alice")
    with pytest.raises(Refused):
        await say(db, other)


@pytest.mark.parametrize("words", ["", "  \n", "x" * 2001, "a\x00b", "a\x1b[2J", "\ud800"])
async def test_what_is_no_message_is_refused(db, words):
    """Empty, too long, or with characters that harm a terminal or a database."""
    record = await an_open(db)
    with pytest.raises(InvalidInput):
        await say(db, record, said=words)


async def test_a_stranger_or_somebody_who_has_left_says_nothing(db):
    """Only active users of the request's tenant."""
    record = await an_open(db)
    with pytest.raises(NotFound):
        await say(db, record, author="mallory")
    await run(db, "UPDATE users SET active = false WHERE name = 'alice'")
    with pytest.raises(InvalidInput):
        await say(db, record, author="alice")


async def test_a_rollback_leaves_no_word_and_tells_nobody(db):
    """Message, audit and outbox stand or fall together."""
    record = await an_open(db)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            from db.writes import conversation

            await conversation.say(
                tx, record=await held(tx, record), author="rita", text="x", message_id="ms_1",
                at=datetime.now(UTC),
            )  # fmt: skip
            raise ZeroDivisionError
    assert await told(db, record, "message") == await inbox(db, record, "MESSAGE") == []
    assert await all_rows(db, "SELECT 1 FROM comments") == []
    assert await say(db, record)


async def test_a_hundred_messages_keep_their_order_and_are_a_hundred_notifications(db):
    """Nothing is merged away by a key that is too coarse."""
    record = await an_open(db)
    for number in range(100):
        await say(db, record, said=f"number {number}", message_id=f"ms_{number:03}")
    async with db.transaction() as tx:
        found = await talk.messages(tx, record.request.id)
    assert [one.text for one in found] == [f"number {number}" for number in range(100)]
    assert len(await inbox(db, record, "MESSAGE")) == 400


async def test_more_than_two_hundred_an_hour_are_refused(db):
    """A client's messages are told to people; the desk has no such limit."""
    record = await an_open(db)
    await run(
        db,
        "INSERT INTO comments (id, request_id, author, author_kind, text, at) "
        "SELECT 'ms_' || n, :id, 'rita', 'CLIENT', 'x', now() FROM generate_series(1, 200) n",
        id=record.request.id,
    )
    with pytest.raises(Refused):
        await say(db, record, message_id="one-more")
    assert await say(db, record, author="alice", message_id="two-more")


async def test_users_of_the_same_name_in_two_tenants_see_nothing_of_each_other(db):
    """The in-app list of a tenant's user holds that tenant's messages only."""
    record = await an_open(db)
    await say(db, record)
    async with db.transaction() as tx:
        at = datetime.now(UTC)
        await dictionaries.set_tenant(tx, tenant="other", name="Other", actor="t", at=at)
        ours = await reads.notifications_for(tx, "alice", "acme")
        theirs = await reads.notifications_for(tx, "alice", "other")
    assert [one.event for one in ours].count("MESSAGE") == 1
    assert theirs == []
