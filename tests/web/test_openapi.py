"""The OpenAPI document against a running server: what it promises is what is answered, whatever is sent."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from domain.mint_request import MintStatus
from tests.support.site import open_site
from tests.support.tokens import bearer

CLOSED = "http://127.0.0.1:9"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,ignored_auth"
)


@pytest.fixture
async def site(minting_desk, chromium, password_hash, monkeypatch, tmp_path):
    """The web server with its workers; no page is opened here."""
    async with open_site(minting_desk, chromium, password_hash, monkeypatch, tmp_path) as opened:
        ticket = await opened.desk.submit()
        await opened.desk.until_status(ticket, MintStatus.PENDING)
        opened.ticket = ticket
        yield opened


def known_parameters(site):
    """What exists, so that answers are more than 404."""
    known = {
        "request_id": site.ticket.id,
        "name": site.ticket.request.track_number,
        "run_id": site.ticket.id,
        "kind": "topic",
        "policy_id": site.desk.seeded.policy.id,
    }
    return "[parameters]\n" + "".join(f'"path.{name}" = "{value}"\n' for name, value in known.items())


@pytest.mark.parametrize(("name", "known"), [("rita", False), ("adam", True)])
async def test_the_api_is_what_it_says(site, name, known, tmp_path):
    """No internal error, no undocumented answer, no wrong type; wrong data and strangers are refused."""
    config = tmp_path / "schemathesis.toml"
    config.write_text(known_parameters(site) if known else "")
    me = await bearer(site.desk.seeded, name)
    program = str(Path(sys.executable).parent / "schemathesis")
    command = [
        *(program, "--config-file", str(config)),
        *("run", f"{site.url}/openapi.json", "--url", site.url),
        *("-H", f"Authorization: {me['Authorization']}"),
        *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "4"),
        *("--seed", "7", "--generation-database", "none", "--workers", "1", "--max-time", "45"),
        # two threads at once trip over a counter of Python 3.11 (SystemError: AST constructor recursion)
        # the stream of events has no end, and readiness asks others
        *("--exclude-path-regex", "^/(api/events|readyz|metrics)"),
        *("--request-timeout", "20", "--no-color"),
    ]
    # whatever it would ask of another host ends at a closed door
    elsewhere = {"HTTP_PROXY": CLOSED, "HTTPS_PROXY": CLOSED, "NO_PROXY": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env={**os.environ, **elsewhere}, stdout=PIPE, stderr=STDOUT
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said[-15000:]
