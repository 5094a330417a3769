"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def option(name: str, explained: str, metavar: str | None = None) -> Any:
    """An option whose default needs no mention in the help."""
    return typer.Option(name, help=explained, metavar=metavar, show_default=False)


Text = str | None

Id = Annotated[str, typer.Argument(metavar="ID", help="A request's id (mr_…) or track number (MK-…).")]
Tenant = Annotated[Text, option("--tenant", "The local stack's demo tenant unless said.")]
AnyTenant = Annotated[Text, option("--tenant", "Only this tenant's.")]
AsUser = Annotated[str, option("--as", "Who acts.", "USER")]
Reason = Annotated[str, option("--reason", "Why, for the record.")]
KeyFile = Annotated[
    Path | None, option("--key-file", "Private key; <data-dir>/keys/USER.pem unless said.", "FILE")
]
DecisionId = Annotated[Text, option("--decision-id", "Send the same again after an unknown outcome.")]
Wait = Annotated[
    float,
    typer.Option("--wait", min=0.1, max=600, metavar="SECONDS", help="How long to wait."),
]
AsSignal = Annotated[bool, option("--signal", "Leave a durable signal; do not wait for the answer.")]
Actor = Annotated[Text, option("--as", "Who changes it, for the audit; your login name unless said.", "USER")]
