"""The transactional outbox: deliveries, their attempts, in-app notifications."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE deliveries (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL REFERENCES tenants (code),
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    kind varchar NOT NULL,
    stage integer,
    channel varchar NOT NULL,
    channel_kind varchar NOT NULL,
    target varchar NOT NULL,
    recipient varchar NOT NULL,
    time_zone varchar NOT NULL,
    facts jsonb NOT NULL,
    state varchar NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    backoff_seconds integer NOT NULL,
    due_at timestamptz NOT NULL,
    next_attempt_at timestamptz,
    lease_until timestamptz,
    accepted_at timestamptz,
    provider_id varchar NOT NULL,
    note varchar NOT NULL,
    error varchar NOT NULL,
    CONSTRAINT deliveries_id CHECK (id ~ '^[0-9a-f]{64}$'),
    CONSTRAINT deliveries_channel_kind
        CHECK (channel_kind IN ('in-app', 'slack', 'email', 'telegram', 'console')),
    CONSTRAINT deliveries_state CHECK (state IN
        ('pending', 'sending', 'accepted', 'failed', 'ambiguous', 'dead', 'skipped')),
    CONSTRAINT deliveries_attempts CHECK (attempt >= 0 AND max_attempts >= 1 AND backoff_seconds >= 0),
    CONSTRAINT deliveries_next CHECK ((next_attempt_at IS NOT NULL) = (state IN ('pending', 'failed', 'ambiguous'))),
    CONSTRAINT deliveries_lease CHECK ((lease_until IS NOT NULL) = (state = 'sending')),
    CONSTRAINT deliveries_accepted CHECK ((accepted_at IS NOT NULL) = (state = 'accepted'))
);
CREATE INDEX deliveries_by_request ON deliveries (request_id);
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE lease_until IS NOT NULL;
CREATE TABLE delivery_attempts (
    delivery_id varchar NOT NULL REFERENCES deliveries (id),
    attempt integer NOT NULL,
    started_at timestamptz NOT NULL,
    outcome varchar,
    detail varchar NOT NULL,
    PRIMARY KEY (delivery_id, attempt),
    CONSTRAINT delivery_attempts_outcome
        CHECK (outcome IN ('accepted', 'failed', 'ambiguous', 'dead', 'skipped'))
);
CREATE TABLE notifications (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL REFERENCES tenants (code),
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    recipient_kind varchar NOT NULL,
    recipient varchar NOT NULL,
    event varchar NOT NULL,
    body varchar NOT NULL,
    created_at timestamptz NOT NULL,
    read_at timestamptz,
    CONSTRAINT notifications_recipient_kind CHECK (recipient_kind IN ('CLIENT', 'ADMIN_USER'))
);
CREATE INDEX notifications_by_recipient ON notifications (tenant, recipient, created_at);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE notifications, delivery_attempts, deliveries")
