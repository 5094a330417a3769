"""Many requests at every point of their lives, loaded in bulk: what sweeps are measured and checked on."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import psycopg

from domain.approvals import ApprovalRule
from domain.mint_request import TERMINAL, MintStatus

S = MintStatus

PATHS: Final = (
    (18, ()),
    (10, (S.EXPIRED,)),
    (8, (S.REJECTED,)),
    (5, (S.CANCELLED,)),
    (5, (S.APPROVED,)),
    (3, (S.APPROVED, S.FAILED)),
    (4, (S.APPROVED, S.SUBMITTING)),
    (36, (S.APPROVED, S.SUBMITTING, S.CONFIRMED)),
    (3, (S.APPROVED, S.SUBMITTING, S.FAILED)),
    (3, (S.APPROVED, S.SUBMITTING, S.TIMEOUT_FAILED)),
    (3, (S.APPROVED, S.SUBMITTING, S.ANOMALY)),
    (2, (S.APPROVED, S.SUBMITTING, S.ANOMALY, S.CONFIRMED)),
)
"""Lives after PENDING, with how often each is led."""

MEAN_HOURS: Final = {S.PENDING: 10.0, S.APPROVED: 1.0, S.SUBMITTING: 0.5, S.ANOMALY: 6.0}
SCALES: Final = (1, 1, 1, 1, 1, 10, 60)
RULE: Final = ApprovalRule(tenant="acme", position=10, asset="*", max_stroops=10**11, approvals=1)

_REQUEST_COLUMNS = (
    "id, tenant, network_passphrase, asset_code, asset_issuer, amount, destination, topic, requester, memo, "
    "digest, track_number, policy_id, rule, sla_scale, run_id, created_at, expires_at, status, status_since, "
    "version, granted_tiers, next_stage, escalation_level, assignee, assigned_at, assigned_automatically, "
    "unassigned_since, first_response_at, last_activity_at, decided_at, ended_at, reason"
)
_STAY_COLUMNS = "request_id, version, tenant, topic, status, sla_scale, entered_at, left_at"
_ISSUER = "GBZXN7PIRZGNMHGA7MUUUF4GWPY5AYPV6LY4UV2GL6VJGIQRXFDNMADI"
_HOLDER = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"


@dataclass
class Life:
    """What happened to one request; `moves` are its statuses after PENDING, each with its moment."""

    id: str
    tenant: str
    topic: str
    scale: int
    opened: datetime
    moves: list[tuple[MintStatus, datetime]] = field(default_factory=list)
    claims: list[tuple[str, datetime]] = field(default_factory=list)
    comments: list[tuple[str, datetime]] = field(default_factory=list)

    @property
    def stays(self) -> list[tuple[MintStatus, datetime]]:
        """Each status it was in and when it got there; the last one lasts."""
        return [(S.PENDING, self.opened), *self.moves]

    def first_response(self) -> datetime | None:
        """First claim, comment by somebody but the requester and the admin, or decision."""
        decided = [at for status, at in self.moves[:1] if status in (S.APPROVED, S.REJECTED)]
        said = [at for author, at in self.comments if author not in ("rita", "adam")]
        return min([*decided, *said, *(at for _, at in self.claims)], default=None)


def lives(
    count: int,
    topics: Sequence[tuple[str, str]],
    at: datetime,
    *,
    days: int,
    seed: int,
    approvers: Sequence[str],
) -> Iterator[Life]:
    """Lives of the last `days`, to whole minutes; none has a future at `at`."""
    chance = random.Random(seed)
    weights = [weight for weight, _ in PATHS]
    for number in range(count):
        tenant, topic = chance.choice(topics)
        opened = at - timedelta(minutes=chance.randrange(days * 1440))
        life = Life(f"mr_{number:026d}", tenant, topic, chance.choice(SCALES), opened)
        [(_, path)] = chance.choices(PATHS, weights)
        _lead(life, path, at, chance)
        _talk(life, at, chance, approvers)
        yield life


def _lead(life: Life, path: Iterable[MintStatus], at: datetime, chance: random.Random) -> None:
    status, moment = S.PENDING, life.opened
    for following in path:
        stayed = chance.expovariate(1 / MEAN_HOURS[status]) * 60 / life.scale
        moment += timedelta(minutes=1 + int(stayed))
        if moment > at:
            return
        life.moves.append((following, moment))
        status = following


def _talk(life: Life, at: datetime, chance: random.Random, approvers: Sequence[str]) -> None:
    pending_until = life.moves[0][1] if life.moves else at
    minutes = int((pending_until - life.opened).total_seconds()) // 60
    if chance.random() < 0.4:
        when = life.opened + timedelta(minutes=chance.randint(0, minutes))
        life.claims.append((chance.choice(approvers), when))
    for _ in range(chance.choice((0, 0, 1, 2))):
        author = chance.choice([*approvers, "rita", "adam"])
        life.comments.append((author, life.opened + timedelta(minutes=chance.randint(0, minutes))))


def load(url: str, found: Iterable[Life], policy_id: str) -> int:
    """Write lives as they stand now, past the guards; answers how many. Tenants and topics must exist."""
    everybody = list(found)
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        with connection.cursor().copy(f"COPY mint_requests ({_REQUEST_COLUMNS}) FROM STDIN") as copy:
            for life in everybody:
                copy.write_row(_request_row(life, policy_id))
        with connection.cursor().copy(f"COPY mint_request_stays ({_STAY_COLUMNS}) FROM STDIN") as copy:
            for life in everybody:
                for row in _stay_rows(life):
                    copy.write_row(row)
    with psycopg.connect(url, autocommit=True) as connection:
        # index-only scans need to know which pages everybody sees
        connection.execute("VACUUM (ANALYZE) mint_requests, mint_request_stays")
    return len(everybody)


def _request_row(life: Life, policy_id: str) -> tuple[object, ...]:
    status, since = life.stays[-1]
    assignee, assigned = life.claims[0] if life.claims else (None, None)
    return (
        life.id,
        life.tenant,
        "Test Network",
        "EURT",
        _ISSUER,
        10_000_000,
        _HOLDER,
        life.topic,
        "rita",
        "",
        f"{int(life.id[3:]):064x}",
        f"MK-{life.id[3:]}",
        policy_id,
        RULE.model_copy(update={"tenant": life.tenant}).model_dump_json(by_alias=True),
        life.scale,
        "run",
        life.opened,
        # long after any decision, as the table demands
        life.opened + timedelta(days=1000),
        status.value,
        since,
        len(life.stays),
        [],
        0,
        0,
        assignee,
        assigned,
        False,
        None if assignee else life.opened,
        life.first_response(),
        since,
        life.moves[0][1] if life.moves else None,
        since if status in TERMINAL else None,
        "",
    )


def _stay_rows(life: Life) -> Iterator[tuple[object, ...]]:
    for version, ((status, entered), (_, left)) in enumerate(
        zip(life.stays, life.stays[1:], strict=False), start=2
    ):
        yield life.id, version, life.tenant, life.topic, status.value, life.scale, entered, left
