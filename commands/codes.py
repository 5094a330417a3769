"""One-time codes of approvers: asked for, and used before a decision above the rule's amount."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from commands.context import Cli, command
from commands.options import AsUser, Id

if TYPE_CHECKING:
    from domain.passes import SessionSecret


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    code = typer.Typer(no_args_is_help=True, help="One-time codes, for approvals above a rule's amount.")
    command(code, "request")(request)
    app.add_typer(code, name="code")


async def request(cli: Cli, request_id: Id, user: AsUser) -> None:
    """Send yourself a code to approve a request with: six digits, good for ten minutes and one decision."""
    from datetime import UTC, datetime

    from commands.lookup import find_request
    from db import reads
    from db.writes import codes
    from domain.codes import LIFETIME, CodePurpose

    secret, now = session_secret(cli), datetime.now(UTC)
    async with cli.transaction() as tx:
        found = (await find_request(tx, request_id)).request.id
        code_id = await codes.send_code(
            tx,
            record=await reads.lock_request(tx, found),
            purpose=CodePurpose.STEP_UP,
            recipient=user,
            secret=secret,
            at=now,
        )
    cli.emit(
        {"id": found, "code_id": code_id, "recipient": user, "seconds": LIFETIME.seconds},
        lambda: (
            f"a code for {found} is on its way to {user}: mintkeeper approve {found} --as {user} --code …"
        ),
    )


async def confirm(cli: Cli, request_id: str, user: str, code: str) -> None:
    """Use up a step-up code, before the decision that it is for; raises AccessRefused, NotFound."""
    from datetime import UTC, datetime

    from commands.lookup import find_request
    from db.writes import codes
    from domain.codes import CodePurpose

    secret = session_secret(cli)
    # a wrong try counts, so it is committed before it is refused
    async with cli.transaction() as tx:
        right = await codes.use_code(
            tx,
            request_id=(await find_request(tx, request_id)).request.id,
            purpose=CodePurpose.STEP_UP,
            recipient=user,
            typed=code,
            secret=secret,
            at=datetime.now(UTC),
        )
    if not right:
        raise codes.wrong_code()


def session_secret(cli: Cli) -> SessionSecret:
    """The running local stack's, else the one of the environment; raises ConfigurationError."""
    from domain.passes import open_secret

    own = cli.data_dir / "keys" / "session.secret"
    if cli.stack is not None and own.exists():
        return open_secret(own.read_text(encoding="utf-8").strip())
    return open_secret(cli.settings().session_secret)
