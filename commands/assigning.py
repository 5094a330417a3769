"""Claims, assignments and comments."""

from __future__ import annotations

from pydantic import ValidationError

from commands.context import Cli
from commands.deciding import refuse_closed
from commands.lookup import load_request
from domain.errors import InvalidInput, NotOpen
from domain.steps import AssignMessage, CommentMessage
from domain.text import check_text
from starter.decisions import send_assignment
from starter.ids import new_message_id
from starter.talking import say
from starter.temporal import reachable


async def assign_request(cli: Cli, name: str, verb: str, *, actor: str, assignee: str | None) -> None:
    """Send `claim`, `release` or `assign` and wait for the answer; raises what the workflow refuses."""
    message_id = new_message_id()
    try:
        message = AssignMessage(actor=actor, assignee=assignee, message_id=message_id)
    except ValidationError as error:
        raise _malformed(error) from error
    async with cli.database() as database:
        request_id = (await load_request(database, name)).request.id
        try:
            async with reachable(await cli.temporal()) as client:
                standing = await send_assignment(client, request_id, verb, message)
        except NotOpen as error:
            raise refuse_closed(await load_request(database, request_id), error) from error
    document = {"id": request_id, "assignee": standing.assignee, "status": standing.status.value}
    cli.emit(document, lambda: f"{request_id} is with {standing.assignee or 'nobody'}")


async def comment_request(cli: Cli, name: str, *, author: str, text: str) -> None:
    """Leave a comment with the workflow or, as the client and after the end, write it at once.

    Raises InvalidInput, NotFound, Refused.
    """
    check_text(text, "text")
    comment_id = new_message_id()
    try:
        message = CommentMessage(author=author, text=text, comment_id=comment_id)
    except ValidationError as error:
        raise _malformed(error) from error
    async with cli.database() as database:
        record = await load_request(database, name)
        request_id = record.request.id
        try:
            written = await say(cli.temporal, database, record, message)
        except NotOpen as error:
            raise refuse_closed(await load_request(database, request_id), error) from error
    cli.emit(
        {"id": request_id, "comment_id": comment_id, "sent": "stored" if written else "signal"},
        lambda: f"the comment is {'with' if written else 'left with'} {request_id}",
    )


def _malformed(error: ValidationError) -> InvalidInput:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return InvalidInput(f"{where} {first.get('input')!r} is not valid: {first['msg']}", where)
