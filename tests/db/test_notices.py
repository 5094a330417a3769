"""Messages of a stage before they are written: their order, and the key that keeps each from doubling."""

import pytest

from db.writes import deliveries, dictionaries, publication
from db.writes.notices import event_notices, stage_notices
from db.writes.routing import Channel, Person, Routing
from domain.escalation import Stage
from domain.runs import EventKind, EventRun, RunState
from tests.db.factories import START as DB_START
from tests.db.factories import open_one
from tests.domain.factories import POLICY, START, make_record, make_request

PEOPLE = [
    Person(name=name, email=f"{name}@acme.example", time_zone="UTC", tier=1) for name in ("alice", "bob")
]
NAMES = ("zulu", "Alpha", "mail")
CHANNELS = [Channel(name=name, kind="email", settings={}) for name in NAMES]
AROUND = Routing(
    department_slack_channel=None, channels=CHANNELS, requester=PEOPLE[0], leads=(), approvers=PEOPLE
)
STAGES = [
    Stage(delay_seconds=0, channels=list(NAMES)),
    Stage(delay_seconds=60, channels=list(NAMES), template="reminder"),
]
RECORD = make_record(policy=POLICY.model_copy(update={"stages": STAGES}))
RUN = EventRun(
    id="esc_" + "1" * 32,
    tenant="acme",
    event_kind=EventKind.STALLED,
    request_id=RECORD.request.id,
    occurrence="approved",
    rule_id="event:submission.stalled",
    policy=RECORD.policy,
    action_hash="0" * 64,
    state=RunState.RUNNING,
    started_at=START,
)


def ids(record=RECORD, stage=0):
    """Of a stage's messages."""
    return [notice.id for notice in stage_notices(record, stage, AROUND, START)]


def test_channels_of_a_stage_come_in_lexicographic_order():
    """However the policy or the tenant lists them; each once, each with its people."""
    found = [(notice.channel, notice.recipient) for notice in stage_notices(RECORD, 0, AROUND, START)]
    assert found == [(name, person.name) for name in ("Alpha", "mail", "zulu") for person in PEOPLE]


def test_the_same_message_has_the_same_key():
    """Whoever writes it, and whatever else has happened to the request meanwhile."""
    assert ids() == ids(RECORD.model_copy(update={"version": 7, "assignee": "alice"}))
    assert len(set(ids())) == len(NAMES) * len(PEOPLE)


OTHER_TENANT = RECORD.model_copy(update={"request": make_request(tenant="other")})
OTHER_REQUEST = RECORD.model_copy(update={"request": make_request(id="mr_01KAN3D0000000000000000001")})
OTHER_POLICY = RECORD.model_copy(update={"policy": RECORD.policy.model_copy(update={"id": "p2"})})
OTHER_TEMPLATE = RECORD.model_copy(
    update={
        "policy": RECORD.policy.model_copy(
            update={"stages": [STAGES[0].model_copy(update={"template": "escalation"}), STAGES[1]]}
        )
    }
)


@pytest.mark.parametrize("other", [OTHER_TENANT, OTHER_REQUEST, OTHER_POLICY, OTHER_TEMPLATE])
def test_another_tenant_request_policy_or_template_is_another_message(other):
    """No message is taken for one that was sent already."""
    assert not set(ids()) & set(ids(other))


def test_another_stage_or_run_is_another_message():
    """Nor is one of a later stage, or of an event's run."""
    of_run = [notice.id for notice in event_notices(RECORD, RUN, 0, AROUND, START, urgent=True)]
    assert len({*ids(), *ids(stage=1), *of_run}) == 3 * len(NAMES) * len(PEOPLE)


async def test_channels_of_a_stage_are_dispatched_in_lexicographic_order(seeded):
    """The relay gets them in this order, too, whatever the policy's own is."""
    stage = Stage(delay_seconds=0, channels=["two", "one", "Three"])
    policy = seeded.policy.model_copy(update={"id": "acme-three", "stages": [stage]})
    async with seeded.database.transaction() as tx:
        for name in stage.channels:
            await dictionaries.set_channel(
                tx, tenant="acme", name=name, kind="console", settings={}, actor="adam", at=DB_START
            )
        await publication.publish_policy(tx, policy=policy, actor="adam", at=DB_START)
        await open_one(tx, policy=policy)
    async with seeded.database.transaction() as tx:
        jobs = await deliveries.claim_due(tx, limit=10, lease_seconds=60, now=DB_START)
    assert [job.channel for job in jobs] == ["Three", "one", "two"]
