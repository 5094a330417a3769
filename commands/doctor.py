"""Looking at every dependency and saying how to mend what is wrong."""

from __future__ import annotations

import typer

from commands.context import Cli, command


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    command(app, "doctor")(doctor)


async def doctor(cli: Cli) -> None:
    """Check every dependency, and say what is wrong and how to mend it."""
    from commands.checks import examine
    from commands.render import findings_table

    findings = await examine(cli)
    failed = [finding for finding in findings if finding.failed]
    document = {"ok": not failed, "checks": [finding.document() for finding in findings]}
    if not failed:
        cli.emit(document, lambda: findings_table(findings))
        return
    message = (
        f"{len(failed)} of {len(findings)} checks failed: {', '.join(finding.name for finding in failed)}"
    )
    if cli.as_json:
        raise cli.fail("unhealthy", message, **document)
    findings_table(findings)
    raise cli.fail("unhealthy", message)
