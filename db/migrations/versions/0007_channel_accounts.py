"""Channel accounts of one key family: planned before they exist, released when their request has ended."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE = """
ALTER TABLE stellar_channels
    ADD COLUMN key_index integer,
    ADD CONSTRAINT stellar_channels_key_index UNIQUE (key_index),
    ADD CONSTRAINT stellar_channels_family
        CHECK (key_index >= 0 AND (key_index IS NOT NULL OR state <> 'PLANNED')),
    DROP CONSTRAINT stellar_channels_state,
    ADD CONSTRAINT stellar_channels_state CHECK (state IN ('PLANNED', 'FREE', 'RESERVED', 'FROZEN')),
    DROP CONSTRAINT stellar_channels_holder,
    ADD CONSTRAINT stellar_channels_holder CHECK ((state IN ('PLANNED', 'FREE')) = (request_id IS NULL));
"""

GUARDS = """
CREATE FUNCTION guard_stellar_channel() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.account <> OLD.account OR NEW.key_index IS DISTINCT FROM OLD.key_index THEN
        RAISE EXCEPTION 'channel account % keeps its key', OLD.account USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state = 'PLANNED' AND OLD.state <> 'PLANNED' THEN
        RAISE EXCEPTION 'channel account % exists already', OLD.account USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stellar_channels_guard BEFORE UPDATE ON stellar_channels
    FOR EACH ROW EXECUTE FUNCTION guard_stellar_channel();
CREATE TRIGGER stellar_channels_kept BEFORE DELETE OR TRUNCATE ON stellar_channels
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION check_channel_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM mint_requests WHERE id = OLD.request_id AND ended_at IS NOT NULL) THEN
        RAISE EXCEPTION 'channel account % belongs to mint request % until that has ended',
            OLD.account, OLD.request_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER stellar_channels_released AFTER UPDATE ON stellar_channels
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.request_id IS NOT NULL AND NEW.request_id IS DISTINCT FROM OLD.request_id)
    EXECUTE FUNCTION check_channel_release();
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(GUARDS)


def downgrade() -> None:
    op.execute("DROP TRIGGER stellar_channels_released ON stellar_channels")
    op.execute("DROP TRIGGER stellar_channels_kept ON stellar_channels")
    op.execute("DROP TRIGGER stellar_channels_guard ON stellar_channels")
    op.execute("DROP FUNCTION check_channel_release(), guard_stellar_channel()")
    op.execute("""
        ALTER TABLE stellar_channels
            DROP CONSTRAINT stellar_channels_family,
            DROP COLUMN key_index,
            DROP CONSTRAINT stellar_channels_state,
            ADD CONSTRAINT stellar_channels_state CHECK (state IN ('FREE', 'RESERVED', 'FROZEN')),
            DROP CONSTRAINT stellar_channels_holder,
            ADD CONSTRAINT stellar_channels_holder CHECK ((state = 'FREE') = (request_id IS NULL))
    """)
