"""The audit chain: append-only, linked by hash, one chain per tenant."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE audit_heads (
    tenant varchar PRIMARY KEY REFERENCES tenants (code),
    seq bigint NOT NULL,
    hash varchar NOT NULL,
    CONSTRAINT audit_heads_hash CHECK (hash ~ '^[0-9a-f]{64}$')
);
CREATE TABLE audit_events (
    tenant varchar NOT NULL REFERENCES tenants (code),
    seq bigint NOT NULL,
    prev_hash varchar NOT NULL,
    hash varchar NOT NULL,
    request_id varchar REFERENCES mint_requests (id),
    step varchar,
    kind varchar NOT NULL,
    actor varchar NOT NULL,
    at timestamptz NOT NULL,
    body varchar NOT NULL,
    PRIMARY KEY (tenant, seq),
    CONSTRAINT audit_events_step_once UNIQUE (request_id, step),
    CONSTRAINT audit_events_step_of_request CHECK (step IS NULL OR request_id IS NOT NULL)
);
"""

# The body arrives with U+0001 where its seq belongs: canonical JSON never holds that character unescaped.
GUARDS = r"""
CREATE FUNCTION found_audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_heads (tenant, seq, hash) VALUES (NEW.code, 0, repeat('0', 64));
    RETURN NULL;
END $$;
CREATE TRIGGER tenants_audit_chain AFTER INSERT ON tenants
    FOR EACH ROW EXECUTE FUNCTION found_audit_chain();

CREATE FUNCTION link_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE head audit_heads;
BEGIN
    SELECT * INTO STRICT head FROM audit_heads WHERE tenant = NEW.tenant FOR UPDATE;
    IF position(E'\x01' IN NEW.body) = 0 THEN
        RAISE EXCEPTION 'an audit event gets its seq from the chain' USING ERRCODE = 'check_violation';
    END IF;
    NEW.seq := head.seq + 1;
    NEW.prev_hash := head.hash;
    NEW.body := replace(NEW.body, E'\x01', NEW.seq::text);
    NEW.hash := encode(sha256(decode(head.hash, 'hex') || convert_to(NEW.body, 'UTF8')), 'hex');
    UPDATE audit_heads SET seq = NEW.seq, hash = NEW.hash WHERE tenant = NEW.tenant;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_events_link BEFORE INSERT ON audit_events
    FOR EACH ROW EXECUTE FUNCTION link_audit_event();
CREATE TRIGGER audit_events_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_audit_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION '% is refused: only an audit event moves the head', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_heads_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION guard_audit_head();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GUARDS)


def downgrade() -> None:
    op.execute("DROP TRIGGER tenants_audit_chain ON tenants")
    op.execute("DROP TABLE audit_events, audit_heads")
    op.execute("DROP FUNCTION guard_audit_head(), link_audit_event(), found_audit_chain()")
