"""Acknowledgements: who is on a request, and each token that was used, by its hash."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE mint_requests
    ADD COLUMN acknowledged_by varchar,
    ADD COLUMN acknowledged_at timestamptz,
    ADD CONSTRAINT mint_requests_acknowledged CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL));
CREATE TABLE acks (
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    jti varchar NOT NULL,
    delivery_id varchar NOT NULL REFERENCES deliveries (id),
    recipient varchar NOT NULL,
    stage integer NOT NULL,
    token_sha256 varchar NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (request_id, jti),
    CONSTRAINT acks_jti CHECK (jti ~ '^[0-9a-f]{64}$'),
    CONSTRAINT acks_token CHECK (token_sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT acks_stage CHECK (stage >= 0)
);
CREATE TRIGGER acks_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON acks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE acks")
    op.execute("ALTER TABLE mint_requests DROP COLUMN acknowledged_by, DROP COLUMN acknowledged_at")
