"""Signed commands to runs, as people sign them or somebody forges them."""

from datetime import UTC, datetime

from domain.commands import Command, CommandAction, sign_command
from domain.steps import CommandOutcome
from starter.escalations import examine_command, send_command
from starter.ids import new_command_id
from tests.support.events import handle_of


def a_command(desk, run_id, by="adam", action=CommandAction.CANCEL_ESCALATION, key_of=None, **changes):
    """The envelope of a command by `by`, signed with `key_of`'s key where that differs."""
    values = {
        "tenant": desk.seeded.tenant,
        "actor": by,
        "action": action,
        "target": run_id,
        "body": {"reason": "handled by phone"},
        "id": new_command_id(),
        "issued_at": datetime.now(UTC),
    }
    return sign_command(Command(**(values | changes)), desk.seeded.keys[key_of or by])


async def command(desk, run_id, by="adam", action=CommandAction.CANCEL_ESCALATION, **changes):
    """Send a command as CLI and web server do; raises what they raise."""
    envelope = a_command(desk, run_id, by, action, **changes)
    document = envelope.model_dump_json(by_alias=True).encode()
    envelope, told, _ = await examine_command(desk.seeded.database, document, action=action, run_id=run_id)
    return await send_command(desk.client, run_id, envelope, told.id, 30)


async def raw_command(desk, run_id, argument, **options):
    """Send the update past all checks, as anybody with access to the namespace can."""
    return await handle_of(desk, run_id).execute_update(
        "command", argument, result_type=CommandOutcome, **options
    )
