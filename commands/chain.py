"""Reading and writing a tenant's audit chain as a whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from commands.documents import Document
from commands.lookup import check_tenant
from db import reads
from db.session import Transaction
from domain.audit import GENESIS_HASH, AuditHead
from domain.errors import ConfigurationError, InvalidInput
from domain.proven_decisions import verify_whole
from domain.records import AuditEvent

_PAGE = 1000


async def load_chain(tx: Transaction, tenant: str) -> list[AuditEvent]:
    """Every event of a tenant, in order; raises NotFound for a tenant that does not exist."""
    await check_tenant(tx, tenant)
    events: list[AuditEvent] = []
    while page := await reads.audit_events(tx, tenant, events[-1].seq if events else 0, _PAGE):
        events += page
    return events


async def export_chain(tx: Transaction, tenant: str, path: Path) -> Document:
    """Write the chain as JSON lines, in one step, and answer its head."""
    events = await load_chain(tx, tenant)
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(f"{event.model_dump_json()}\n" for event in events)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from error
    head = f"{events[-1].seq}:{events[-1].hash}" if events else f"0:{GENESIS_HASH}"
    return {"tenant": tenant, "file": str(path), "events": len(events), "head": head}


def read_file(path: Path) -> list[AuditEvent]:
    """The events of an exported file; raises InvalidInput with the line that is none."""
    events = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    events.append(AuditEvent.model_validate_json(line))
                except ValidationError as error:
                    raise InvalidInput(f"{path}: line {number} is not an audit event", "file") from error
    except OSError as error:
        raise InvalidInput(f"{path} can't be read: {error.strerror}", "file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text", "file") from error
    return events


def parse_head(text: str | None, tenant: str) -> AuditHead | None:
    """Read `SEQ:HASH`; raises InvalidInput."""
    if text is None:
        return None
    seq, _, digest = text.partition(":")
    if not seq.isdecimal() or len(digest) != len(GENESIS_HASH):
        raise InvalidInput(f"head {text!r} is not of the form SEQ:HASH", "head")
    return AuditHead(tenant=tenant, seq=int(seq), hash=digest.lower())


def proof_document(events: Sequence[AuditEvent], head: AuditHead | None = None) -> Document:
    """What `audit verify --json` answers: the chain's hashes and, where they are sound, every decision.

    `fault` says what is wrong with the chain, `faults` which decisions nobody had signed, or was entitled to.
    """
    chain, proven = verify_whole(events, head)
    document: Document = {
        "tenant": events[0].tenant if events else "",
        "intact": chain.intact,
        "events": chain.events,
        "head": f"{chain.events}:{chain.head_hash}",
    }
    if proven is None:
        return document | {"fault": chain.fault or "the chain is broken"}
    counts = {name: getattr(proven, name) for name in ("decisions", "delegated", "vouched", "commands")}
    return document | counts | {"faults": list(proven.faults)}


def proof_text(document: Document) -> str:
    """A sound proof in one line."""
    kinds = (("delegated", "by delegates"), ("vouched", "signed by the server for people who had signed in"))
    among = ", ".join(f"{document[name]} {how}" for name, how in kinds if document[name])
    decisions = f"{document['decisions']} decisions proven" + (f" ({among})" if among else "")
    events = f"{document['events']} events of {document['tenant']}"
    return f"intact: {events}, {decisions}, head {document['head']}"
