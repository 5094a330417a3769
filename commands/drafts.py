"""Which policy a command means: a published one by its id, or one in a file."""

from __future__ import annotations

from pathlib import Path

from db import reads
from db.session import Transaction
from domain.errors import InvalidInput, NotFound
from domain.escalation import EscalationPolicy


def read_draft(file: Path) -> EscalationPolicy:
    """The policy in a file; raises InvalidInput."""
    try:
        return EscalationPolicy.parse(file.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{file} can't be read: {error.strerror}", "file") from error


async def read_policy(tx: Transaction, policy_id: str | None, file: Path | None) -> EscalationPolicy:
    """The policy meant; raises InvalidInput unless exactly one is named, NotFound."""
    if (policy_id is None) == (file is None):
        raise InvalidInput("name a published policy, or give a draft with --file: one of them", "policy")
    if file is not None:
        return read_draft(file)
    policy = await reads.policy(tx, policy_id or "")
    if policy is None:
        raise NotFound(f"there is no policy {policy_id!r}: see 'mintkeeper policy list'")
    return policy
