"""A run as a document and as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from commands.documents import Document, plain
from db.reads.escalations import RunView, run_acks, run_messages, run_stages, run_view
from domain.errors import NotFound

if TYPE_CHECKING:
    from db.session import Transaction

LIST_COLUMNS = (
    "id", "event_kind", "request_id", "state", "next_stage", "policy_id", "started_at", "closes_at"
)  # fmt: skip
_STAGE = ("stage", "due_at", "ran_at", "routed")
_ACK = ("acknowledged_by", "acknowledged_at", "stage", "token_sha256")
_MESSAGE = ("stage", "message", "channel", "to", "state", "attempts", "remark")


async def run_document(tx: Transaction, run_id: str) -> Document:
    """A run with its stages, every attempt to tell somebody, and who acknowledged. Raises NotFound.

    A mint request's own run has the request's id; its track number is understood as well.
    """
    from commands.lookup import find_request

    if run_id.upper().startswith("MK-"):
        run_id = (await find_request(tx, run_id)).request.id
    run = await run_view(tx, run_id)
    if run is None:
        raise NotFound(f"there is no escalation run {run_id}: see 'mintkeeper escalation list'")
    return {
        **_fields(run),
        "stages": [plain(stage.model_dump()) for stage in await run_stages(tx, run.id)],
        "acks": [plain(ack.model_dump()) for ack in await run_acks(tx, run.id)],
        "deliveries": await run_messages(tx, run.id),
    }


def listed(run: RunView) -> Document:
    """A run as `escalation list --json` gives it."""
    return _fields(run)


def _fields(run: RunView) -> Document:
    return {name: plain(value) for name, value in run.model_dump().items()}


def print_run(document: Mapping[str, Any]) -> None:
    """What `escalation show` prints: the run, its stages, its messages with every attempt, its acks."""
    from commands.render import plain_fields, plain_table

    said = {name: value for name, value in document.items() if not isinstance(value, list)}
    plain_fields({name: value for name, value in said.items() if value not in (None, "")})
    plain_table(_STAGE, [[row[name] for name in _STAGE] for row in document["stages"]], "no stage has run")
    plain_table(_ACK, [[row[name] for name in _ACK] for row in document["acks"]], "nobody has acknowledged")
    plain_table(_MESSAGE, [_message(row) for row in document["deliveries"]], "no messages")


def _message(row: Mapping[str, Any]) -> list[Any]:
    attempts = " ".join(f"{try_['attempt']}:{try_['outcome'] or '…'}" for try_ in row["attempts"])
    fallback = f"instead of {row['fallback_of'][:12]}" if row["fallback_of"] else ""
    remark = "; ".join(part for part in (fallback, row["note"], row["error"]) if part)
    return [row["stage"], row["id"][:12], row["channel"], row["recipient"], row["state"], attempts, remark]
