"""Starting up: help is instant, every command says what it does, and the exit code is always right."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from cli import app
from tests.cli.conftest import ROOT

HEAVY = {"temporalio", "sqlalchemy", "pydantic", "stellar_sdk", "rich.console", "cryptography", "aiohttp"}


def test_nothing_heavy_is_imported_before_a_command_runs():
    """`--help` answers at once, since each command loads what it needs by itself."""
    code = "import sys, cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "commands.requests" in done.stdout.split()
    assert HEAVY.isdisjoint(done.stdout.split())


def leaves(group, path=()):
    """Every command below a group, with its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves(typer.main.get_command(app)))


@pytest.mark.parametrize("words", sorted(COMMANDS), ids=" ".join)
def test_every_command_says_what_it_does_and_takes_the_shared_options(words):
    """After its name each command takes --data-dir and --json, and its help is a sentence."""
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert {"--data-dir", "--json"} <= set(shown.stdout.split())
    assert COMMANDS[words].help.split(".")[0]


def test_the_promised_commands_are_there():
    """The table of commands, as far as this release goes."""
    names = {" ".join(words) for words in COMMANDS}
    promised = ["submit", "list", "show", "watch", "approve", "reject", "cancel", "resolve", "claim"]
    promised += ["release", "comment", "resubmit", "ack", "up", "demo", "worker", "web", "migrate"]
    promised += [f"assign {verb}" for verb in ("request", "run", "explain", "load")]
    promised += ["sandbox", "providers", "doctor", "ledger inspect"]
    promised += [
        f"{group} {verb}"
        for group in ("rule", "user", "topic", "channel", "transition", "status", "calendar", "department")
        for verb in ("list", "show", "set", "remove")
    ]
    promised += ["policy publish", "policy list", "policy show", "policy switch", "deliveries list"]
    promised += ["policy check", "policy simulate", "policy delete", "keys sign"]
    promised += ["escalation list", "escalation show", "escalation cancel", "escalation resume"]
    promised += [f"event-rule {verb}" for verb in ("list", "show", "set", "remove")]
    promised += ["deliveries retry", "notifications list", "audit show", "audit export", "audit verify"]
    promised += ["channels create", "channels list", "channels top-up"]
    promised += ["absence set", "absence end", "absence list", "absence show"]
    promised += ["config export", "config apply", "sla check", "sla report"]
    promised += ["keys new", "keys register", "schedules apply", "schedules list"]
    account = ("invite", "password", "reset-totp", "token", "tokens", "sessions")
    promised += [f"user {verb}" for verb in account]
    promised += ["schedules pause", "schedules resume", "schedules run"]
    assert set(promised) <= names
