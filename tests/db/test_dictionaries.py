"""What admins maintain: checks, audit, and policies that the people who exist can live up to."""

import pytest
from sqlalchemy import text

from db import reads
from db.seed import seed_demo_tenant
from db.writes import dictionaries, publication
from domain.approvals import ApprovalRule
from domain.dsse import key_id
from domain.errors import InvalidInput, NotFound, Refused
from domain.escalation import Grants, Notify, Stage
from tests.db.factories import START

BY = {"actor": "adam", "at": START}


async def events(tx):
    """How many audit events the tenant has."""
    return (await reads.audit_head(tx, "acme")).seq


async def test_seeding_again_changes_nothing(seeded):
    """The local stack seeds at every start: the second time writes no row and no audit event."""
    public = {name: key.public_key().public_bytes_raw() for name, key in seeded.keys.items()}
    async with seeded.database.transaction() as tx:
        before = await events(tx)
        await seed_demo_tenant(tx, public, None, START)
        assert await events(tx) == before


async def test_the_demo_tenant_is_complete(seeded):
    """People, tiers, topics, keys, rules and policy are what the documentation promises."""
    async with seeded.database.transaction() as tx:
        users = {user.name: user for user in await reads.users(tx, "acme")}
        assert {name: user.tier for name, user in users.items() if user.tier} == {
            "alice": 1,
            "bob": 1,
            "carol": 2,
            "dave": 3,
        }
        assert [topic.code for topic in await reads.topics(tx, "acme")] == ["treasury-eu", "treasury-us"]
        assert [tenant.code for tenant in await reads.tenants(tx)] == ["acme"]
        assert [rule.approvals for rule in await reads.rules(tx, "acme")] == [1, 2]
        assert await reads.current_policy(tx, "acme") == seeded.policy
        assert await reads.policy(tx, seeded.policy.id) == seeded.policy
        signer = await reads.signer(tx, "acme", "alice")
    assert signer.public_keys == (seeded.keys["alice"].public_key().public_bytes_raw(),)
    assert (signer.active, signer.roles, signer.tier) == (True, frozenset({"approver"}), 1)


async def test_changes_are_audited_without_contact_data(seeded):
    """Who changed what is in the chain; addresses, which it could never forget, are not."""
    async with seeded.database.transaction() as tx:
        await dictionaries.set_user(
            tx, tenant="acme", name="zoe", roles=["requester"], email="zoe@acme.example", **BY
        )
        event = (await reads.audit_events(tx, "acme"))[-1]
    assert '"actor":"adam"' in event.body
    assert '"kind":"users.set"' in event.body
    assert "zoe@acme.example" not in event.body


async def test_a_revoked_key_signs_nothing(seeded):
    """Revoked keys are not among a signer's, and a key of one user can't become another's."""
    alice = seeded.keys["alice"].public_key().public_bytes_raw()
    async with seeded.database.transaction() as tx:
        with pytest.raises(InvalidInput, match="belongs to alice"):
            await dictionaries.register_key(tx, tenant="acme", user="bob", public_key=alice, **BY)
        with pytest.raises(InvalidInput, match="32 bytes"):
            await dictionaries.register_key(tx, tenant="acme", user="bob", public_key=b"short", **BY)
        identifier = await dictionaries.register_key(tx, tenant="acme", user="alice", public_key=alice, **BY)
        before = await events(tx)
        for _ in range(2):
            await dictionaries.revoke_key(tx, tenant="acme", user="alice", key_id=identifier, **BY)
        assert await events(tx) == before + 1
        assert (await reads.signer(tx, "acme", "alice")).public_keys == ()
        with pytest.raises(NotFound):
            await dictionaries.revoke_key(tx, tenant="acme", user="alice", key_id="other", **BY)


async def test_a_deactivated_user_stays_known(seeded):
    """Who is gone is no longer active, and what they did still has their name."""
    async with seeded.database.transaction() as tx:
        await dictionaries.deactivate_user(tx, tenant="acme", name="bob", **BY)
        assert (await reads.signer(tx, "acme", "bob")).active is False
        with pytest.raises(NotFound, match="unknown user 'zoe'"):
            await dictionaries.deactivate_user(tx, tenant="acme", name="zoe", **BY)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"roles": ["approver"]}, InvalidInput, "needs a tier"),
        ({"time_zone": "Mars/Base"}, InvalidInput, "no IANA time zone"),
        ({"primary_topic": "nowhere"}, NotFound, "unknown topic"),
        ({"topics": ["nowhere"]}, NotFound, "unknown topic"),
        ({"tenant": "other"}, NotFound, "unknown tenant"),
    ],
)
async def test_users_are_checked(seeded, change, error, message):
    """A user with an unknown topic, zone, tenant, or an approver without a tier, is refused."""
    fields = {"tenant": "acme", "name": "zoe", "roles": ["requester"], **change}
    async with seeded.database.transaction() as tx:
        with pytest.raises(error, match=message):
            await dictionaries.set_user(tx, **fields, **BY)


async def test_channels_are_checked(seeded):
    """A channel has a known kind, and a group channel says where it posts."""
    async with seeded.database.transaction() as tx:
        with pytest.raises(InvalidInput, match="unknown channel kind"):
            await dictionaries.set_channel(tx, tenant="acme", name="x", kind="pigeon", settings={}, **BY)
        with pytest.raises(InvalidInput, match="needs the setting 'chat_id'"):
            await dictionaries.set_channel(tx, tenant="acme", name="x", kind="telegram", settings={}, **BY)


async def test_rules_are_set_and_removed(seeded):
    """A rule is replaced at its position, and can be removed once."""
    async with seeded.database.transaction() as tx:
        rule = ApprovalRule(tenant="acme", position=10, approvals=2, daily_cap_stroops=2**62)
        await dictionaries.set_rule(tx, rule=rule, **BY)
        assert (await reads.rules(tx, "acme"))[0] == rule
        await dictionaries.remove_rule(tx, tenant="acme", position=10, **BY)
        with pytest.raises(NotFound, match="no approval rule at position 10"):
            await dictionaries.remove_rule(tx, tenant="acme", position=10, **BY)


async def test_leads_and_departments_must_exist(seeded):
    """A lead is a known user of a known department."""
    async with seeded.database.transaction() as tx:
        with pytest.raises(NotFound, match="unknown department"):
            await dictionaries.set_lead(tx, tenant="acme", department="x", user="lena", **BY)
        with pytest.raises(NotFound, match="unknown user"):
            await dictionaries.set_lead(tx, tenant="acme", department="treasury", user="x", **BY)
        with pytest.raises(NotFound, match="unknown department"):
            await dictionaries.set_topic(tx, tenant="acme", code="t", name="T", department="x", **BY)


def variant(seeded, **changes):
    """The demo policy under another id, changed."""
    return seeded.policy.model_copy(update={"id": "acme-mint-2", **changes})


async def publish(seeded, policy):
    """Publish in a transaction of its own."""
    async with seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, **BY)


async def test_a_published_policy_is_immutable(seeded):
    """The same content again changes nothing; other content under the same id is refused."""
    await publish(seeded, seeded.policy)
    with pytest.raises(Refused, match="give the new version a new id"):
        await publish(seeded, seeded.policy.model_copy(update={"auto_close_minutes": 5000}))


async def test_a_new_policy_is_switched_on_separately(seeded):
    """Publishing alone changes nothing for new requests; switching does."""
    policy = variant(seeded, auto_close_minutes=2000)
    await publish(seeded, policy)
    async with seeded.database.transaction() as tx:
        assert await reads.current_policy(tx, "acme") == seeded.policy
        await publication.switch_policy(tx, tenant="acme", policy_id=policy.id, **BY)
        assert await reads.current_policy(tx, "acme") == policy
        with pytest.raises(NotFound, match="no published policy"):
            await publication.switch_policy(tx, tenant="acme", policy_id="other", **BY)


async def test_a_policy_names_existing_channels(seeded):
    """A stage that names an unknown channel is refused."""
    with pytest.raises(Refused, match="no channel pigeon"):
        await publish(seeded, variant(seeded, stages=[Stage(delay_seconds=0, channels=["pigeon"])]))


async def test_a_notified_tier_must_be_reachable(seeded):
    """A stage that tells a tier which has nobody, or nobody with an address, is refused."""
    stage = Stage(delay_seconds=0, channels=["email"], notify=Notify(tier=3), grants=Grants(tier=3))
    async with seeded.database.transaction() as tx:
        await tx.execute(text("UPDATE users SET email = NULL WHERE name = 'dave'"))
    with pytest.raises(Refused, match="tells tier 3"):
        await publish(seeded, variant(seeded, stages=[stage]))
    async with seeded.database.transaction() as tx:
        await dictionaries.deactivate_user(tx, tenant="acme", name="carol", **BY)
    with pytest.raises(Refused, match="tells tier 2"):
        await publish(seeded, variant(seeded))


async def test_every_rule_must_be_satisfiable(seeded):
    """A policy under which a rule can never be satisfied is refused: no deadlock."""
    rule = ApprovalRule(tenant="acme", position=5, approvals=5)
    async with seeded.database.transaction() as tx:
        await dictionaries.set_rule(tx, rule=rule, **BY)
    with pytest.raises(Refused, match="rule 5 can never be satisfied"):
        await publish(seeded, variant(seeded, name="other"))


async def test_a_senior_approver_must_exist_besides_the_requester(seeded):
    """The only approver of a needed tier can't approve their own request."""
    async with seeded.database.transaction() as tx:
        for name, roles, tier in (("carol", ["approver", "requester"], 2), ("dave", ["auditor"], None)):
            await dictionaries.set_user(
                tx, tenant="acme", name=name, roles=roles, tier=tier, email="x@acme.example", **BY
            )
    policy = variant(seeded, stages=seeded.policy.stages[:2])
    with pytest.raises(Refused, match=r"rule 20 .* request of carol: .* none of tier 2"):
        await publish(seeded, policy)


async def test_who_has_left_or_can_not_sign_approves_nothing(seeded):
    """Inactive people and revoked keys are no way out; switching looks at both again."""
    policy = variant(seeded)
    await publish(seeded, policy)
    async with seeded.database.transaction() as tx:
        alice = (await reads.signer(tx, "acme", "alice")).public_keys[0]
        await dictionaries.revoke_key(tx, tenant="acme", user="alice", key_id=key_id(alice), **BY)
        await publication.switch_policy(tx, tenant="acme", policy_id=policy.id, **BY)
        await dictionaries.deactivate_user(tx, tenant="acme", name="bob", **BY)
        # the rule is of tier 1 and, by the stages of the policy, of tiers 2 and 3
        rule = ApprovalRule(tenant="acme", position=5, approvals=3)
        await dictionaries.set_rule(tx, rule=rule, **BY)
        with pytest.raises(Refused, match=r"rule 5 .* 2 of 3 .*\(carol, dave\); register a key for alice"):
            await publication.switch_policy(tx, tenant="acme", policy_id=seeded.policy.id, **BY)


async def test_an_unknown_tenant_publishes_nothing(seeded):
    """A policy belongs to a known tenant."""
    with pytest.raises(NotFound, match="unknown tenant"):
        await publish(seeded, variant(seeded, tenant="other"))


async def test_a_slack_account_is_one_users(seeded):
    """Linked to somebody already: refused; another tenant may link it too, and it is free once unlinked."""
    values = {**BY, "tenant": "acme", "name": "bob", "roles": ["approver"], "tier": 1}
    async with seeded.database.transaction() as tx:
        with pytest.raises(InvalidInput, match="U0ALICE is linked to alice already"):
            await dictionaries.set_user(tx, **values, slack_user="U0ALICE")
        await dictionaries.set_tenant(tx, tenant="globex", name="Globex", **BY)
        other = {**values, "tenant": "globex"}
        await dictionaries.set_user(tx, **other, slack_user="U0ALICE")
        await dictionaries.set_user(tx, **{**values, "name": "alice"}, slack_user=None)
        await dictionaries.set_user(tx, **values, slack_user="U0ALICE")
        users = {user.name: user.slack_user for user in await reads.users(tx, "acme")}
    assert (users["alice"], users["bob"]) == (None, "U0ALICE")


async def test_a_slack_account_is_not_copied_into_the_audit_chain(seeded):
    """It is a way to reach a person, which the chain could not forget."""
    async with seeded.database.transaction() as tx:
        assert "U0ALICE" not in str([event.body for event in await reads.audit_events(tx, "acme")])
