"""`absence`: set, listed, shown, ended; and what `audit verify` and `show` make of it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.db.test_absences import a_pending, decide

TENANT = ("--tenant", "acme")


def moment(**delta):
    """A moment from now on, as people write it."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat(timespec="seconds")


def send_away(admin, user="carol", *options, until=None):
    """Run `absence set --json`."""
    given = ["absence", "set", "--as", user, "--until", until or moment(days=1), *TENANT, *options, "--json"]
    return admin(*given)


def test_an_absence_from_its_beginning_to_its_end(admin):
    """Set with a delegate, listed, shown with its proof, ended once."""
    made = send_away(admin, "carol", "--delegate", "dave", "--reason", "holiday")
    assert made.code == 0, made.err
    document = made.json
    assert (document["user"], document["delegate"], document["state"]) == ("carol", "dave", "away")
    listed = admin("absence", "list", *TENANT, "--json").json["absences"]
    assert [one["id"] for one in listed] == [document["id"]]
    assert admin("absence", "list", "--user", "bob", *TENANT, "--json").json["absences"] == []
    shown = admin("absence", "show", document["id"], *TENANT, "--json").json
    assert shown["proof"] == "signed by carol"
    assert "dave decides for carol" in admin("absence", "show", document["id"], *TENANT).out
    ended = admin("absence", "end", document["id"], "--as", "carol", *TENANT, "--json").json
    assert (ended["state"], ended["ended_by"]) == ("over", "carol")
    assert admin("absence", "list", *TENANT, "--json").json["absences"] == []
    assert len(admin("absence", "list", "--past", *TENANT, "--json").json["absences"]) == 1
    again = admin("absence", "end", document["id"], "--as", "carol", *TENANT, "--json")
    assert (again.code, again.error["code"]) == (1, "refused")


def test_an_admin_sends_somebody_away(admin):
    """For somebody ill, with --for; anybody else is refused."""
    assert send_away(admin, "adam", "--for", "carol", "--delegate", "bob").json["set_by"] == "adam"
    other = send_away(admin, "bob", "--for", "alice")
    assert (other.code, other.error["reason"]) == (1, "not_entitled")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--from", "2020-01-01T00:00:00Z"], "from"),
        (["--from", "tomorrow"], "start"),
        (["--delegate", "rita"], "delegate"),
        (["--delegate", "carol"], "delegate"),
    ],
)
def test_bad_input_names_its_field(admin, options, field):
    """One line, and nothing is set."""
    result = send_away(admin, "carol", *options)
    assert (result.code, result.error["code"], result.error["field"]) == (1, "invalid_input", field)
    assert admin("absence", "list", *TENANT, "--json").json["absences"] == []


def test_warnings_of_a_delegate_who_is_away_too(admin):
    """Carol's authority goes to dave and no further, so nobody of tier 2 or above remains."""
    alone = send_away(admin, "dave", until=moment(hours=2))
    assert alone.code == 0, alone.err
    made = send_away(admin, "carol", "--delegate", "dave", until=moment(hours=3))
    away, short = made.json["warnings"]
    assert "dave is away too" in away
    assert "none of tier 2 or above" in short
    assert made.err == f"warning: {away}\nwarning: {short}\n"


def test_a_warning_when_too_few_approvers_remain(admin):
    """Alice and bob can be spared one at a time: the third absence leaves one approver of two."""
    assert send_away(admin, "alice", until=moment(hours=2)).json["warnings"] == []
    assert send_away(admin, "bob", until=moment(hours=2)).json["warnings"] == []
    [warning] = send_away(admin, "carol", until=moment(hours=1)).json["warnings"]
    assert "while carol is away: approval rule 20 can never be satisfied" in warning
    later = ["--from", moment(hours=2), "--delegate", "dave"]
    assert send_away(admin, "carol", *later, until=moment(hours=3)).json["warnings"] == []


async def test_what_a_delegate_decided_is_shown_and_proven_offline(desk, seeded, tmp_path):
    """`show` names both, and the exported chain proves it without a database."""
    made = await desk(
        "absence", "set", "--as", "carol", "--until", moment(days=1), "--delegate", "bob", *TENANT, "--json"
    )
    assert made.code == 0, made.err
    record = await a_pending(seeded)
    await decide(seeded, record, "bob")
    [approval] = (await desk("show", record.request.id, "--json")).json["approvals"]
    assert (approval["approver"], approval["on_behalf_of"], approval["tier"]) == ("bob", "carol", 2)
    panel = (await desk("show", record.request.id)).out
    assert "bob (for carol, tier 2)" in panel
    assert "onBehalfOf carol" in panel
    file = tmp_path / "chain.jsonl"
    await desk("audit", "export", str(file), *TENANT)
    verified = await desk("audit", "verify", str(file), "--json", MINTKEEPER_DATABASE_URL="")
    assert (verified.code, verified.json["delegated"]) == (0, 1)


def test_a_chain_with_an_unproven_delegation_fails(admin, seeded, tmp_path):
    """Sound hashes are not enough: whoever rewrites the whole chain lacks the approver's key."""
    from domain.audit import event_hash

    file = tmp_path / "chain.jsonl"
    admin("audit", "export", str(file), *TENANT)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    last = events[-1]
    lent = {"onBehalfOf": "carol", "absence": "abs_", "tier": 2, "judgedAt": moment(), "envelope": {}}
    decision = {"kind": "decision.approve", "actor": "bob", "requestId": "mr_1", "at": moment(), "step": "x"}
    body = json.dumps({"tenant": "acme", "seq": last["seq"] + 1, **decision, "details": lent})
    forged = {"tenant": "acme", "seq": last["seq"] + 1, "prev_hash": last["hash"], "body": body}
    forged["hash"] = event_hash(last["hash"], body)
    file.write_text("".join(json.dumps(event) + "\n" for event in [*events, forged]))
    result = admin("audit", "verify", str(file), "--json")
    assert (result.code, result.error["code"]) == (1, "decision_unproven")
    assert result.error["faults"] == [result.error["message"]]
