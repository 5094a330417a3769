"""Every command of docs/runbooks, in its order, against a running stack in the trouble that it is for."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.local.stacks import PATIENCE, ROOT, Up, environment, mintkeeper, until
from tests.support import nursery

PAGES = ROOT / "docs" / "runbooks"
BLOCK = re.compile(r"^(?P<margin> *)```(?P<kind>\w*)\n(?P<commands>.*?)^(?P=margin)```$", re.M | re.S)
POLICY = "acme-mint-default-1"
IMPATIENT = "acme-impatient-1"
"""A policy that gives a message up after its first attempt."""

LINK = re.compile(r"http\S+/acks/[\w=-]+")


class Runbook:
    """A page: its blocks are run one after the other, as an operator pastes them."""

    def __init__(self, name: str, stack: "Stack", desktop: Path, command_nursery: Path) -> None:
        found = list(BLOCK.finditer((PAGES / name).read_text()))
        assert {block["kind"] for block in found} == {"sh"}
        self._blocks = [textwrap.dedent(block["commands"]) for block in found]
        self._desktop = desktop
        self._values = {"ADMIN": "adam", "WEB_URL": stack.web_url}
        (desktop / ".mintkeeper").symlink_to(stack.up.data_dir)
        shim = desktop / "bin" / "mintkeeper"
        shim.parent.mkdir()
        shim.write_text(nursery.shim(command_nursery))
        shim.chmod(0o755)

    def knows(self, **values: str) -> None:
        """What the operator has read off and fills in from now on."""
        self._values |= values

    def paste(self) -> str:
        """Run the next block; a command that fails, or a name that nobody has filled in, ends it."""
        block = self._blocks.pop(0)
        path = f"{self._desktop / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self._desktop,
            env=environment() | self._values | {"PATH": path, "COLUMNS": "300"},
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        return done.stdout

    def is_done(self) -> bool:
        """Nothing on the page was left out."""
        return not self._blocks


class Stack:
    """A real stack, with what a scenario needs of it."""

    def __init__(self, up: Up) -> None:
        self.up = up
        document = up.document()
        self.web_url = document["web_url"]
        self.providers = httpx.Client(base_url=document["providers_url"])

    def run(self, *arguments: str, code: int = 0) -> dict:
        return mintkeeper(*arguments, data_dir=self.up.data_dir, code=code)

    def submit(self) -> str:
        """A request that waits for its approvers."""
        options = ("--amount", "12", "--topic", "treasury-eu", "--requester", "rita")
        return self.run("submit", *options)["id"]

    def deliveries(self, *options: str) -> list[dict]:
        return self.run("deliveries", "list", *options)["deliveries"]

    def to_slack(self, request: str, state: str) -> dict:
        """The request's message for Slack, once it has come to this state."""
        options = ("--request", request, "--channel", "slack-mint", "--state", state)
        return until(lambda: self.deliveries(*options), f"a delivery of {request} is {state}")[0]

    def fault(self, **fault) -> None:
        self.providers.post("/faults", json=fault).raise_for_status()

    def mend(self) -> None:
        self.providers.delete("/faults").raise_for_status()

    def link(self, delivery: str) -> str:
        """The acknowledgement link in the message as its provider got it."""
        received = self.providers.get("/messages").json()
        texts = [one["text"] for one in received if one["delivery_id"] == delivery]
        return LINK.search(texts[-1])[0]


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Stack]:
    """A stack of its own: its providers fail, its channels crawl and its keys are dropped."""
    with Up(tmp_path_factory.mktemp("runbooks") / "data") as up:
        running = Stack(up)
        yield running
        running.providers.close()


@pytest.fixture
def page(stack, tmp_path, command_nursery):
    """Open a page by its name; at the end of the test all of it must have been run."""
    opened = []

    def turn_to(name: str) -> Runbook:
        opened.append(Runbook(name, stack, tmp_path, command_nursery))
        return opened[-1]

    yield turn_to
    assert all(book.is_done() for book in opened)


def test_policy_change(stack, page, tmp_path):
    """Checked, simulated, published, switched to, switched back, deleted."""
    book = page("policy-change.md")
    book.knows(OLD=POLICY, NEW="acme-quick-1", EDITOR=str(editor(tmp_path, POLICY, "acme-quick-1")))
    assert POLICY in book.paste()
    book.paste()
    assert "#treasury-leads" in book.paste()
    assert (tmp_path / "new-policy.svg").read_text().lstrip().startswith("<")
    book.paste()
    book.knows(REQUEST=(request := stack.submit()))
    assert re.search(r"policy id +acme-quick-1", book.paste())
    book.paste()
    assert stack.run("policy", "show", POLICY)["current"]
    refused = stack.run("policy", "delete", "acme-quick-1", "--as", "adam", code=1)["error"]
    assert request in refused["message"]
    stack.run("escalation", "cancel", request, "--as", "adam", "--reason", "to delete its policy")
    book.knows(RETIRED="acme-quick-1")
    assert "deleted" in book.paste()


def editor(desktop: Path, old: str, new: str) -> Path:
    """An editor that gives the policy in its file another id."""
    program = desktop / "editor"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"file = pathlib.Path(sys.argv[1])\nfile.write_text(file.read_text().replace({old!r}, {new!r}))\n"
    )
    program.chmod(0o755)
    return program


def test_provider_outage(stack, page, tmp_path):
    """A message that Slack refuses is dead, goes by mail, and is sent once Slack is back."""
    impatient(stack, tmp_path)
    stack.fault(provider="slack", kind="500", count=1000)
    requests = [stack.submit() for _ in range(2)]
    dead = [stack.to_slack(request, "dead")["id"] for request in requests]
    mails = until(lambda: stack.deliveries("--request", requests[0], "--channel", "email"), "mails go out")
    assert {mail["fallback_of"] for mail in mails} == {dead[0]}
    book = page("provider-outage.md")
    book.knows(DELIVERY=dead[0], REQUEST=requests[0], CHANNEL="slack-mint")
    looked = book.paste()
    assert "notify_dead_letters 2.0" in looked
    assert dead[1][:12] in looked
    assert "fallback for #mint over slack-mint" in book.paste()
    assert requests[0] in book.paste()
    stack.mend()
    book.paste()
    stack.to_slack(requests[0], "accepted")
    assert "1 dead" in book.paste()
    stack.to_slack(requests[1], "accepted")
    assert "notify_dead_letters 0.0" in book.paste()
    stack.run("policy", "switch", POLICY, "--as", "adam")


def impatient(stack: Stack, desktop: Path) -> None:
    """New requests get a policy that tries once."""
    policy = stack.run("policy", "show", POLICY) | {"id": IMPATIENT, "retry": {"maxAttempts": 1}}
    file = desktop / "impatient.json"
    file.write_text(json.dumps(policy))
    stack.run("policy", "publish", str(file), "--as", "adam")
    stack.run("policy", "switch", IMPATIENT, "--as", "adam")


def test_storm(stack, page):
    """A channel is slowed down, an event made quieter, a run stopped; all of it is taken back."""
    event = "submission.stalled"
    run = stack.submit()
    book = page("storm.md")
    book.knows(CHANNEL="slack-mint", GROUP="#mint", EVENT=event, RUN=run)
    assert run in book.paste()
    book.paste()
    assert stack.run("channel", "show", "slack-mint")["settings"]["per_minute"] == 30
    book.paste()
    assert stack.run("event-rule", "show", event)["action"] == "inform"
    book.paste()
    assert re.search(r"state +cancelled", book.paste())
    book.paste()
    assert stack.run("escalation", "show", run)["state"] == "running"
    assert stack.run("channel", "show", "slack-mint")["settings"] == {"channel": "#mint"}
    assert stack.run("event-rule", "show", event, code=1)["error"]["code"] == "not_found"


def test_leaked_ack_token(stack, page):
    """The link that a stranger has used is worthless, and the stages to come run again."""
    request = stack.submit()
    delivery = stack.to_slack(request, "accepted")["id"]
    link = stack.link(delivery)
    stack.run("ack", link)
    other = stack.submit()
    unused = stack.link(stack.to_slack(other, "accepted")["id"])
    book = page("leaked-ack-token.md")
    book.knows(REQUEST=request, DELIVERY=delivery)
    [ack] = stack.run("escalation", "show", request)["acks"]
    assert ack["token_sha256"] in book.paste()
    assert ack["token_sha256"] in book.paste()
    book.paste()
    assert "revoked" in stack.run("ack", link, code=1)["error"]["message"]
    book.paste()
    assert "worthless" in book.paste()
    book.paste()
    assert stack.run("escalation", "show", request)["acknowledged_at"] is None
    assert stack.run("ack", unused, code=1)["error"]["code"] == "ack_refused"


def test_key_rotation(stack, page, tmp_path):
    """The authority has a new key, and a person decides with a new one only."""
    [old] = stack.run("user", "show", "alice")["keys"]
    request = stack.submit()
    key_file = tmp_path / "alice-new.pem"
    book = page("key-rotation.md")
    book.knows(USER_NAME="alice", KEY_FILE=str(key_file), REQUEST=request, OLD_KEY=old)
    for _ in range(4):
        book.paste()
    assert old in book.paste()
    made = book.paste()
    book.knows(PUBLIC_KEY=re.search(r"public key +([0-9a-f]{64})", made)[1])
    book.paste()
    book.paste()
    assert old not in book.paste()
    assert stack.run("approve", request, "--as", "alice", code=1)["error"]


def test_every_page_is_run():
    """A new page needs a scenario, and is in the list of pages."""
    names = {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    scenarios = {name.removeprefix("test_").replace("_", "-") + ".md" for name in globals()}
    assert names <= scenarios
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", (PAGES / "README.md").read_text())) == names
