"""Approval rules as an ordered table: each in words and as a band, to move and to insert between."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from db import reads
from db.reads.entries import Fields, entries
from db.session import Transaction
from db.writes.entries import By, remove_entry, set_entry
from db.writes.rows import lock_tenant
from domain.amounts import MAX_STROOPS, STROOPS_PER_UNIT
from domain.approvals import ApprovalRule
from domain.entry import Kind
from domain.errors import InvalidInput, NotFound
from domain.sessions import Person
from web.filters import amount_text
from web.pages.admin.changing import fingerprint
from web.pages.admin.guard import AtDesk, by, path, second_factor
from web.people import field, form_of
from web.rendering import attempt, page
from web.state import State, Wired

router = APIRouter(prefix="/rules")

WIDTH = 200
_MOST_DIGITS = 12
"""The right end of the drawn scale: 10^12 units."""

_STEP = 10


@dataclass(frozen=True)
class Line:
    """A rule as the table shows it."""

    rule: ApprovalRule
    band: str
    asks: str
    extras: tuple[str, ...]
    x: float
    width: float
    hidden_by: int | None
    """The position of an earlier rule that takes everything it is for."""
    before: int | None
    """A free position before it, where there is one."""


@router.get("")
async def rules_page(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """The table; what no rule covers is denied."""
    async with state.database.transaction() as tx:
        rules = await reads.rules(tx, person.tenant)
        stored = await entries(tx, person.tenant, Kind.RULE)
    last = rules[-1].position if rules else 0
    return page(
        request,
        state,
        person,
        "admin/rules.html",
        lines=lines(rules),
        seen=fingerprint(state, stored),
        next_position=last + _STEP,
        needs_code=person.has_totp,
    )


@router.post("/move")
async def move(request: Request, state: Wired, person: AtDesk) -> Response:
    """Let a rule and its neighbour change places."""

    async def swap(tx: Transaction, stored: dict[str, Fields], who: By, wanted: str) -> str:
        direction, _, position = wanted.partition(" ")
        order = list(stored)
        if position not in order or direction not in ("up", "down"):
            raise NotFound("there is no such rule any more")
        here = order.index(position)
        there = here + (1 if direction == "down" else -1)
        if not 0 <= there < len(order):
            raise InvalidInput(f"rule {position} is at the end of the table already")
        other = order[there]
        await set_entry(tx, Kind.RULE, position, stored[other], who)
        await set_entry(tx, Kind.RULE, other, stored[position], who)
        return f"rule {position} is now rule {other}"

    return await _rearranged(request, state, person, swap)


@router.post("/renumber")
async def renumber(request: Request, state: Wired, person: AtDesk) -> Response:
    """Number the rules in steps of ten, so that others fit between."""

    async def spread(tx: Transaction, stored: dict[str, Fields], who: By, _wanted: str) -> str:
        wanted = {str((number + 1) * _STEP): fields for number, fields in enumerate(stored.values())}
        for position in stored.keys() - wanted.keys():
            await remove_entry(tx, Kind.RULE, position, who)
        for position, fields in wanted.items():
            await set_entry(tx, Kind.RULE, position, fields, who)
        return "the rules are numbered in steps of ten"

    return await _rearranged(request, state, person, spread)


async def _rearranged(
    request: Request,
    state: State,
    person: Person,
    rearrange: Callable[[Transaction, dict[str, Fields], By, str], Awaitable[str]],
) -> Response:
    """Change the order that the sender saw, in one transaction."""
    form = await form_of(request)

    async def work() -> str:
        await second_factor(request, state, person, form)
        async with state.database.transaction() as tx:
            await lock_tenant(tx, person.tenant)
            stored = await entries(tx, person.tenant, Kind.RULE)
            if fingerprint(state, stored) != field(form, "seen"):
                raise InvalidInput("somebody else has changed the rules meanwhile: look again")
            return await rearrange(tx, stored, by(person), field(form, "move"))

    return await attempt(state, path("rules"), work())


def lines(rules: Sequence[ApprovalRule]) -> list[Line]:
    """The rules in words, in their order."""
    found = []
    for number, rule in enumerate(rules):
        earlier = rules[:number]
        hidden = next((one.position for one in earlier if _covers(one, rule)), None)
        begin, end = _x(rule.min_stroops), _x(rule.max_stroops)
        found.append(
            Line(
                rule=rule,
                band=band(rule),
                asks=asks(rule),
                extras=tuple(extras(rule)),
                x=begin,
                width=max(end - begin, 3),
                hidden_by=hidden,
                before=_free_before(rule.position, earlier[-1].position if earlier else 0),
            )
        )
    return found


def band(rule: ApprovalRule) -> str:
    """Which mints it is for, as in `up to 10,000.00 EURT`."""
    asset = "of any asset" if rule.asset == "*" else rule.asset.partition(":")[0]
    least, most = amount_text(rule.min_stroops), amount_text(rule.max_stroops)
    if rule.max_stroops == MAX_STROOPS:
        return f"from {least} {asset}" if rule.min_stroops else f"any amount {asset}"
    return f"from {least} to {most} {asset}" if rule.min_stroops else f"up to {most} {asset}"


def asks(rule: ApprovalRule) -> str:
    """What it asks for, as in `2 approvals, one of them of tier 2 or above`."""
    how_many = f"{rule.approvals} approval{'s' if rule.approvals > 1 else ''}"
    whose = f"of tier {rule.min_tier}" + ("" if rule.min_tier == 3 else " or above")
    senior = rule.at_least_one_of_tier
    if senior is None or senior <= rule.min_tier:
        return f"{how_many} {whose}"
    one = "it" if rule.approvals == 1 else "one of them"
    return f"{how_many} {whose}, {one} of tier {senior}" + ("" if senior == 3 else " or above")


def extras(rule: ApprovalRule) -> list[str]:
    """What else it says."""
    found = []
    if rule.step_up_above_stroops is not None:
        found.append(f"second factor above {amount_text(rule.step_up_above_stroops)}")
    if rule.daily_cap_stroops is not None:
        found.append(f"at most {amount_text(rule.daily_cap_stroops)} in 24 h")
    return found


def _covers(earlier: ApprovalRule, rule: ApprovalRule) -> bool:
    return (
        earlier.asset in ("*", rule.asset)
        and earlier.min_stroops <= rule.min_stroops
        and earlier.max_stroops >= rule.max_stroops
    )


def _free_before(position: int, previous: int) -> int | None:
    middle = (previous + position) // 2
    return middle if previous < middle < position else None


def _x(stroops: int) -> float:
    """Where an amount is drawn: a step for each digit."""
    digits = math.log10(stroops / STROOPS_PER_UNIT + 1)
    return round(min(digits / _MOST_DIGITS, 1) * WIDTH, 1)
