"""scratch"""
import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db.reads.absences import absences
from db.writes import dictionaries
from db.writes.absences import set_absence
from db.writes.routing import routing
from tests.db.test_absences import a_pending, decide
from tests.support.absences import send_away, signed, wish

NOW = datetime.now(UTC)


async def test_far(seeded):
    """far"""
    body = {"from": "9999-12-01T00:00:00Z", "until": "9999-12-31T23:59:59-14:00", "delegate": "carol"}
    doc = signed(seeded, "alice", "absence.set", "alice", body)
    try:
        async with seeded.database.transaction() as tx:
            print(await set_absence(tx, doc, now=datetime.now(UTC)))
    except Exception as e:
        print("SET", type(e), e)
    record = await a_pending(seeded)
    try:
        print(await decide(seeded, record, "carol"))
    except Exception as e:
        print("DECIDE", type(e), str(e)[:300])
    try:
        async with seeded.database.transaction() as tx:
            print(await absences(tx, "acme", datetime.now(UTC)))
    except Exception as e:
        print("LIST", type(e), str(e)[:300])
    assert 0


async def test_told(seeded):
    """told"""
    await send_away(seeded, "carol", "dave")
    await send_away(seeded, "dave")
    record = await a_pending(seeded)
    async with seeded.database.transaction() as tx:
        r = await routing(tx, record.request, (2, 3))
        print([(p.name, p.tier, p.away, p.on_topic, p.stand_in and p.stand_in.name) for p in r.approvers])
        print([p.name for p in r.recipients((2,))], [p.name for p in r.recipients((3,))])
        print([p.name for p in r.leads])
    assert 0
