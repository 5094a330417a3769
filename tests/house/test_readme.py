"""What README and docs promise is true: commands exist, queries run, tables match the code."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from cli import app
from domain.mint_request import TRANSITIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [README, *(page.read_text() for page in (ROOT / "docs").rglob("*.md"))]
BLOCKS = re.findall(r"```(?:sh)?\n(.*?)```", "\n".join(PAGES), re.S)
COMMANDS = sorted({line for block in BLOCKS for line in block.splitlines() if line.startswith("mintkeeper ")})
QUERIES = [line for block in BLOCKS for line in block.splitlines() if line.startswith("WorkflowType=")]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_readme_and_docs_exists_with_its_options(line):
    """No command or option in README or docs is made up."""
    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_readme_s_two_commands_and_other_targets_exist():
    """`make demo`, `make test` and every other target named are in the Makefile."""
    named = set(re.findall(r"(?:^|`|[A-Z]+=\w+ )make ([a-z]+)(?:$|`)", "\n".join(PAGES), re.M))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"demo", "test", "up", "lint", "bench", "chaos"} <= named
    assert named <= targets


@pytest.mark.parametrize("query", QUERIES)
async def test_every_query_of_the_readme_runs(temporal_server, query):
    """Operators can paste the queries: the server knows every attribute in them."""
    found = await temporal_server.client.count_workflows(query)
    assert found.count >= 0


def test_every_folder_of_the_readme_exists():
    """The map shows what is there."""
    rows = re.findall(r"^\| (`[^|]+`) \|", README, re.M)
    paths = [path for row in rows for path in re.findall(r"`([^`]+)`", row)]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_table_of_states_is_the_code_s():
    """docs/states.md shows the one table of transitions."""
    text = (ROOT / "docs" / "states.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \|(.*)\|$", text, re.M)
    shown = {state: set(re.findall(r"`([A-Z_]+)`", onward)) for state, onward in rows}
    assert shown == {
        state.value: {target.value for target in onward} for state, onward in TRANSITIONS.items()
    }


def test_links_lead_somewhere():
    """Relative links in README and docs have a target."""
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"
