"""Channel accounts, submissions, fee bumps, attempts, and the proof that an outcome needs."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE stellar_channels (
    account varchar PRIMARY KEY,
    state varchar NOT NULL,
    request_id varchar REFERENCES mint_requests (id),
    CONSTRAINT stellar_channels_one_each UNIQUE (request_id),
    CONSTRAINT stellar_channels_state CHECK (state IN ('FREE', 'RESERVED', 'FROZEN')),
    CONSTRAINT stellar_channels_holder CHECK ((state = 'FREE') = (request_id IS NULL))
);
CREATE TABLE submissions (
    request_id varchar PRIMARY KEY REFERENCES mint_requests (id),
    hash varchar NOT NULL,
    channel varchar NOT NULL REFERENCES stellar_channels (account),
    sequence bigint NOT NULL,
    max_time bigint NOT NULL,
    envelope_xdr varchar NOT NULL,
    signed_at_ledger bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    outcome varchar,
    outcome_reason varchar,
    ledger bigint,
    proof jsonb,
    concluded_at timestamptz,
    CONSTRAINT submissions_hash UNIQUE (hash),
    CONSTRAINT submissions_hash_hex CHECK (hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT submissions_bounds CHECK (sequence > 0 AND max_time > 0),
    CONSTRAINT submissions_outcome CHECK (outcome IN ('CONFIRMED', 'FAILED', 'TIMEOUT_FAILED', 'ANOMALY')),
    CONSTRAINT submissions_proved CHECK ((outcome IS NULL) = (proof IS NULL)
        AND (outcome IS NULL) = (outcome_reason IS NULL) AND (outcome IS NULL) = (concluded_at IS NULL))
);
CREATE UNIQUE INDEX submissions_sequence_used_once ON submissions (channel, sequence)
    WHERE outcome IS NULL OR outcome <> 'TIMEOUT_FAILED';
CREATE TABLE fee_bumps (
    hash varchar PRIMARY KEY,
    request_id varchar NOT NULL REFERENCES submissions (request_id),
    position integer NOT NULL,
    fee bigint NOT NULL,
    envelope_xdr varchar NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT fee_bumps_order UNIQUE (request_id, position),
    CONSTRAINT fee_bumps_hash_hex CHECK (hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT fee_bumps_fee CHECK (fee > 0)
);
CREATE TABLE submission_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id varchar NOT NULL REFERENCES submissions (request_id),
    hash varchar NOT NULL,
    answer varchar NOT NULL,
    detail varchar NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX submission_attempts_by_request ON submission_attempts (request_id);
"""

GUARDS = """
CREATE FUNCTION guard_submission() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.outcome IS NOT NULL THEN
            RAISE EXCEPTION 'a submission is stored before it has an outcome' USING ERRCODE = 'check_violation';
        END IF;
        IF NOT EXISTS (SELECT 1 FROM mint_requests WHERE id = NEW.request_id AND status = 'APPROVED') THEN
            RAISE EXCEPTION 'mint request % is not APPROVED: nothing may be signed for it', NEW.request_id
                USING ERRCODE = 'check_violation';
        END IF;
        IF NOT EXISTS (SELECT 1 FROM stellar_channels
                WHERE account = NEW.channel AND state = 'RESERVED' AND request_id = NEW.request_id) THEN
            RAISE EXCEPTION 'channel account % is not reserved by mint request %', NEW.channel, NEW.request_id
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.request_id, NEW.hash, NEW.channel, NEW.sequence, NEW.max_time, NEW.envelope_xdr,
        NEW.signed_at_ledger, NEW.stored_at)
       IS DISTINCT FROM
       (OLD.request_id, OLD.hash, OLD.channel, OLD.sequence, OLD.max_time, OLD.envelope_xdr,
        OLD.signed_at_ledger, OLD.stored_at) THEN
        RAISE EXCEPTION 'the stored envelope of mint request % never changes', OLD.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.outcome IS NOT NULL AND OLD.outcome <> 'ANOMALY' THEN
        RAISE EXCEPTION 'the submission of mint request % is concluded', OLD.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER submissions_guard BEFORE INSERT OR UPDATE ON submissions
    FOR EACH ROW EXECUTE FUNCTION guard_submission();
CREATE TRIGGER submissions_kept BEFORE DELETE OR TRUNCATE ON submissions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER fee_bumps_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON fee_bumps
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION check_status_is_backed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    request mint_requests;
    submission submissions;
BEGIN
    IF TG_TABLE_NAME = 'submissions' THEN
        SELECT * INTO request FROM mint_requests WHERE id = NEW.request_id;
    ELSE
        SELECT * INTO request FROM mint_requests WHERE id = NEW.id;
    END IF;
    SELECT * INTO submission FROM submissions WHERE request_id = request.id;
    IF request.status IN ('CONFIRMED', 'TIMEOUT_FAILED', 'ANOMALY')
            AND submission.outcome IS DISTINCT FROM request.status THEN
        RAISE EXCEPTION 'mint request % is % without a submission that proves it', request.id, request.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF request.status = 'SUBMITTING' AND (submission.request_id IS NULL OR submission.outcome IS NOT NULL) THEN
        RAISE EXCEPTION 'mint request % is SUBMITTING without an open submission', request.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF request.status = 'FAILED' AND submission.request_id IS NOT NULL
            AND submission.outcome IS DISTINCT FROM 'FAILED' THEN
        RAISE EXCEPTION 'mint request % is FAILED, its submission is not', request.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF request.status IN ('PENDING', 'APPROVED', 'REJECTED', 'CANCELLED', 'EXPIRED')
            AND submission.request_id IS NOT NULL THEN
        RAISE EXCEPTION 'mint request % is % and yet has a submission', request.id, request.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF request.status = 'APPROVED' AND (SELECT count(*) FROM approvals WHERE request_id = request.id
            AND tier >= (request.rule ->> 'minTier')::integer) < (request.rule ->> 'approvals')::integer THEN
        RAISE EXCEPTION 'mint request % is APPROVED without the approvals of its rule', request.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER mint_requests_backed AFTER INSERT OR UPDATE ON mint_requests
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.status IN ('APPROVED', 'SUBMITTING', 'CONFIRMED', 'FAILED', 'TIMEOUT_FAILED', 'ANOMALY'))
    EXECUTE FUNCTION check_status_is_backed();
CREATE CONSTRAINT TRIGGER submissions_backed AFTER INSERT OR UPDATE ON submissions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION check_status_is_backed();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GUARDS)


def downgrade() -> None:
    op.execute("DROP TRIGGER mint_requests_backed ON mint_requests")
    op.execute("DROP TABLE submission_attempts, fee_bumps, submissions, stellar_channels")
    op.execute("DROP FUNCTION check_status_is_backed(), guard_submission()")
