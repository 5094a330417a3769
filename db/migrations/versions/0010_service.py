"""SLA, assignment, absence, conversation, uploads, one-time codes."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

DICTIONARIES = """
CREATE TABLE calendars (
    tenant varchar NOT NULL REFERENCES tenants (code),
    code varchar NOT NULL,
    name varchar NOT NULL,
    time_zone varchar NOT NULL,
    hours jsonb NOT NULL,
    country varchar,
    subdivision varchar,
    holidays varchar[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant, code),
    CONSTRAINT calendars_subdivision CHECK (subdivision IS NULL OR country IS NOT NULL)
);
ALTER TABLE topics
    ADD COLUMN calendar varchar,
    ADD COLUMN auto_assign_after_hours integer NOT NULL DEFAULT 24,
    ADD CONSTRAINT topics_tenant_calendar_fkey FOREIGN KEY (tenant, calendar) REFERENCES calendars (tenant, code),
    ADD CONSTRAINT topics_auto_assign CHECK (auto_assign_after_hours > 0);
CREATE TABLE statuses (
    tenant varchar NOT NULL REFERENCES tenants (code),
    code varchar NOT NULL,
    name varchar NOT NULL,
    type varchar NOT NULL,
    sla_hours integer,
    PRIMARY KEY (tenant, code),
    CONSTRAINT statuses_code CHECK (code IN ('PENDING', 'APPROVED', 'SUBMITTING', 'CONFIRMED',
        'FAILED', 'TIMEOUT_FAILED', 'ANOMALY', 'REJECTED', 'CANCELLED', 'EXPIRED')),
    CONSTRAINT statuses_type CHECK (type IN ('workflow', 'settlement', 'billing')),
    CONSTRAINT statuses_sla CHECK (sla_hours > 0)
);
CREATE TABLE topic_status_transitions (
    tenant varchar NOT NULL,
    topic_code varchar NOT NULL,
    from_status varchar NOT NULL,
    to_status varchar NOT NULL,
    sla_hours integer,
    PRIMARY KEY (tenant, topic_code, from_status, to_status),
    FOREIGN KEY (tenant, topic_code) REFERENCES topics (tenant, code),
    CONSTRAINT topic_status_transitions_differ CHECK (from_status <> to_status),
    CONSTRAINT topic_status_transitions_from CHECK (from_status IN ('PENDING', 'APPROVED', 'SUBMITTING', 'CONFIRMED',
        'FAILED', 'TIMEOUT_FAILED', 'ANOMALY', 'REJECTED', 'CANCELLED', 'EXPIRED')),
    CONSTRAINT topic_status_transitions_to CHECK (to_status IN ('PENDING', 'APPROVED', 'SUBMITTING', 'CONFIRMED',
        'FAILED', 'TIMEOUT_FAILED', 'ANOMALY', 'REJECTED', 'CANCELLED', 'EXPIRED')),
    CONSTRAINT topic_status_transitions_sla CHECK (sla_hours > 0)
);
ALTER TABLE users
    ADD COLUMN working_hours jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN max_load integer,
    ADD COLUMN last_assigned_at timestamptz,
    ADD CONSTRAINT users_max_load CHECK (max_load > 0);
ALTER TABLE approval_rules
    ADD COLUMN step_up_above_stroops bigint,
    ADD CONSTRAINT approval_rules_step_up CHECK (step_up_above_stroops >= 0);
CREATE TABLE absences (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL,
    user_name varchar NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    delegate varchar,
    reason varchar NOT NULL,
    set_by varchar NOT NULL,
    set_at timestamptz NOT NULL,
    envelope jsonb,
    ended_by varchar,
    FOREIGN KEY (tenant, user_name) REFERENCES users (tenant, name),
    FOREIGN KEY (tenant, delegate) REFERENCES users (tenant, name),
    CONSTRAINT absences_id CHECK (id ~ '^abs_[0-9A-Z]{26}$'),
    CONSTRAINT absences_period CHECK (ends_at >= starts_at),
    CONSTRAINT absences_readable CHECK (starts_at > '2000-01-01 00:00Z' AND ends_at < '3000-01-01 00:00Z'),
    CONSTRAINT absences_somebody_else CHECK (delegate <> user_name),
    CONSTRAINT absences_signed CHECK (delegate IS NULL OR envelope IS NOT NULL)
);
CREATE INDEX absences_of_user ON absences (tenant, user_name, ends_at);
CREATE INDEX absences_of_delegate ON absences (tenant, delegate, ends_at) WHERE delegate IS NOT NULL;
CREATE FUNCTION guard_absence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.ended_by IS NOT NULL OR NEW.ended_by IS NULL OR NEW.ends_at >= OLD.ends_at
        OR (to_jsonb(NEW) - 'ended_by' - 'ends_at') <> (to_jsonb(OLD) - 'ended_by' - 'ends_at') THEN
        RAISE EXCEPTION 'absence % can only be ended, once', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER absences_guard BEFORE UPDATE OR DELETE ON absences
    FOR EACH ROW EXECUTE FUNCTION guard_absence();
-- Somebody as they are now, and the absences with a delegate that concern them and are not over at `since`.
-- Volatile, so that its query sees what was committed while it waited for the lock; whoever sets or ends an
-- absence, changes a user or revokes a key holds it alone.
CREATE FUNCTION delegations_of(of_tenant varchar, who varchar, since timestamptz) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1633841011, hashtext(of_tenant));
    RETURN jsonb_build_object('signer', (SELECT jsonb_build_object('active', u.active, 'roles', u.roles,
            'tier', u.tier, 'public_keys', (
                SELECT coalesce(jsonb_agg(encode(k.public_key, 'hex') ORDER BY k.key_id), '[]')
                FROM approver_keys k
                WHERE k.tenant = u.tenant AND k.user_name = u.name AND k.revoked_at IS NULL))
        FROM users u WHERE u.tenant = of_tenant AND u.name = who), 'delegations', (SELECT jsonb_agg(jsonb_build_object(
        'absence', jsonb_build_object('id', a.id, 'tenant', a.tenant, 'user', a.user_name,
            'starts_at', a.starts_at, 'ends_at', a.ends_at, 'delegate', a.delegate, 'reason', a.reason,
            'set_by', a.set_by, 'set_at', a.set_at, 'ended_by', a.ended_by),
        'envelope', a.envelope,
        'absent', jsonb_build_object('name', u.name, 'active', u.active, 'roles', u.roles, 'tier', u.tier,
            'public_keys', '[]'::jsonb),
        'setter', CASE WHEN s.name IS NOT NULL THEN jsonb_build_object('name', s.name, 'active', s.active,
            'roles', s.roles, 'tier', s.tier, 'public_keys', (
                SELECT coalesce(jsonb_agg(encode(k.public_key, 'hex')), '[]') FROM approver_keys k
                WHERE k.tenant = s.tenant AND k.user_name = s.name AND k.revoked_at IS NULL)) END
        ) ORDER BY a.user_name, a.id)
    FROM (SELECT * FROM absences WHERE tenant = of_tenant AND user_name = who AND ends_at > since
            AND delegate IS NOT NULL AND ends_at > starts_at
        UNION ALL SELECT * FROM absences WHERE tenant = of_tenant AND delegate = who AND ends_at > since
            AND ends_at > starts_at) a
    JOIN users u ON u.tenant = a.tenant AND u.name = a.user_name
    LEFT JOIN users s ON s.tenant = a.tenant AND s.name = a.set_by));
END $$;
"""

REQUESTS = """
ALTER TABLE mint_requests
    ADD COLUMN status_since timestamptz,
    ADD COLUMN first_response_at timestamptz,
    ADD COLUMN unassigned_since timestamptz,
    ADD COLUMN assigned_at timestamptz,
    ADD COLUMN assigned_automatically boolean NOT NULL DEFAULT false;
-- no status changes, and a deferred check that is still due would forbid to alter the table
ALTER TABLE mint_requests DISABLE TRIGGER USER;
UPDATE mint_requests SET
    status_since = CASE WHEN status = 'PENDING' THEN created_at WHEN status = 'APPROVED' THEN decided_at
        WHEN ended_at IS NOT NULL THEN ended_at ELSE last_activity_at END,
    first_response_at = least(
        (SELECT min(at) FROM approvals a WHERE a.request_id = mint_requests.id),
        (SELECT min(c.at) FROM comments c JOIN users u ON u.tenant = mint_requests.tenant AND u.name = c.author
            WHERE c.request_id = mint_requests.id AND 'approver' = ANY (u.roles)
                AND c.author <> mint_requests.requester),
        (SELECT min(e.at) FROM audit_events e WHERE e.request_id = mint_requests.id AND e.kind = 'request.claim'),
        CASE WHEN status = 'REJECTED' THEN decided_at END),
    unassigned_since = CASE WHEN assignee IS NULL THEN created_at END,
    assigned_at = CASE WHEN assignee IS NOT NULL THEN last_activity_at END;
ALTER TABLE mint_requests ENABLE TRIGGER USER;
ALTER TABLE mint_requests
    ALTER COLUMN status_since SET NOT NULL,
    ADD CONSTRAINT mint_requests_unassigned CHECK ((assignee IS NULL) = (unassigned_since IS NOT NULL)),
    ADD CONSTRAINT mint_requests_assigned CHECK ((assignee IS NULL) = (assigned_at IS NULL)),
    ADD CONSTRAINT mint_requests_automatic CHECK (assignee IS NOT NULL OR NOT assigned_automatically);
CREATE INDEX mint_requests_in_status ON mint_requests (tenant, topic, status, sla_scale, status_since)
    INCLUDE (first_response_at);
CREATE INDEX mint_requests_responded ON mint_requests (tenant, topic)
    INCLUDE (created_at, first_response_at, sla_scale) WHERE first_response_at IS NOT NULL;
CREATE INDEX mint_requests_unassigned_since ON mint_requests (tenant, topic, sla_scale, unassigned_since)
    WHERE assignee IS NULL AND status = 'PENDING';
CREATE INDEX mint_requests_load ON mint_requests (tenant, assignee)
    WHERE assignee IS NOT NULL AND ended_at IS NULL;
CREATE INDEX mint_requests_swept ON mint_requests (assigned_at) WHERE assigned_automatically AND ended_at IS NULL;

-- stays that are over; the one that lasts is in `mint_requests` itself
CREATE TABLE mint_request_stays (
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    version integer NOT NULL,
    tenant varchar NOT NULL,
    topic varchar NOT NULL,
    status varchar NOT NULL,
    sla_scale integer NOT NULL,
    entered_at timestamptz NOT NULL,
    left_at timestamptz NOT NULL,
    PRIMARY KEY (request_id, version)
);
CREATE INDEX mint_request_stays_figures ON mint_request_stays (tenant, topic, status)
    INCLUDE (sla_scale, entered_at, left_at);
INSERT INTO mint_request_stays
    SELECT id, 1, tenant, topic, 'PENDING', sla_scale, created_at, coalesce(decided_at, ended_at, status_since)
    FROM mint_requests WHERE status <> 'PENDING';
CREATE FUNCTION note_mint_request_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mint_request_stays
        VALUES (OLD.id, NEW.version, OLD.tenant, OLD.topic, OLD.status, OLD.sla_scale, OLD.status_since, NEW.status_since);
    RETURN NULL;
END $$;
CREATE TRIGGER mint_requests_stays AFTER UPDATE ON mint_requests
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION note_mint_request_stay();
CREATE TRIGGER mint_request_stays_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON mint_request_stays
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TABLE sla_snapshots (
    at timestamptz PRIMARY KEY,
    body jsonb NOT NULL
);

ALTER TABLE approvals ADD COLUMN on_behalf_of varchar,
    ADD CONSTRAINT approvals_behalf CHECK (on_behalf_of <> approver);
CREATE UNIQUE INDEX approvals_one_authority ON approvals (request_id, (coalesce(on_behalf_of, approver)));
CREATE OR REPLACE FUNCTION guard_approval() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE request mint_requests;
BEGIN
    SELECT * INTO request FROM mint_requests WHERE id = NEW.request_id;
    IF request.status <> 'PENDING' OR NEW.at >= request.expires_at THEN
        RAISE EXCEPTION 'mint request % takes no approvals any more', NEW.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF lower(request.requester) IN (lower(NEW.approver), lower(NEW.on_behalf_of)) THEN
        RAISE EXCEPTION 'four eyes: the requester can''t approve' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.digest <> request.digest THEN
        RAISE EXCEPTION 'the approval was signed for other content' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
"""

CONVERSATION = """
ALTER TABLE comments ADD COLUMN author_kind varchar NOT NULL DEFAULT 'ADMIN_USER',
    ADD CONSTRAINT comments_author_kind CHECK (author_kind IN ('CLIENT', 'ADMIN_USER'));
CREATE TABLE attachments (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL REFERENCES tenants (code),
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    author varchar NOT NULL,
    author_kind varchar NOT NULL,
    filename varchar NOT NULL,
    content_type varchar NOT NULL,
    size bigint NOT NULL,
    sha256 varchar,
    state varchar NOT NULL,
    storage_key varchar NOT NULL,
    created_at timestamptz NOT NULL,
    stored_at timestamptz,
    CONSTRAINT attachments_id CHECK (id ~ '^att_[0-9A-Z]{26}$'),
    CONSTRAINT attachments_author_kind CHECK (author_kind IN ('CLIENT', 'ADMIN_USER')),
    CONSTRAINT attachments_filename CHECK (length(filename) BETWEEN 1 AND 200),
    CONSTRAINT attachments_size CHECK (size > 0),
    CONSTRAINT attachments_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT attachments_state CHECK (state IN ('pending', 'stored')),
    CONSTRAINT attachments_stored CHECK ((state = 'stored') = (stored_at IS NOT NULL)
        AND (state <> 'stored' OR sha256 IS NOT NULL))
);
CREATE INDEX attachments_by_request ON attachments (request_id);
CREATE INDEX attachments_stale ON attachments (created_at) WHERE state = 'pending';
CREATE TABLE one_time_codes (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL REFERENCES tenants (code),
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    purpose varchar NOT NULL,
    recipient varchar NOT NULL,
    code_hash varchar NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    decision_id varchar,
    CONSTRAINT one_time_codes_purpose CHECK (purpose IN ('track', 'step-up')),
    CONSTRAINT one_time_codes_hash CHECK (code_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT one_time_codes_tries CHECK (tries BETWEEN 0 AND 5)
);
CREATE INDEX one_time_codes_of ON one_time_codes (request_id, purpose, recipient, created_at);
CREATE INDEX one_time_codes_expired ON one_time_codes (expires_at);
ALTER TABLE notifications ADD COLUMN kind varchar;
UPDATE notifications SET kind = event, event = CASE
    WHEN event = 'event_overdue' THEN 'SLA_OVERDUE'
    WHEN event IN ('opened', 'reminder', 'escalation', 'stalled', 'event_anomaly', 'event_stalled') THEN 'ESCALATION'
    ELSE 'STATUS' END;
ALTER TABLE notifications ALTER COLUMN kind SET NOT NULL,
    ADD CONSTRAINT notifications_event CHECK
        (event IN ('MESSAGE', 'ATTACHMENT', 'STATUS', 'SLA_OVERDUE', 'ESCALATION'));
"""


def upgrade() -> None:
    op.execute(DICTIONARIES)
    op.execute(REQUESTS)
    op.execute(CONVERSATION)


def downgrade() -> None:
    op.execute("""
        ALTER TABLE notifications DROP CONSTRAINT notifications_event;
        UPDATE notifications SET event = kind;
        ALTER TABLE notifications DROP COLUMN kind;
        DROP TABLE one_time_codes, attachments;
        ALTER TABLE comments DROP COLUMN author_kind;
        DROP INDEX approvals_one_authority;
        ALTER TABLE approvals DROP COLUMN on_behalf_of;
        CREATE OR REPLACE FUNCTION guard_approval() RETURNS trigger LANGUAGE plpgsql AS $$
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
        DROP TABLE sla_snapshots, mint_request_stays CASCADE;
        DROP TRIGGER mint_requests_stays ON mint_requests;
        DROP FUNCTION note_mint_request_stay();
        DROP INDEX mint_requests_in_status, mint_requests_responded, mint_requests_unassigned_since, mint_requests_load,
            mint_requests_swept;
        ALTER TABLE mint_requests DROP COLUMN status_since, DROP COLUMN first_response_at,
            DROP COLUMN unassigned_since, DROP COLUMN assigned_at, DROP COLUMN assigned_automatically;
        DROP TABLE absences, topic_status_transitions, statuses;
        DROP FUNCTION delegations_of, guard_absence;
        ALTER TABLE approval_rules DROP COLUMN step_up_above_stroops;
        ALTER TABLE users DROP COLUMN working_hours, DROP COLUMN max_load, DROP COLUMN last_assigned_at;
        ALTER TABLE topics DROP COLUMN calendar, DROP COLUMN auto_assign_after_hours;
        DROP TABLE calendars;
    """)
