"""Amounts that ask for a second factor, and the codes for them."""

import time

import pyotp
from sqlalchemy import text

from domain.amounts import STROOPS_PER_UNIT
from domain.codes import code_of
from tests.support.talk import SECRET


async def ask_for_second_factor(seeded, *, above):
    """From now on who approves more than so many units gives a second factor."""
    async with seeded.database.transaction() as tx:
        await tx.run(
            text("UPDATE approval_rules SET step_up_above_stroops = :above"),
            {"above": above * STROOPS_PER_UNIT},
        )


async def code_sent_to(seeded, name):
    """The newest one-time code that somebody was sent."""
    async with seeded.database.transaction() as tx:
        code_id = await tx.value(
            text("SELECT id FROM one_time_codes WHERE recipient = :name ORDER BY created_at DESC LIMIT 1"),
            {"name": name},
        )
    return code_of(SECRET, code_id)


async def set_up_totp(site, name):
    """Give somebody an authenticator; answers a code that is still good: the set-up has used the last one."""
    await site.give_password(name)
    person = await site.accounts.person(await site.token(name))
    app = pyotp.parse_uri(await site.accounts.authenticators.begin(person))
    await site.accounts.authenticators.confirm(person, app.at(time.time() - app.interval))
    return app.at(time.time() + app.interval)
