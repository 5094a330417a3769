"""Evidence about a record's one envelope: by default a proved time-out, or as a test wants it."""

from datetime import UTC, datetime

from domain.amounts import format_amount
from domain.evidence import (
    DecodedEnvelope,
    LedgerEvidence,
    Searched,
    SeenChannel,
    SeenHash,
    SeenLedger,
    SeenOperation,
    SeenTransaction,
    SequenceUse,
)
from domain.submission import Landed

CLOSED = datetime.fromtimestamp(2_000_000_000, UTC)


def a_mint(request, **changes) -> SeenOperation:
    """The operation that is the mint, or nearly."""
    values = {
        "kind": "payment",
        "source": request.asset.issuer,
        "asset": str(request.asset),
        "amount": format_amount(request.amount),
        "destinations": (request.destination,),
    }
    return SeenOperation(**values | changes)


def a_landing(successful=True, found="", **codes) -> Landed:
    """Where a transaction was found."""
    return Landed(
        found_hash=found,
        ledger=40,
        closed_at=CLOSED,
        successful=successful,
        result_codes=codes,
        fee_charged=100,
    )


def another(record, digest=True, **changes) -> SeenTransaction:
    """A transaction that is not the request's own; by default it mints the same with the same memo."""
    values = {
        "hash": "e" * 64,
        "ledger": 41,
        "closed_at": CLOSED,
        "successful": True,
        "source": record.request.asset.issuer,
        "sequence": 7,
        "memo": f"hash:{record.request.digest()}" if digest else "",
        "operations": (a_mint(record.request),),
        "operation_count": 1,
    }
    return SeenTransaction(**values | changes)


def foreign_use(record, **changes) -> SequenceUse:
    """Somebody else's payment from the channel account, with the envelope's sequence."""
    channel = record.submission.channel
    pays = SeenOperation(kind="payment", source=channel, asset="native", amount="1.0000000")
    by = {"source": channel, "sequence": record.submission.sequence, "operations": (pays,)}
    return SequenceUse(how="same_sequence", by=another(record, digest=False, **by | changes))


def make_evidence(record, **changes) -> LedgerEvidence:
    """A look after the time bound: every hash absent, the sequence unused, nobody else paid."""
    request, stored = record.request, record.submission
    late = datetime.fromtimestamp(stored.max_time + 1, UTC)
    values = {
        "request_id": request.id,
        "request_digest": request.digest(),
        "network": request.network_passphrase,
        "status": record.status,
        "stored_outcome": record.result.outcome if record.result else None,
        "channel_state": "FROZEN",
        "envelope": DecodedEnvelope(
            hash=stored.hash, source=stored.channel, sequence=stored.sequence, fee=100,
            memo=f"hash:{request.digest()}", max_time=stored.max_time,
            operations=(a_mint(request),), operation_count=1,
        ),
        "newest": SeenLedger(sequence=50, closed_at=late, hash="c" * 64),
        "hashes": tuple(SeenHash(hash=hash_) for hash_ in stored.hashes()),
        "channel": SeenChannel(account=stored.channel, ledger=50, sequence=stored.sequence - 1),
        "consumed": None,
        "channel_search": Searched(transactions=0, from_ledger=30, whole=True),
        "others": (),
        "issuer_search": Searched(transactions=9, from_ledger=30, whole=True),
    }  # fmt: skip
    return LedgerEvidence(**values | changes)


def used_up(record, **changes) -> LedgerEvidence:
    """The same, but the sequence is used; by default by somebody else's payment."""
    stored = record.submission
    values = {
        "channel": SeenChannel(account=stored.channel, ledger=50, sequence=stored.sequence),
        "consumed": foreign_use(record),
    }
    return make_evidence(record, **values | changes)


def landed(record, landing: Landed, **changes) -> LedgerEvidence:
    """The same, with the mint in a ledger."""
    found = landing.model_copy(update={"found_hash": landing.found_hash or record.submission.hash})
    seen = (SeenHash(hash=record.submission.hash, landed=found),)
    return make_evidence(record, **{"hashes": seen, "channel_search": None} | changes)
