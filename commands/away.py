"""An absence as documents show it, and what people should know when one is set."""

from __future__ import annotations

from datetime import datetime

from commands.documents import Document, plain
from db import reads
from db.reads.absences import absences
from db.reads.circumstances import circumstances
from db.session import Transaction
from domain.absences import Absence
from domain.authority import prove
from domain.errors import DecisionRefused
from domain.policy_checks import shortages


def absence_document(absence: Absence, now: datetime) -> Document:
    """An absence as `absence list --json` and the API give it."""
    return {**plain(absence.model_dump()), "state": state_of(absence, now)}


def state_of(absence: Absence, now: datetime) -> str:
    """`to come`, `away` or `over`."""
    if absence.ends_at <= now:
        return "over"
    return "away" if absence.lasts(now) else "to come"


async def proof_of(tx: Transaction, absence: Absence) -> str:
    """What the signed command proves today, in plain words; whether it lasts or not."""
    if absence.delegate is None:
        return "moves no authority"
    person = await reads.signer(tx, absence.tenant, absence.user, absence.starts_at)
    for delegation in person.delegations if person else ():
        if delegation.absence.id == absence.id:
            try:
                prove(delegation)
            except DecisionRefused as error:
                return error.message
            return f"signed by {absence.set_by}"
    return "it lasted no time"


async def warnings(tx: Transaction, absence: Absence) -> list[str]:
    """What the absence leaves undone: a delegate who is away too, rules without enough approvers."""
    found = await absences(tx, absence.tenant, absence.starts_at)
    others = [one for one in found if one.id != absence.id and one.starts_at < absence.ends_at]
    warned = [
        f"{other.user} is away too, from {other.starts_at:%Y-%m-%d %H:%MZ} to "
        f"{other.ends_at:%Y-%m-%d %H:%MZ}, and can't pass the authority of {absence.user} on"
        for other in others
        if other.user == absence.delegate
    ]
    policy = await reads.current_policy(tx, absence.tenant)
    if policy is not None:
        today = await circumstances(tx, absence.tenant)
        away = {other.user: other.delegate for other in others}
        short = shortages(policy, today, absence.user, absence.delegate, away)
        warned += [f"while {absence.user} is away: {problem}" for problem in short]
    return warned
