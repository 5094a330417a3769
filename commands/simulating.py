"""`policy simulate`: what a policy will do, as a table and as a picture."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.context import Cli
from commands.options import Text, option
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from domain.simulation import Message, Simulation, StageForecast

MaybePolicy = Annotated[
    str | None, typer.Argument(metavar="POLICY", help="A published policy's id.", show_default=False)
]
Draft = Annotated[Path | None, option("--file", "A policy's JSON, instead of a published one.", "FILE")]


async def simulate(
    cli: Cli,
    policy_id: MaybePolicy = None,
    file: Draft = None,
    start: Annotated[Text, option("--start", "ISO 8601 with a zone; now unless said.", "MOMENT")] = None,
    tenant: Annotated[Text, option("--tenant", "Refuse a policy of another tenant.")] = None,
    topic: Annotated[Text, option("--topic", "The tenant's first one unless said.")] = None,
    requester: Annotated[Text, option("--requester", "Who asks; told nothing.", "USER")] = None,
    sla_scale: Annotated[int, typer.Option("--sla-scale", min=1, help="Divides every delay.")] = 1,
    svg: Annotated[Path | None, option("--svg", "Also draw a timeline into this file.", "FILE")] = None,
) -> None:
    """Show whom a policy tells and when, with today's people and quiet hours, if nobody acts."""
    from commands.drafts import read_policy
    from commands.forecasting import forecast
    from commands.timeline import draw

    started_at = moment(start)
    async with cli.transaction() as tx:
        policy = await read_policy(tx, policy_id, file)
        if tenant is not None and policy.tenant != tenant:
            raise InvalidInput(f"policy {policy.id} is of tenant {policy.tenant}, not {tenant}", "tenant")
        found = await forecast(
            tx, policy, started_at=started_at, topic=topic, requester=requester, scale=sla_scale
        )
    if svg is not None:
        _write(svg, draw(found))
    cli.emit(found.document(), lambda: _print(found))


_LAST_YEAR = 9000


def moment(text: str | None) -> datetime:
    """The moment in ISO 8601 with a zone, to the second, now unless given; raises InvalidInput."""
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    # a plus sign is a space once it has been in a URL
    for written in (text.strip(), text.strip().replace(" ", "+")):
        try:
            found = datetime.fromisoformat(written)
            # at the ends of the calendar nothing can be added to it
            if found.tzinfo is not None and found.year < _LAST_YEAR:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    raise InvalidInput(f"start {text!r} is no moment with a zone, such as 2026-12-01T17:00:00Z", "start")


def _write(file: Path, picture: str) -> None:
    try:
        file.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file} can't be written: {error.strerror}", "svg") from error


def _print(simulation: Simulation) -> None:
    from rich.text import Text as Styled

    from commands.render import plain_table, print_rich
    from domain.mint_request import utc_text

    rows = [row for stage in simulation.stages for row in _rows(stage)]
    columns = ("stage", "due (UTC)", "channel", "told", "sent (UTC)", "local time", "")
    plain_table(columns, [[Styled(cell) for cell in row] for row in rows], "no stages")
    started, ends = utc_text(simulation.started_at), utc_text(simulation.expires_at)
    urgent = utc_text(simulation.urgent_from)
    print_rich(Styled(f"starts {started}, expires {ends}; urgent, whatever the hour, from {urgent}"))


def _rows(stage: StageForecast) -> list[list[str]]:
    """One line a message; the stage's own facts are in the first."""
    label, due = f"{stage.stage} {stage.name}", _utc(stage.due_at)
    lines = [_message_cells(stage, message) for message in stage.messages]
    if stage.no_route:
        lines.insert(0, ["", "nobody", _utc(stage.runs_at), "", "no route: the next stage runs at once"])
    first = [label, due, *lines[0][:-1], _facts(stage, lines[0][-1])]
    return [first, *(["", "", *line] for line in lines[1:])]


def _facts(stage: StageForecast, note: str) -> str:
    facts = [f"grants tier {stage.grants}"] if stage.grants else []
    facts += ["urgent"] if stage.urgent else []
    facts += ["at once: nobody was reached before"] if stage.runs_at < stage.due_at else []
    return "; ".join([*facts, note] if note else facts)


def _message_cells(stage: StageForecast, message: Message) -> list[str]:
    from domain.simulation import local, sent_at

    at = sent_at(stage, message)
    there = f"{local(at, message.time_zone):%a %H:%M %Z}"
    notes = ["alert to the leads"] if message.alert else []
    notes += ["deferred by quiet hours"] if message.deferred_until else []
    return [message.channel, message.recipient, _utc(at), there, "; ".join(notes)]


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d %b %H:%M:%S}"
