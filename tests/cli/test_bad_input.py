"""Bad input that needs no database to be refused: a clear error, exit 1, nothing started."""

import json

import pytest
import typer
from typer.testing import CliRunner

from commands.context import Cli, command
from tests.cli.conftest import DESTINATION, ISSUER, submit_arguments

MUXED = "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVAAAAAAAAAAAAAJLK"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"amount": "1.12345678"}, "amount", "7 decimal"),
        ({"amount": "0"}, "amount", "greater than zero"),
        ({"amount": "0.0000000"}, "amount", "greater than zero"),
        ({"amount": "-5"}, "amount", "plain decimal"),
        ({"amount": "922337203685.4775808"}, "amount", "maximum"),
        ({"amount": "9" * 5000}, "amount", "maximum"),
        ({"amount": "1e5"}, "amount", "plain decimal"),
        ({"amount": "NaN"}, "amount", "plain decimal"),
        ({"amount": "1,000"}, "amount", "plain decimal"),
        ({"amount": "١٠"}, "amount", "plain decimal"),
        ({"asset": f"ABCDEFGHIJKLM:{ISSUER}"}, "asset", "1 to 12"),
        ({"asset": "EURT"}, "asset", "CODE:ISSUER"),
        ({"asset": f"EURT:{ISSUER[:-1]}A"}, "asset", "not a Stellar account"),
        ({"to": DESTINATION[:-1] + "A"}, "destination", "not a Stellar account"),
        ({"to": MUXED}, "destination", "muxed"),
        ({"to": ISSUER}, "destination", "issuer"),
        ({"requester": "rita smith"}, "requester", "not valid"),
        ({"memo": "x" * 2001}, "memo", "2001 characters"),
        ({"memo": "a\x1b[2Jb"}, "memo", "control characters"),
        ({"key": "k" * 256}, "key", "255"),
        ({"amount": ""}, "amount", "missing"),
        ({"tenant": ""}, "tenant", "missing"),
    ],
)
def test_a_request_that_cannot_be_right_is_refused(in_process, changes, field, words):
    """What is wrong is named, before a database or Temporal is asked."""
    result = in_process(*submit_arguments(**changes))
    assert result.code == 1
    assert result.error["code"] == "invalid_input"
    assert result.error["field"] == field
    assert words in result.error["message"]
    assert result.err == f"error: {result.error['message']}\n"


def test_without_a_network_nothing_is_submitted(in_process, monkeypatch):
    """The passphrase belongs to the digest, so a request without one can't be signed."""
    monkeypatch.setenv("MINTKEEPER_NETWORK_PASSPHRASE", "")
    result = in_process(*submit_arguments())
    assert (result.code, result.error["code"]) == (1, "configuration")
    assert "MINTKEEPER_NETWORK_PASSPHRASE" in result.error["message"]


def test_a_setting_out_of_range_is_named(in_process, monkeypatch):
    """A wrong environment is an error of one line with the variable's name."""
    monkeypatch.setenv("MINTKEEPER_SUBMISSION_WINDOW_SECONDS", "1")
    result = in_process("list", "--json")
    assert (result.code, result.error["code"]) == (1, "configuration")
    assert "MINTKEEPER_SUBMISSION_WINDOW_SECONDS" in result.error["message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submit", "--nonsense"], "No such option"),
        (["reject", "mr_1", "--as", "bob"], "--reason"),
        (["approve", "mr_1"], "--as"),
        (["resolve", "mr_1", "--as", "adam", "--reason", "r", "--outcome", "maybe"], "maybe"),
    ],
)
def test_wrong_usage_is_exit_two(in_process, arguments, words):
    """What is missing or unknown is said by the usage message; nothing goes to stdout."""
    result = in_process(*arguments)
    assert result.code == 2
    assert words in result.err
    assert result.out == ""


def test_a_file_that_is_no_csv_of_ours_is_refused(in_process, tmp_path):
    """An unknown column is a mistake in the file, not something to ignore."""
    file = tmp_path / "r.csv"
    file.write_text("asset,amuont\nEURT,1\n")
    result = in_process("submit", "--file", str(file), "--json")
    assert (result.code, result.error["code"]) == (1, "invalid_input")
    assert "amuont" in result.error["message"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'asset,"amount\n'])
def test_a_file_that_cannot_be_read_is_refused(in_process, tmp_path, content):
    """An empty file, a binary one, an unfinished quote: one line, no traceback."""
    file = tmp_path / "r.csv"
    file.write_bytes(content)
    result = in_process("submit", "--file", str(file), "--json")
    assert (result.code, result.error["code"]) == (1, "invalid_input")


def test_a_file_that_does_not_exist_is_refused(in_process, tmp_path):
    """The path is in the message."""
    result = in_process("submit", "--file", str(tmp_path / "none.csv"), "--json")
    assert result.code == 1
    assert "none.csv" in result.error["message"]


def test_an_error_for_people_is_one_line(in_process):
    """Without --json stdout stays empty and stderr has exactly the line."""
    arguments = [argument for argument in submit_arguments(amount="1e5") if argument != "--json"]
    result = in_process(*arguments)
    assert result.out == ""
    assert result.err.startswith("error: amount '1e5' is not a plain decimal number")
    assert result.err.count("\n") == 1


def test_an_unexpected_error_leaves_a_line_and_a_log(tmp_path):
    """Nobody ever sees a traceback; whoever mends it finds one in the log."""
    app = typer.Typer()

    @command(app, "crash")
    def crash(cli: Cli) -> None:
        raise ZeroDivisionError

    done = CliRunner().invoke(app, ["--json", "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "internal"
    assert done.stderr == f"error: {error['message']}\n"
    assert "Traceback" not in done.stderr + done.stdout
    log = tmp_path / "logs" / "mintkeeper-cli.log"
    assert str(log) in error["message"]
    assert "ZeroDivisionError" in log.read_text()
