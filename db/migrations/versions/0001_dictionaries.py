"""Tenants, people, topics, keys, rules, policies, channels."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE tenants (
    code varchar PRIMARY KEY,
    name varchar NOT NULL,
    active boolean NOT NULL,
    CONSTRAINT tenants_code_plain CHECK (code ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);
CREATE TABLE departments (
    tenant varchar NOT NULL REFERENCES tenants (code),
    code varchar NOT NULL,
    name varchar NOT NULL,
    slack_channel varchar,
    PRIMARY KEY (tenant, code)
);
CREATE TABLE topics (
    tenant varchar NOT NULL,
    code varchar NOT NULL,
    name varchar NOT NULL,
    department varchar NOT NULL,
    active boolean NOT NULL,
    PRIMARY KEY (tenant, code),
    FOREIGN KEY (tenant, department) REFERENCES departments (tenant, code)
);
CREATE TABLE users (
    tenant varchar NOT NULL REFERENCES tenants (code),
    name varchar NOT NULL,
    roles varchar[] NOT NULL,
    tier integer,
    active boolean NOT NULL,
    email varchar,
    telegram_chat varchar,
    time_zone varchar NOT NULL,
    primary_topic varchar,
    PRIMARY KEY (tenant, name),
    FOREIGN KEY (tenant, primary_topic) REFERENCES topics (tenant, code),
    CONSTRAINT users_roles_known
        CHECK (roles <@ ARRAY['requester', 'approver', 'admin', 'auditor']::varchar[]),
    CONSTRAINT users_tier_known CHECK (tier BETWEEN 1 AND 3),
    CONSTRAINT users_approver_has_tier CHECK (tier IS NOT NULL OR NOT 'approver' = ANY (roles))
);
CREATE TABLE user_topics (
    tenant varchar NOT NULL,
    user_name varchar NOT NULL,
    topic varchar NOT NULL,
    PRIMARY KEY (tenant, user_name, topic),
    FOREIGN KEY (tenant, user_name) REFERENCES users (tenant, name),
    FOREIGN KEY (tenant, topic) REFERENCES topics (tenant, code)
);
CREATE TABLE department_leads (
    tenant varchar NOT NULL,
    department varchar NOT NULL,
    user_name varchar NOT NULL,
    PRIMARY KEY (tenant, department, user_name),
    FOREIGN KEY (tenant, department) REFERENCES departments (tenant, code),
    FOREIGN KEY (tenant, user_name) REFERENCES users (tenant, name)
);
CREATE TABLE approver_keys (
    tenant varchar NOT NULL,
    user_name varchar NOT NULL,
    key_id varchar NOT NULL,
    public_key bytea NOT NULL,
    registered_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (tenant, user_name, key_id),
    FOREIGN KEY (tenant, user_name) REFERENCES users (tenant, name),
    CONSTRAINT approver_keys_one_person UNIQUE (tenant, public_key),
    CONSTRAINT approver_keys_ed25519 CHECK (octet_length(public_key) = 32)
);
CREATE TABLE approval_rules (
    tenant varchar NOT NULL REFERENCES tenants (code),
    position integer NOT NULL,
    asset varchar NOT NULL,
    min_stroops bigint NOT NULL,
    max_stroops bigint NOT NULL,
    approvals integer NOT NULL,
    min_tier integer NOT NULL,
    at_least_one_of_tier integer,
    daily_cap_stroops bigint,
    PRIMARY KEY (tenant, position),
    CONSTRAINT approval_rules_position CHECK (position >= 0),
    CONSTRAINT approval_rules_band CHECK (min_stroops >= 0 AND max_stroops >= greatest(min_stroops, 1)),
    CONSTRAINT approval_rules_approvals CHECK (approvals BETWEEN 1 AND 20),
    CONSTRAINT approval_rules_tiers
        CHECK (min_tier BETWEEN 1 AND 3 AND (at_least_one_of_tier IS NULL OR at_least_one_of_tier BETWEEN 1 AND 3)),
    CONSTRAINT approval_rules_cap CHECK (daily_cap_stroops > 0)
);
CREATE TABLE escalation_policies (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL REFERENCES tenants (code),
    name varchar NOT NULL,
    content_hash varchar NOT NULL,
    body jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    published_by varchar NOT NULL,
    CONSTRAINT escalation_policies_hash CHECK (content_hash ~ '^[0-9a-f]{64}$')
);
CREATE TABLE tenant_defaults (
    tenant varchar PRIMARY KEY REFERENCES tenants (code),
    policy_id varchar NOT NULL REFERENCES escalation_policies (id),
    switched_at timestamptz NOT NULL,
    switched_by varchar NOT NULL
);
CREATE TABLE notification_channels (
    tenant varchar NOT NULL REFERENCES tenants (code),
    name varchar NOT NULL,
    kind varchar NOT NULL,
    settings jsonb NOT NULL,
    PRIMARY KEY (tenant, name),
    CONSTRAINT notification_channels_kind
        CHECK (kind IN ('in-app', 'slack', 'email', 'telegram', 'console'))
);
"""

GUARDS = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is refused: rows of % never change', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER escalation_policies_immutable BEFORE UPDATE ON escalation_policies
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GUARDS)


def downgrade() -> None:
    op.execute(
        "DROP TABLE notification_channels, tenant_defaults, escalation_policies, approval_rules, approver_keys,"
        " department_leads, user_topics, users, topics, departments, tenants"
    )
    op.execute("DROP FUNCTION refuse_change()")
