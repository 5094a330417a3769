"""`user invite / password / reset-totp / token / tokens / sessions`: secrets print once, all is audited."""

import json

import pyotp
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli import app
from db import reads
from domain.passes import SessionSecret
from starter.account_care import set_password
from starter.accounts import Accounts, NeedsCode
from tests.support.talk import SECRET_TEXT

LONG = "three quiet river stones"


def accounts(seeded):
    """The accounts of the seeded database."""
    return Accounts(seeded.database, SessionSecret(SECRET_TEXT))


async def told(seeded, kind):
    """The audit events of a kind: (actor, details)."""
    async with seeded.database.transaction() as tx:
        bodies = [json.loads(one.body) for one in await reads.audit_events(tx, "acme")]
    return [(body["actor"], body["details"]) for body in bodies if body["kind"] == kind]


async def test_an_invitation_is_a_link_that_is_good_once(desk, seeded):
    """The link leads to the public address; the database keeps a hash, the audit chain the name."""
    options = ("--tenant", "acme", "--as", "adam", "--json")
    made = await desk("user", "invite", "rita", *options, MINTKEEPER_PUBLIC_URL="https://mint.example/")
    link = made.json["link"]
    assert link.startswith("https://mint.example/invitations/")
    secret = link.rpartition("/")[2]
    assert await accounts(seeded).accept_invitation(secret, LONG) == ("acme", "rita")
    async with seeded.database.transaction() as tx:
        kept = await tx.rows(text("SELECT * FROM invitations"))
    assert secret not in str(kept)
    assert await told(seeded, "accounts.invited") == [("adam", {"name": "rita"})]


async def test_a_password_comes_by_stdin_or_prompt_and_is_no_argument(desk, seeded):
    """`--stdin` takes the first line; what can't be a password is refused, and nothing is written."""
    whose = ("--tenant", "acme", "--as", "adam")
    refused = await desk("user", "password", "rita", "secret words", *whose)
    assert refused.code == 2
    short = await desk("user", "password", "rita", "--stdin", "--json", *whose)
    assert (short.code, short.error["code"]) == (1, "invalid_input")
    assert await told(seeded, "accounts.password") == []


@pytest.mark.parametrize(("options", "typed"), [(["--stdin"], f"{LONG}\n"), ([], f"{LONG}\n{LONG}\n")])
def test_a_password_is_read_where_nobody_else_sees_it(seeded, tmp_path, environment, options, typed):
    """By `--stdin` or twice at the prompt; it shows in no output."""
    command = ["user", "password", "rita", *options, "--tenant", "acme", "--data-dir", str(tmp_path)]
    done = CliRunner().invoke(
        app, command, input=typed, env={**environment, "MINTKEEPER_DATABASE_URL": seeded.url}
    )
    assert (done.exit_code, LONG in done.output) == (0, False)


async def test_a_token_acts_for_its_user_until_it_is_ended(desk, seeded):
    """Printed once, listed without its secret, ended by its id; each audited in the name of who did it."""
    whose = ("--tenant", "acme", "--as", "adam")
    made = (await desk("user", "token", "rita", "--label", "nightly", "--days", "7", "--json", *whose)).json
    person = await accounts(seeded).person(made["token"])
    assert (person.name, person.kind, person.amr) == ("rita", "token", ("token",))
    listed = await desk("user", "tokens", "rita", "--json", *whose)
    [one] = listed.json["tokens"]
    assert (one["label"], one["amr"]) == ("nightly", "token")
    assert made["token"] not in listed.out
    assert (await desk("user", "sessions", "rita", "--json", *whose)).json == {"sessions": []}
    missing = await desk("user", "tokens", "rita", "--end", "ws_nothing", "--json", *whose)
    assert missing.error["code"] == "not_found"
    assert (await desk("user", "tokens", "rita", "--end", one["id"], "--json", *whose)).json["ended"] == 1
    assert await accounts(seeded).person(made["token"]) is None
    assert [actor for actor, _ in await told(seeded, "sessions.opened")] == ["adam"]
    assert await told(seeded, "sessions.ended") == [("adam", {"name": "rita", "count": 1})]


async def test_browsers_are_listed_and_signed_out(desk, seeded):
    """All at once; tokens stay."""
    whose = ("--tenant", "acme", "--as", "adam")
    opened = [await accounts(seeded).open_session("acme", "alice", ("pwd",), label="x") for _ in range(2)]
    token = (await desk("user", "token", "alice", "--json", *whose)).json["token"]
    assert len((await desk("user", "sessions", "alice", "--json", *whose)).json["sessions"]) == 2
    assert (await desk("user", "sessions", "alice", "--end-all", "--json", *whose)).json["ended"] == 2
    assert [await accounts(seeded).person(one.token) for one in opened] == [None, None]
    assert await accounts(seeded).person(token) is not None


async def test_an_authenticator_is_forgotten(desk, seeded):
    """Afterwards the password alone is enough, until they set up another one."""
    mine = accounts(seeded)
    await set_password(seeded.database, "acme", "alice", LONG, actor="setup")
    person = await mine.person((await mine.open_session("acme", "alice", ("pwd",))).token)
    uri = await mine.authenticators.begin(person)
    await mine.authenticators.confirm(person, pyotp.parse_uri(uri).now())
    assert isinstance(await mine.sign_in("acme", "alice", LONG, address="x"), NeedsCode)
    options = ("--tenant", "acme", "--as", "adam", "--json")
    assert (await desk("user", "reset-totp", "alice", *options)).json["removed"] is True
    assert (await desk("user", "reset-totp", "alice", *options)).json["removed"] is False
    assert not isinstance(await mine.sign_in("acme", "alice", LONG, address="x"), NeedsCode)
    assert await told(seeded, "accounts.totp") == [
        ("alice", {"name": "alice", "set": True}),
        ("adam", {"name": "alice", "set": False}),
    ]


async def test_whoever_is_unknown_or_gone_gets_nothing(desk, seeded):
    """An unknown user is a 'not found'; who has left gets no token."""
    whose = ("--tenant", "acme", "--as", "adam", "--json")
    for words in (["invite"], ["token"], ["tokens"], ["sessions"], ["reset-totp"]):
        assert (await desk("user", *words, "nobody", *whose)).error["code"] == "not_found"
    await desk("user", "remove", "bob", *whose)
    assert (await desk("user", "token", "bob", *whose)).error["code"] == "refused"
    assert (await desk("user", "token", "alice", "--days", "0", *whose)).code == 2
