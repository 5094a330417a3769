"""Runs of operational events, event rules, quiet hours, and what deliveries need beside their first attempt."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

DICTIONARIES = """
ALTER TABLE tenants ADD COLUMN quiet_hours jsonb NOT NULL DEFAULT '[]';
ALTER TABLE users ADD COLUMN quiet_hours jsonb NOT NULL DEFAULT '[]';
ALTER TABLE escalation_policies
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN deleted_by varchar,
    ADD CONSTRAINT escalation_policies_deleted CHECK ((deleted_at IS NULL) = (deleted_by IS NULL));
DROP TRIGGER escalation_policies_immutable ON escalation_policies;
-- a policy can be withdrawn once; its row stays, for the requests and the audit that name it
CREATE TRIGGER escalation_policies_immutable BEFORE UPDATE ON escalation_policies
    FOR EACH ROW WHEN (OLD.deleted_at IS NOT NULL
        OR (NEW.id, NEW.tenant, NEW.name, NEW.content_hash, NEW.body, NEW.published_at, NEW.published_by)
        IS DISTINCT FROM
        (OLD.id, OLD.tenant, OLD.name, OLD.content_hash, OLD.body, OLD.published_at, OLD.published_by))
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER escalation_policies_kept BEFORE DELETE ON escalation_policies
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TABLE event_rules (
    tenant varchar NOT NULL REFERENCES tenants (code),
    event_kind varchar NOT NULL,
    action varchar NOT NULL,
    policy_id varchar REFERENCES escalation_policies (id),
    urgent boolean NOT NULL,
    PRIMARY KEY (tenant, event_kind),
    CONSTRAINT event_rules_kind CHECK (event_kind IN ('request.anomaly', 'submission.stalled', 'sla.overdue')),
    CONSTRAINT event_rules_action CHECK (action IN ('escalate', 'inform', 'ignore')),
    CONSTRAINT event_rules_policy CHECK ((policy_id IS NOT NULL) = (action = 'escalate'))
);
ALTER TABLE notification_channels DROP CONSTRAINT notification_channels_kind,
    ADD CONSTRAINT notification_channels_kind CHECK
        (kind IN ('in-app', 'slack', 'email', 'telegram', 'pagerduty', 'webhook', 'console'));
"""

RUNS = """
ALTER TABLE mint_requests
    ADD COLUMN escalation_cancelled_by varchar,
    ADD COLUMN escalation_cancelled_at timestamptz,
    ADD CONSTRAINT mint_requests_escalation_cancelled
        CHECK ((escalation_cancelled_by IS NULL) = (escalation_cancelled_at IS NULL));
CREATE TABLE escalation_runs (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL REFERENCES tenants (code),
    event_kind varchar NOT NULL,
    request_id varchar NOT NULL REFERENCES mint_requests (id),
    occurrence varchar NOT NULL,
    rule_id varchar NOT NULL,
    policy_id varchar REFERENCES escalation_policies (id),
    action_hash varchar NOT NULL,
    urgent boolean NOT NULL DEFAULT true,
    sla_scale integer NOT NULL,
    state varchar NOT NULL,
    version integer NOT NULL,
    next_stage integer NOT NULL,
    started_at timestamptz NOT NULL,
    closes_at timestamptz,
    acknowledged_by varchar,
    acknowledged_at timestamptz,
    ended_at timestamptz,
    ended_by varchar,
    reason varchar NOT NULL,
    CONSTRAINT escalation_runs_once UNIQUE (tenant, event_kind, request_id, occurrence),
    CONSTRAINT escalation_runs_id CHECK (id ~ '^esc_[0-9a-f]{32}$'),
    CONSTRAINT escalation_runs_hash CHECK (action_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT escalation_runs_state CHECK
        (state IN ('running', 'cancelled', 'closed', 'resolved', 'throttled', 'suppressed')),
    CONSTRAINT escalation_runs_scale CHECK (sla_scale >= 1 AND version >= 1 AND next_stage >= 0),
    CONSTRAINT escalation_runs_policy CHECK (state = 'suppressed' OR (policy_id IS NOT NULL AND closes_at IS NOT NULL)),
    CONSTRAINT escalation_runs_acknowledged CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL)),
    CONSTRAINT escalation_runs_ended CHECK ((ended_at IS NULL) = (state = 'running')
        AND (ended_at IS NULL) = (ended_by IS NULL))
);
CREATE INDEX escalation_runs_running ON escalation_runs (tenant, started_at) WHERE ended_at IS NULL;
CREATE INDEX escalation_runs_alike ON escalation_runs (action_hash, started_at);
CREATE INDEX escalation_runs_by_request ON escalation_runs (request_id);
CREATE FUNCTION guard_escalation_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'escalation run % is % already', OLD.id, OLD.state USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.id, NEW.tenant, NEW.event_kind, NEW.request_id, NEW.occurrence, NEW.rule_id, NEW.policy_id,
        NEW.action_hash, NEW.urgent, NEW.sla_scale, NEW.started_at, NEW.closes_at)
       IS DISTINCT FROM
       (OLD.id, OLD.tenant, OLD.event_kind, OLD.request_id, OLD.occurrence, OLD.rule_id, OLD.policy_id,
        OLD.action_hash, OLD.urgent, OLD.sla_scale, OLD.started_at, OLD.closes_at) THEN
        RAISE EXCEPTION 'what escalation run % is about never changes', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION 'escalation run % moves one version at a time', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER escalation_runs_guard BEFORE UPDATE ON escalation_runs
    FOR EACH ROW EXECUTE FUNCTION guard_escalation_run();
CREATE TRIGGER escalation_runs_kept BEFORE DELETE OR TRUNCATE ON escalation_runs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TABLE escalation_stage_runs (
    run_id varchar NOT NULL REFERENCES escalation_runs (id),
    stage integer NOT NULL,
    due_at timestamptz NOT NULL,
    ran_at timestamptz NOT NULL,
    routed boolean NOT NULL,
    PRIMARY KEY (run_id, stage),
    CONSTRAINT escalation_stage_runs_stage CHECK (stage >= 0)
);
ALTER TABLE acks ADD COLUMN run_id varchar REFERENCES escalation_runs (id);
CREATE INDEX audit_events_cancelled ON audit_events (request_id) WHERE kind = 'escalation.cancelled';
"""

DELIVERIES = """
ALTER TABLE deliveries
    ADD COLUMN run_id varchar REFERENCES escalation_runs (id),
    ADD COLUMN deferred_until timestamptz,
    ADD COLUMN slot_at timestamptz,
    ADD COLUMN fallback_of varchar REFERENCES deliveries (id),
    ADD COLUMN delivered_at timestamptz,
    ADD COLUMN revise_at timestamptz,
    ADD COLUMN revise_lease timestamptz,
    ADD COLUMN revised_at timestamptz,
    ADD COLUMN revise_attempt integer NOT NULL DEFAULT 0,
    ADD COLUMN ack_revoked_at timestamptz,
    ADD COLUMN replace_at timestamptz,
    DROP CONSTRAINT deliveries_channel_kind,
    DROP CONSTRAINT deliveries_state,
    DROP CONSTRAINT deliveries_next,
    DROP CONSTRAINT deliveries_accepted,
    ADD CONSTRAINT deliveries_channel_kind CHECK
        (channel_kind IN ('in-app', 'slack', 'email', 'telegram', 'pagerduty', 'webhook', 'console')),
    ADD CONSTRAINT deliveries_state CHECK (state IN ('pending', 'sending', 'accepted', 'delivered', 'deferred',
        'failed', 'ambiguous', 'dead', 'skipped', 'throttled')),
    ADD CONSTRAINT deliveries_next CHECK
        ((next_attempt_at IS NOT NULL) = (state IN ('pending', 'deferred', 'failed', 'ambiguous'))),
    ADD CONSTRAINT deliveries_accepted CHECK
        (accepted_at IS NOT NULL OR state NOT IN ('accepted', 'delivered')),
    ADD CONSTRAINT deliveries_delivered CHECK (delivered_at IS NOT NULL OR state <> 'delivered'),
    ADD CONSTRAINT deliveries_deferred CHECK (deferred_until IS NOT NULL OR state <> 'deferred'),
    ADD CONSTRAINT deliveries_fallback CHECK (fallback_of <> id),
    ADD CONSTRAINT deliveries_revised CHECK (revise_attempt >= 0);
CREATE INDEX deliveries_by_run ON deliveries (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX deliveries_to_revise ON deliveries (revise_at) WHERE revise_at IS NOT NULL;
CREATE INDEX deliveries_digests ON deliveries (provider_id) WHERE deferred_until IS NOT NULL AND provider_id <> '';
-- those that shared one message after quiet hours
CREATE INDEX deliveries_merged ON deliveries (deferred_until, recipient) WHERE deferred_until IS NOT NULL;
CREATE INDEX deliveries_to_replace ON deliveries (replace_at) WHERE replace_at IS NOT NULL;
-- figures for operators are counted from this alone; the rows themselves are ten times as large, and one
-- that is still under way enters it only once it is settled
CREATE INDEX deliveries_figures ON deliveries (channel, channel_kind, state)
    INCLUDE (accepted_at, due_at, deferred_until) WHERE next_attempt_at IS NULL AND lease_until IS NULL;
ALTER TABLE delivery_attempts ADD COLUMN ack_sha256 varchar,
    ADD CONSTRAINT delivery_attempts_ack CHECK (ack_sha256 ~ '^[0-9a-f]{64}$');
CREATE TABLE channel_buckets (
    tenant varchar NOT NULL REFERENCES tenants (code),
    channel varchar NOT NULL,
    free_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, channel)
);
CREATE TABLE provider_receipts (
    provider varchar NOT NULL,
    id varchar NOT NULL,
    delivery_id varchar NOT NULL REFERENCES deliveries (id),
    event varchar NOT NULL,
    detail varchar NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (provider, id)
);
CREATE INDEX provider_receipts_by_delivery ON provider_receipts (delivery_id);
CREATE TABLE ack_handles (
    handle varchar PRIMARY KEY,
    delivery_id varchar NOT NULL REFERENCES deliveries (id),
    created_at timestamptz NOT NULL,
    CONSTRAINT ack_handles_short CHECK (length(handle) BETWEEN 16 AND 60),
    CONSTRAINT ack_handles_one UNIQUE (delivery_id)
);
CREATE TABLE signed_commands (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL REFERENCES tenants (code),
    actor varchar NOT NULL,
    action varchar NOT NULL,
    envelope jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE TRIGGER signed_commands_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON signed_commands
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(DICTIONARIES)
    op.execute(RUNS)
    op.execute(DELIVERIES)


def downgrade() -> None:
    op.execute("DROP TABLE signed_commands, ack_handles, provider_receipts, channel_buckets")
    op.execute("""
        ALTER TABLE delivery_attempts DROP COLUMN ack_sha256;
        DROP INDEX deliveries_figures;
        ALTER TABLE deliveries DROP COLUMN run_id, DROP COLUMN deferred_until, DROP COLUMN slot_at,
            DROP COLUMN fallback_of, DROP COLUMN delivered_at, DROP COLUMN revise_at, DROP COLUMN revise_lease, DROP COLUMN revised_at,
            DROP COLUMN revise_attempt, DROP COLUMN ack_revoked_at, DROP COLUMN replace_at, DROP CONSTRAINT deliveries_channel_kind,
            DROP CONSTRAINT deliveries_state, DROP CONSTRAINT deliveries_next,
            DROP CONSTRAINT deliveries_accepted,
            ADD CONSTRAINT deliveries_channel_kind
                CHECK (channel_kind IN ('in-app', 'slack', 'email', 'telegram', 'console')),
            ADD CONSTRAINT deliveries_state CHECK
                (state IN ('pending', 'sending', 'accepted', 'failed', 'ambiguous', 'dead', 'skipped')),
            ADD CONSTRAINT deliveries_next CHECK
                ((next_attempt_at IS NOT NULL) = (state IN ('pending', 'failed', 'ambiguous'))),
            ADD CONSTRAINT deliveries_accepted CHECK ((accepted_at IS NOT NULL) = (state = 'accepted'));
        DROP INDEX audit_events_cancelled;
        ALTER TABLE acks DROP COLUMN run_id;
        DROP TABLE escalation_stage_runs, escalation_runs, event_rules;
        DROP FUNCTION guard_escalation_run();
        ALTER TABLE mint_requests DROP COLUMN escalation_cancelled_by, DROP COLUMN escalation_cancelled_at;
        ALTER TABLE notification_channels DROP CONSTRAINT notification_channels_kind,
            ADD CONSTRAINT notification_channels_kind
                CHECK (kind IN ('in-app', 'slack', 'email', 'telegram', 'console'));
        DROP TRIGGER escalation_policies_kept ON escalation_policies;
        DROP TRIGGER escalation_policies_immutable ON escalation_policies;
        ALTER TABLE escalation_policies DROP COLUMN deleted_at, DROP COLUMN deleted_by;
        CREATE TRIGGER escalation_policies_immutable BEFORE UPDATE ON escalation_policies
            FOR EACH ROW EXECUTE FUNCTION refuse_change();
        ALTER TABLE users DROP COLUMN quiet_hours;
        ALTER TABLE tenants DROP COLUMN quiet_hours;
    """)
