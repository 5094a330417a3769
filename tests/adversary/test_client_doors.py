"""What a client's way in lets through: people who have left, what operators read, and legal messages."""

import json

import pytest

from tests.support.documents import PDF
from tests.support.talk import all_rows, run
from tests.web.test_track import announce, db, log_in, newest_code, path, problem, record, web

__all__ = ["db", "record", "web"]


async def leave(db):
    """The client is a user no more."""
    await run(db, "UPDATE users SET active = false WHERE name = 'rita'")


async def test_a_pass_ends_when_its_bearer_leaves(web, db, record):
    """Nothing can be read, said or handed in with it, and a stored document can't be downloaded."""
    me = await log_in(web, db, record)
    document = (await announce(web, record, me)).json()["upload"]
    assert (await web.put(document, content=PDF, headers=me)).status_code == 200
    waiting = (await announce(web, record, me)).json()["upload"]
    await leave(db)
    for method, place in (
        ("GET", path(record)),
        ("GET", document),
        ("PUT", waiting),
        ("POST", path(record, "/messages")),
        ("POST", path(record, "/attachments")),
    ):
        problem(await web.request(method, place, headers=me), 403, reason="other_subject")


async def test_a_code_is_worth_nothing_to_a_client_who_has_left_since(web, db, record):
    """As if there were no such request."""
    await web.post(path(record, "/code"))
    code = await newest_code(db)
    await leave(db)
    problem(await web.post(path(record, "/session"), json={"code": code}), 403, reason="wrong_code")


async def test_a_key_stands_for_one_document_and_not_for_its_next_version(web, db, record):
    """Same name, same size, another hash: a conflict, not the answer that the first one is stored."""
    me = await log_in(web, db, record) | {"Idempotency-Key": "once"}
    first = await announce(web, record, me, sha256="a" * 64)
    assert (await announce(web, record, me, sha256="a" * 64)).json() == first.json()
    assert (await announce(web, record, me)).json() == first.json()
    problem(await announce(web, record, me, sha256="b" * 64), 409, "idempotency_conflict")


@pytest.mark.parametrize("char", ["x", "é", "漢", "😀"])
async def test_two_thousand_characters_are_a_message_however_json_spells_them(web, db, record, char):
    """Escaped, one character beyond the basic plane takes twelve bytes."""
    me = await log_in(web, db, record)
    body = json.dumps({"text": char * 2000})
    assert (await web.post(path(record, "/messages"), content=body, headers=me)).status_code == 201
    body = json.dumps({"text": char * 2001})
    problem(await web.post(path(record, "/messages"), content=body, headers=me), 400, "invalid_input")


async def test_clients_do_not_read_where_the_storage_is(web, db, record, tmp_path):
    """That it is away they hear; directories, hosts and settings are for operators."""
    me = await log_in(web, db, record)
    document = (await announce(web, record, me)).json()["upload"]
    (tmp_path / "documents").write_text("in the way")
    answer = await web.put(document, content=PDF, headers=me)
    problem(answer, 500, "configuration")
    assert str(tmp_path) not in answer.text
    assert "MINTKEEPER" not in answer.text
    [row] = await all_rows(db, "SELECT state FROM attachments")
    assert row.state == "pending"


async def test_clients_do_not_read_what_a_store_answered(web, db, record, tmp_path):
    """Once it was reachable, and then its place is taken by something else."""
    me = await log_in(web, db, record)
    documents = [(await announce(web, record, me)).json()["upload"] for _ in range(2)]
    await web.put(documents[0], content=PDF, headers=me)
    (tmp_path / "documents").rename(tmp_path / "elsewhere")
    (tmp_path / "documents").write_text("in the way")
    for answer in (
        await web.put(documents[1], content=PDF, headers=me),
        await web.get(documents[0], headers=me),
    ):
        problem(answer, 503, "unavailable")
        assert str(tmp_path) not in answer.text
