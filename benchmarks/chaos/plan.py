"""What will be asked for and what will go wrong, and when: all of it follows from the seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from domain.amounts import STROOPS_PER_UNIT
from sandbox.ledger.faults import LASTING, ONE_SHOT
from sandbox.ledger.outages import OUTAGES

SEND = "/transactions_async"
LEDGER_SECONDS = 1.0
"""Between two ledgers of the sandbox."""

HOUR = 3600

_READ_PATHS = (SEND, SEND, "/", "/transactions/", "/accounts/", "/ledgers")
_AT_THE_DOOR = ("drop_after_accept", "timeout_then_land", "timeout_never_land", "try_again_later")
"""One-shot faults of handing an envelope in; the others can meet any question."""

_RUSH = 0.8
"""Requests are spread over this share of the run, so that the last ones meet faults as well."""

_STOPPING = "stop_closing"


class Course(StrEnum):
    """What people do with a request."""

    PLAIN = "plain"
    """Approved by as many as its rule wants."""
    REJECTED = "rejected"
    CONTESTED = "contested"
    """Approved and rejected at the same moment: whichever comes first."""
    STRAY = "stray"
    """Approved, but its destination does not exist."""
    HURRIED = "hurried"
    """Approved, with a deadline of its own for the ledger."""


class Blow(StrEnum):
    """What happens to processes; everything else that goes wrong is a fault of the ledger."""

    WORKER_KILLED = "worker killed"
    CLOCK_AHEAD = "worker killed, next one's clock an hour ahead"
    CLOCK_BEHIND = "worker killed, next one's clock an hour behind"
    WORKER_STOPPED = "worker asked to stop while the next one begins"
    WORKER_FROZEN = "worker frozen, another one beside it"
    TWO_WORKERS = "second worker for a while, then killed"
    SANDBOX_KILLED = "ledger process killed"
    TEMPORAL_KILLED = "Temporal killed"
    SANDBOX_FROZEN = "ledger process frozen"
    TEMPORAL_FROZEN = "Temporal frozen"
    POSTGRES_FROZEN = "PostgreSQL frozen"
    POSTGRES_KILLED = "PostgreSQL killed"
    POSTGRES_RESTARTED = "PostgreSQL restarted"
    WORKFLOW_ENDED = "workflow terminated, swept up later"
    WORKFLOW_RESET = "workflow reset to its first step"


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    requests: int
    faults: int
    faults_wanted: int
    """So many must have met somebody: a question that is never asked meets no fault."""
    seconds: float
    """How long requests and faults go on."""
    channels: int
    window_seconds: int
    """Ledger time in which an envelope is valid: short, so that some run out of it."""


FULL = Size(requests=300, faults=600, faults_wanted=500, seconds=300.0, channels=24, window_seconds=20)
SHORT = Size(requests=40, faults=96, faults_wanted=60, seconds=20.0, channels=10, window_seconds=8)


@dataclass(frozen=True)
class Ask:
    """One request and what its people do; moments in seconds from the start of the run."""

    number: int
    at: float
    amount: int
    """Stroops."""
    course: Course
    submissions: tuple[float, ...]
    """Seconds after `at` at which the same is submitted again under the same key."""
    other_content: bool
    """Something else is asked for under the same key, too."""
    approvals: tuple[float, ...]
    """Seconds after `at` at which the same signed approvals are sent; the first is the real one."""
    deadline: float
    """Seconds after `at` after which nothing may land any more; only for a hurried one."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, once at its moment; `kind` is a `Blow` or a fault of the ledger."""

    at: float
    kind: str
    path: str = "/"
    count: int = 1
    """How many questions a one-shot fault of the ledger meets."""
    ledgers: int = 1
    fee: int = 1000
    """Stroops an operation, for a fault that makes fees rise."""
    seconds: float = 0.0
    """How long it lasts, if it does."""
    problem: str = ""
    """What an outage of the ledger's gateways answers."""
    number: int = 0
    """Of the request whose workflow it meets, if it meets one."""


@dataclass(frozen=True)
class Visit:
    """A stranger hands in every envelope that is stored for a request."""

    at: float
    number: int
    wrapped: bool
    """In a fee bump of the stranger's own, who pays for it."""


@dataclass(frozen=True)
class Plan:
    """A whole run."""

    seed: int
    size: Size
    asks: tuple[Ask, ...]
    faults: tuple[Fault, ...]
    visits: tuple[Visit, ...]
    tickets_from: float
    """Seconds from the start after which requests get one-shot tickets."""


def make_plan(seed: int, size: Size) -> Plan:
    """The plan of a seed: the same seed and size give the same plan."""
    asks = _asks(random.Random(f"asks {seed}"), size)
    faults = _faults(random.Random(f"faults {seed}"), size, asks)
    return Plan(
        seed,
        size,
        asks,
        faults,
        _visits(random.Random(f"visits {seed}"), asks, size.window_seconds),
        size.seconds / 2,
    )


def _asks(rng: random.Random, size: Size) -> tuple[Ask, ...]:
    moments = _bursts(rng, size)
    return tuple(_ask(rng, number, at) for number, at in enumerate(moments))


def _bursts(rng: random.Random, size: Size) -> list[float]:
    """Half of the requests come evenly, half in bursts."""
    last = size.seconds * _RUSH
    even = [rng.uniform(0, last) for _ in range(size.requests - size.requests // 2)]
    centres = [rng.uniform(0, last) for _ in range(max(1, size.requests // 30))]
    burst = [rng.choice(centres) + rng.uniform(0, 1) for _ in range(size.requests // 2)]
    return sorted(even + burst)


def _ask(rng: random.Random, number: int, at: float) -> Ask:
    [course] = rng.choices(list(Course), [84, 4, 4, 4, 4])
    # up to 10,000 units one approver is enough, above that two
    units = rng.randrange(10_001, 20_000) if rng.random() < 0.1 else rng.randrange(1, 10_000)
    first = rng.uniform(0, 3)
    again = [first + rng.uniform(0, 8) for _ in range(rng.choice((0, 0, 1, 2)))]
    return Ask(
        number=number,
        at=at,
        # an amount of its own shows whose payment it is
        amount=units * STROOPS_PER_UNIT + number,
        course=course,
        submissions=tuple(rng.uniform(0, 6) for _ in range(rng.choice((0, 0, 1, 2)))),
        other_content=rng.random() < 0.1,
        approvals=(first, *again),
        deadline=rng.uniform(3, 40),
    )


def _faults(rng: random.Random, size: Size, asks: tuple[Ask, ...]) -> tuple[Fault, ...]:
    faults = _blows(rng, size) + _lasting(rng, size) + _meddling(rng, size, asks)
    faults += [_one_shot(rng, size) for _ in range(size.faults - len(faults))]
    return tuple(sorted(faults, key=lambda fault: fault.at))


def _blows(rng: random.Random, size: Size) -> list[Fault]:
    """About one fault in six is one of a process; the workers suffer most."""
    often, rare = max(1, size.faults // 90), max(1, size.faults // 180)
    counts = {
        Blow.WORKER_KILLED: size.faults // 20,
        Blow.CLOCK_AHEAD: often,
        Blow.CLOCK_BEHIND: often,
        Blow.WORKER_STOPPED: often,
        Blow.WORKER_FROZEN: often,
        Blow.TWO_WORKERS: often,
        Blow.SANDBOX_KILLED: often,
        Blow.SANDBOX_FROZEN: often,
        Blow.TEMPORAL_FROZEN: rare,
        Blow.POSTGRES_FROZEN: rare,
        Blow.TEMPORAL_KILLED: rare,
        Blow.POSTGRES_KILLED: rare,
        Blow.POSTGRES_RESTARTED: rare,
    }
    moments = {blow: _moments(rng, count, size.seconds) for blow, count in counts.items()}
    longest = min(16.0, size.seconds / 3)
    return [
        Fault(at=at, kind=blow, seconds=rng.uniform(2, longest))
        for blow, ats in moments.items()
        for at in ats
    ]


def _meddling(rng: random.Random, size: Size, asks: tuple[Ask, ...]) -> list[Fault]:
    """Workflows ended or reset soon after the approval, when there is most to break."""
    faults = []
    for kind in (Blow.WORKFLOW_ENDED, Blow.WORKFLOW_RESET):
        for ask in rng.sample(asks, max(1, size.faults // 60)):
            at = ask.at + ask.approvals[0] + rng.uniform(0, 10)
            faults.append(Fault(at, kind, number=ask.number))
    return faults


def _moments(rng: random.Random, count: int, seconds: float) -> list[float]:
    """One moment in each of so many equal parts of the run: what hurts most does not come all at once."""
    part = seconds / count
    return [part * (number + rng.random()) for number in range(count)]


def _lasting(rng: random.Random, size: Size) -> list[Fault]:
    """Faults that last, each kind on a lane of its own where one is over before the next begins."""
    lanes = [_lane(rng, size, kind, share=0.3, longest=6.0) for kind in LASTING if kind != _STOPPING]
    lanes.append(_lane(rng, size, _STOPPING, share=0.12, longest=4.0))
    lanes.append(_lane(rng, size, _STOPPING, share=0.0, longest=0.0, long_ones=max(1, size.faults // 200)))
    return _without_overlap([fault for lane in lanes for fault in lane])


def _lane(
    rng: random.Random, size: Size, kind: str, *, share: float, longest: float, long_ones: int = 0
) -> list[Fault]:
    """`share` of the time under this fault; long ones outlast the window of every envelope."""
    mean = (1 + longest) / 2
    lengths = [rng.uniform(1, longest) for _ in range(round(share * size.seconds / mean))]
    lengths += [size.window_seconds + rng.uniform(2, 6) for _ in range(long_ones)]
    return [
        Fault(
            at=at,
            kind=kind,
            seconds=seconds,
            ledgers=rng.randrange(1, 10),
            fee=rng.choice((150, 500, 2_000, 10_000, 60_000)),
        )
        for at, seconds in zip(_moments(rng, len(lengths), size.seconds), lengths, strict=True)
    ]


def _without_overlap(faults: list[Fault]) -> list[Fault]:
    """Switching a kind off ends all of that kind: whichever would begin inside another is left out."""
    kept: list[Fault] = []
    for fault in sorted(faults, key=lambda fault: (-fault.seconds, fault.at)):
        others = [other for other in kept if other.kind == fault.kind]
        if all(fault.at + fault.seconds < one.at or one.at + one.seconds < fault.at for one in others):
            kept.append(fault)
    return kept


def _one_shot(rng: random.Random, size: Size) -> Fault:
    kind = rng.choice(ONE_SHOT)
    path = SEND if kind in _AT_THE_DOOR else rng.choice(_READ_PATHS)
    # now and then so many in a row that envelopes run out of their time
    flood = rng.random() < 0.03
    many = rng.randrange(size.requests // 15 + 5, size.requests // 5 + 6)
    return Fault(
        at=rng.uniform(0, size.seconds * 0.95),
        kind=kind,
        path=path,
        count=many if flood else rng.choice((1, 1, 1, 2, 4)),
        ledgers=rng.choice((1, 1, 2, 4, size.window_seconds + 3)),
        problem=rng.choice(sorted(OUTAGES)) if kind == "problem" else "",
    )


def _visits(rng: random.Random, asks: tuple[Ask, ...], window: float) -> tuple[Visit, ...]:
    """Some come soon after the approval, some when the time bound is about to pass or has passed."""
    visits = []
    for ask in asks:
        for wrapped in rng.choice(((), (False,), (False,), (True,), (False, True))):
            later = rng.uniform(0, 5) if rng.random() < 0.6 else rng.uniform(window, 2 * window)
            visits.append(Visit(ask.at + ask.approvals[0] + later, ask.number, wrapped))
    return tuple(visits)
