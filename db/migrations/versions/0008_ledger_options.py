"""What a tenant allows on the ledger, the plan stored with each submission, and tickets."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE ledger_options (
    tenant varchar PRIMARY KEY REFERENCES tenants (code),
    auth_sandwich boolean NOT NULL,
    claimable_balance boolean NOT NULL,
    reclaim_after_days integer NOT NULL,
    one_shot_ticket boolean NOT NULL,
    CONSTRAINT ledger_options_days CHECK (reclaim_after_days BETWEEN 1 AND 3650)
);
ALTER TABLE submissions ADD COLUMN plan jsonb NOT NULL DEFAULT '{}';
CREATE TABLE tickets (
    request_id varchar PRIMARY KEY REFERENCES mint_requests (id),
    hash varchar NOT NULL,
    channel varchar NOT NULL REFERENCES stellar_channels (account),
    sequence bigint NOT NULL,
    max_time bigint NOT NULL,
    envelope_xdr varchar NOT NULL,
    signed_at_ledger bigint NOT NULL,
    removes varchar[] NOT NULL,
    stored_at timestamptz NOT NULL,
    removed_by varchar REFERENCES mint_requests (id),
    outcome varchar,
    reason varchar,
    proof jsonb,
    concluded_at timestamptz,
    CONSTRAINT tickets_hash UNIQUE (hash),
    CONSTRAINT tickets_hash_hex CHECK (hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT tickets_bounds CHECK (sequence > 0 AND max_time > 0),
    CONSTRAINT tickets_outcome CHECK (outcome IN ('PLACED', 'FAILED', 'NEVER_LANDED', 'LOST')),
    CONSTRAINT tickets_proved CHECK ((outcome IS NULL) = (proof IS NULL)
        AND (outcome IS NULL) = (reason IS NULL) AND (outcome IS NULL) = (concluded_at IS NULL)),
    CONSTRAINT tickets_removed CHECK (removed_by IS NULL OR outcome = 'PLACED')
);
CREATE UNIQUE INDEX tickets_sequence_used_once ON tickets (channel, sequence)
    WHERE outcome IS NULL OR outcome <> 'NEVER_LANDED';
"""

GUARDS = """
CREATE TRIGGER submissions_plan_fixed BEFORE UPDATE ON submissions
    FOR EACH ROW WHEN (NEW.plan IS DISTINCT FROM OLD.plan) EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.outcome IS NOT NULL THEN
            RAISE EXCEPTION 'a ticket is stored before it has an outcome' USING ERRCODE = 'check_violation';
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
        IF EXISTS (SELECT 1 FROM submissions WHERE channel = NEW.channel AND sequence = NEW.sequence
                AND (outcome IS NULL OR outcome <> 'TIMEOUT_FAILED')) THEN
            RAISE EXCEPTION 'tickets_sequence_used_once: a submission has used sequence % of %',
                NEW.sequence, NEW.channel USING ERRCODE = 'unique_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.request_id, NEW.hash, NEW.channel, NEW.sequence, NEW.max_time, NEW.envelope_xdr,
        NEW.signed_at_ledger, NEW.removes, NEW.stored_at)
       IS DISTINCT FROM
       (OLD.request_id, OLD.hash, OLD.channel, OLD.sequence, OLD.max_time, OLD.envelope_xdr,
        OLD.signed_at_ledger, OLD.removes, OLD.stored_at) THEN
        RAISE EXCEPTION 'the stored ticket of mint request % never changes', OLD.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.outcome IS NOT NULL
            AND (NEW.outcome, NEW.reason, NEW.proof) IS DISTINCT FROM (OLD.outcome, OLD.reason, OLD.proof) THEN
        RAISE EXCEPTION 'the ticket of mint request % is concluded', OLD.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tickets_guard BEFORE INSERT OR UPDATE ON tickets
    FOR EACH ROW EXECUTE FUNCTION guard_ticket();
CREATE TRIGGER tickets_kept BEFORE DELETE OR TRUNCATE ON tickets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_ticketed_submission() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE ticket tickets;
BEGIN
    SELECT * INTO ticket FROM tickets WHERE request_id = NEW.request_id;
    IF (ticket.request_id IS NOT NULL) IS DISTINCT FROM coalesce((NEW.plan ->> 'ticket')::boolean, false) THEN
        RAISE EXCEPTION 'mint request %: a submission uses up a ticket exactly if there is one', NEW.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF ticket.request_id IS NOT NULL AND (ticket.outcome IS DISTINCT FROM 'PLACED'
            OR ticket.channel <> NEW.channel OR ticket.sequence >= NEW.sequence) THEN
        RAISE EXCEPTION 'mint request %: its ticket has not landed before, on the same channel account',
            NEW.request_id USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM tickets WHERE channel = NEW.channel AND sequence = NEW.sequence
            AND (outcome IS NULL OR outcome <> 'NEVER_LANDED')) THEN
        RAISE EXCEPTION 'submissions_sequence_used_once: a ticket has used sequence % of %',
            NEW.sequence, NEW.channel USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER submissions_ticket_guard BEFORE INSERT ON submissions
    FOR EACH ROW EXECUTE FUNCTION guard_ticketed_submission();

CREATE FUNCTION check_ticket_is_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM tickets WHERE request_id = NEW.id AND outcome IS NULL) THEN
        RAISE EXCEPTION 'mint request % ends while its ticket may still land', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER mint_requests_ticket_settled AFTER UPDATE ON mint_requests
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.status = 'APPROVED' AND NEW.status <> 'APPROVED') EXECUTE FUNCTION check_ticket_is_settled();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GUARDS)


def downgrade() -> None:
    op.execute("DROP TRIGGER mint_requests_ticket_settled ON mint_requests")
    op.execute("DROP TRIGGER submissions_ticket_guard ON submissions")
    op.execute("DROP TRIGGER submissions_plan_fixed ON submissions")
    op.execute("DROP TABLE tickets, ledger_options")
    op.execute("DROP FUNCTION check_ticket_is_settled(), guard_ticketed_submission(), guard_ticket()")
    op.execute("ALTER TABLE submissions DROP COLUMN plan")
