"""Which policy a command means: a published one by its id, or one in a file."""

from __future__ import annotations

import json
from pathlib import Path

from commands.documents import PUBLISHED_FACTS
from db import reads
from db.session import Transaction
from domain.errors import InvalidInput, NotFound
from domain.escalation import EscalationPolicy


def read_draft(file: Path) -> EscalationPolicy:
    """The policy in a file; raises InvalidInput.

    What `policy show --json` wrote is a draft too, once it has an id of its own.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} can't be read: {error.strerror}", "file") from error
    try:
        document = json.loads(text)
    except ValueError:
        # the parser says where
        return EscalationPolicy.parse(text)
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if name not in PUBLISHED_FACTS}
    return EscalationPolicy.parse(json.dumps(document))


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
