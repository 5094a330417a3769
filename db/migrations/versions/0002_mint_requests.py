"""Mint requests with their guards, approvals, stage runs, comments."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE mint_request_transitions (
    from_status varchar NOT NULL,
    to_status varchar NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO mint_request_transitions (from_status, to_status) VALUES
    ('PENDING', 'APPROVED'), ('PENDING', 'REJECTED'), ('PENDING', 'CANCELLED'), ('PENDING', 'EXPIRED'),
    ('APPROVED', 'SUBMITTING'), ('APPROVED', 'FAILED'),
    ('SUBMITTING', 'CONFIRMED'), ('SUBMITTING', 'FAILED'), ('SUBMITTING', 'TIMEOUT_FAILED'),
    ('SUBMITTING', 'ANOMALY'),
    ('ANOMALY', 'CONFIRMED'), ('ANOMALY', 'FAILED'), ('ANOMALY', 'TIMEOUT_FAILED');

CREATE TABLE mint_requests (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL REFERENCES tenants (code),
    network_passphrase varchar NOT NULL,
    asset_code varchar NOT NULL,
    asset_issuer varchar NOT NULL,
    amount bigint NOT NULL,
    destination varchar NOT NULL,
    topic varchar NOT NULL,
    requester varchar NOT NULL,
    memo varchar NOT NULL,
    resubmission_of varchar REFERENCES mint_requests (id),
    ledger_deadline timestamptz,
    digest varchar NOT NULL,
    track_number varchar NOT NULL,
    policy_id varchar NOT NULL REFERENCES escalation_policies (id),
    rule jsonb NOT NULL,
    sla_scale integer NOT NULL,
    run_id varchar NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    status varchar NOT NULL,
    version integer NOT NULL,
    granted_tiers integer[] NOT NULL,
    next_stage integer NOT NULL,
    escalation_level integer NOT NULL,
    assignee varchar,
    last_activity_at timestamptz NOT NULL,
    decided_at timestamptz,
    ended_at timestamptz,
    reason varchar NOT NULL,
    FOREIGN KEY (tenant, topic) REFERENCES topics (tenant, code),
    FOREIGN KEY (tenant, requester) REFERENCES users (tenant, name),
    FOREIGN KEY (tenant, assignee) REFERENCES users (tenant, name),
    CONSTRAINT mint_requests_resubmitted_once UNIQUE (resubmission_of),
    CONSTRAINT mint_requests_track_number UNIQUE (track_number),
    CONSTRAINT mint_requests_id CHECK (id ~ '^mr_[0-9A-Z]{26}$'),
    CONSTRAINT mint_requests_amount CHECK (amount > 0),
    CONSTRAINT mint_requests_destination CHECK (destination <> asset_issuer),
    CONSTRAINT mint_requests_memo CHECK (length(memo) <= 2000),
    CONSTRAINT mint_requests_digest CHECK (digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT mint_requests_scale CHECK (sla_scale >= 1),
    CONSTRAINT mint_requests_expiry CHECK (expires_at > created_at),
    CONSTRAINT mint_requests_not_its_own CHECK (resubmission_of <> id),
    CONSTRAINT mint_requests_status CHECK (status IN ('PENDING', 'APPROVED', 'SUBMITTING', 'CONFIRMED',
        'FAILED', 'TIMEOUT_FAILED', 'ANOMALY', 'REJECTED', 'CANCELLED', 'EXPIRED')),
    CONSTRAINT mint_requests_ended CHECK ((ended_at IS NOT NULL) = (status IN
        ('CONFIRMED', 'FAILED', 'TIMEOUT_FAILED', 'REJECTED', 'CANCELLED', 'EXPIRED'))),
    CONSTRAINT mint_requests_decided CHECK (decided_at IS NOT NULL OR status IN ('PENDING', 'EXPIRED')),
    CONSTRAINT mint_requests_decided_in_time CHECK (decided_at < expires_at),
    CONSTRAINT mint_requests_stages CHECK (next_stage >= 0 AND escalation_level >= 0)
);
CREATE INDEX mint_requests_open ON mint_requests (created_at) WHERE ended_at IS NULL;
CREATE INDEX mint_requests_decided ON mint_requests (tenant, asset_code, asset_issuer, decided_at);

CREATE TABLE approvals (
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    approver varchar NOT NULL,
    tier integer NOT NULL,
    decision_id varchar NOT NULL,
    reason varchar NOT NULL,
    digest varchar NOT NULL,
    envelope jsonb NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (request_id, approver),
    CONSTRAINT approvals_decision UNIQUE (decision_id),
    CONSTRAINT approvals_tier CHECK (tier BETWEEN 1 AND 3)
);
CREATE TABLE stage_runs (
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    stage integer NOT NULL,
    due_at timestamptz NOT NULL,
    ran_at timestamptz NOT NULL,
    granted_tier integer,
    routed boolean NOT NULL,
    PRIMARY KEY (request_id, stage),
    CONSTRAINT stage_runs_stage CHECK (stage >= 0),
    CONSTRAINT stage_runs_tier CHECK (granted_tier BETWEEN 1 AND 3)
);
CREATE TABLE comments (
    id varchar PRIMARY KEY,
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    author varchar NOT NULL,
    text varchar NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT comments_text CHECK (length(text) BETWEEN 1 AND 2000)
);
CREATE INDEX comments_by_request ON comments (request_id);
"""

# One trigger guards every way to write a request: birth, content, transition, version.
GUARDS = """
CREATE FUNCTION guard_mint_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'PENDING' OR NEW.version <> 1 THEN
            RAISE EXCEPTION 'a mint request is born PENDING with version 1' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.tenant, NEW.network_passphrase, NEW.asset_code, NEW.asset_issuer, NEW.amount, NEW.destination,
        NEW.topic, NEW.requester, NEW.memo, NEW.resubmission_of, NEW.ledger_deadline, NEW.digest, NEW.track_number,
        NEW.policy_id, NEW.rule, NEW.sla_scale, NEW.run_id, NEW.created_at, NEW.expires_at)
       IS DISTINCT FROM
       (OLD.id, OLD.tenant, OLD.network_passphrase, OLD.asset_code, OLD.asset_issuer, OLD.amount, OLD.destination,
        OLD.topic, OLD.requester, OLD.memo, OLD.resubmission_of, OLD.ledger_deadline, OLD.digest, OLD.track_number,
        OLD.policy_id, OLD.rule, OLD.sla_scale, OLD.run_id, OLD.created_at, OLD.expires_at) THEN
        RAISE EXCEPTION 'the content of mint request % never changes', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'mint request % is % already', OLD.id, OLD.status USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION 'mint request % is at version %', OLD.id, OLD.version USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status <> OLD.status AND NOT EXISTS (SELECT 1 FROM mint_request_transitions
            WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'a mint request can''t go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER mint_requests_guard BEFORE INSERT OR UPDATE ON mint_requests
    FOR EACH ROW EXECUTE FUNCTION guard_mint_request();
CREATE TRIGGER mint_requests_kept BEFORE DELETE ON mint_requests
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER mint_request_transitions_fixed
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON mint_request_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_approval() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE request mint_requests;
BEGIN
    SELECT * INTO request FROM mint_requests WHERE id = NEW.request_id;
    IF request.status <> 'PENDING' OR NEW.at >= request.expires_at THEN
        RAISE EXCEPTION 'mint request % takes no approvals any more', NEW.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.approver = request.requester THEN
        RAISE EXCEPTION 'four eyes: the requester can''t approve' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.digest <> request.digest THEN
        RAISE EXCEPTION 'the approval was signed for other content' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_guard BEFORE INSERT ON approvals
    FOR EACH ROW EXECUTE FUNCTION guard_approval();
CREATE TRIGGER approvals_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON approvals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GUARDS)


def downgrade() -> None:
    op.execute("DROP TABLE comments, stage_runs, approvals, mint_requests, mint_request_transitions")
    op.execute("DROP FUNCTION guard_approval(), guard_mint_request()")
