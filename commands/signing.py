"""`keys sign`: a signed command, for whoever changes something over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli
from commands.options import AsUser, KeyFile, Tenant, option
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from domain.dsse import Envelope

Action = Annotated[
    str,
    option(
        "--action",
        "policy.publish, policy.switch, policy.delete, escalation.cancel, escalation.resume, absence.set, "
        "absence.end, dictionary.set, dictionary.remove, config.apply, request.comment "
        "or request.attach.",
        "ACTION",
    ),
]
Target = Annotated[
    str,
    option(
        "--target",
        "Id of the policy, escalation run, absence or request; for absence.set the user, for "
        "a dictionary KIND:CODE, for config.apply the tenant.",
        "ID",
    ),
]
Body = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help='JSON (or .yaml) that goes with it: the policy to publish, {"reason": "…"} to cancel, '
        '{"text": "…"} to comment.',
        show_default=False,
    ),
]


def sign(
    cli: Cli,
    user: AsUser,
    action: Action,
    target: Target,
    file: Body = None,
    tenant: Tenant = None,
    key_file: KeyFile = None,
) -> None:
    """Sign a command for the HTTP API: good once, for five minutes."""
    envelope = signed_command(cli, user, action, target, _body(file), tenant, key_file)
    document = envelope.model_dump(mode="json", by_alias=True)
    cli.emit(document, lambda: json.dumps(document))


def signed_command(
    cli: Cli,
    user: str,
    action: str,
    target: str,
    body: dict[str, Any],
    tenant: str | None,
    key_file: Path | None,
) -> Envelope:
    """A new command, signed with the user's key; raises InvalidInput, NotFound, ConfigurationError."""
    from pydantic import ValidationError

    from domain.commands import Command, sign_command
    from starter.ids import new_command_id
    from starter.keys import load_key

    try:
        signed = Command.model_validate(
            {
                "tenant": cli.tenant(tenant),
                "actor": user,
                "action": action,
                "target": target,
                "body": body,
                "id": new_command_id(),
                "issued_at": datetime.now(UTC),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{where} {first.get('input')!r} is not valid: {first['msg']}", where) from error
    return sign_command(signed, load_key(key_file or cli.key_file(user)))


def _body(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        body = _parsed(file)
    except OSError as error:
        raise InvalidInput(f"{file} can't be read: {error.strerror}", "file") from error
    except ValueError as error:
        raise InvalidInput(f"{file} is no JSON: {error}", "file") from error
    if not isinstance(body, dict):
        raise InvalidInput(f"{file} holds no JSON object", "file")
    return body


def _parsed(file: Path) -> Any:
    if file.suffix not in (".yaml", ".yml"):
        return json.loads(file.read_bytes())
    from domain.plain_yaml import read_yaml

    return read_yaml(file.read_bytes(), str(file))
