"""Signing in: accounts, sessions, invitations; the authority's keys in the audit chain; Slack users."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ACCOUNTS = """
CREATE TABLE accounts (
    tenant varchar NOT NULL,
    user_name varchar NOT NULL,
    password_hash varchar,
    totp_secret varchar,
    totp_confirmed_at timestamptz,
    totp_last_step bigint,
    oidc_issuer varchar,
    oidc_subject varchar,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, user_name),
    FOREIGN KEY (tenant, user_name) REFERENCES users (tenant, name),
    CONSTRAINT accounts_oidc_one_person UNIQUE (tenant, oidc_issuer, oidc_subject),
    CONSTRAINT accounts_oidc CHECK ((oidc_issuer IS NULL) = (oidc_subject IS NULL)),
    CONSTRAINT accounts_totp CHECK (totp_secret IS NOT NULL OR totp_confirmed_at IS NULL)
);
CREATE TABLE sessions (
    id varchar PRIMARY KEY,
    tenant varchar NOT NULL,
    user_name varchar NOT NULL,
    kind varchar NOT NULL,
    label varchar NOT NULL DEFAULT '',
    token_sha256 varchar NOT NULL,
    amr varchar[] NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    FOREIGN KEY (tenant, user_name) REFERENCES users (tenant, name),
    CONSTRAINT sessions_token UNIQUE (token_sha256),
    CONSTRAINT sessions_kind CHECK (kind IN ('browser', 'token')),
    CONSTRAINT sessions_token_hash CHECK (token_sha256 ~ '^[0-9a-f]{64}$')
);
CREATE INDEX sessions_of_user ON sessions (tenant, user_name);
CREATE TABLE invitations (
    token_sha256 varchar PRIMARY KEY,
    tenant varchar NOT NULL,
    user_name varchar NOT NULL,
    created_by varchar NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    FOREIGN KEY (tenant, user_name) REFERENCES users (tenant, name),
    CONSTRAINT invitations_token_hash CHECK (token_sha256 ~ '^[0-9a-f]{64}$')
);
CREATE TABLE sign_in_tries (
    id varchar PRIMARY KEY,
    account varchar NOT NULL,
    address varchar NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX sign_in_tries_of_account ON sign_in_tries (account, at);
CREATE INDEX sign_in_tries_of_address ON sign_in_tries (address, at);
"""

AUTHORITY = """
CREATE TABLE authority_keys (
    tenant varchar NOT NULL REFERENCES tenants (code),
    key_id varchar NOT NULL,
    public_key bytea NOT NULL,
    registered_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, key_id),
    CONSTRAINT authority_keys_ed25519 CHECK (octet_length(public_key) = 32)
);
"""

SLACK = """
ALTER TABLE users ADD COLUMN slack_user varchar,
    ADD CONSTRAINT users_slack_one_person UNIQUE (tenant, slack_user);
"""


def upgrade() -> None:
    for statements in (ACCOUNTS, AUTHORITY, SLACK):
        op.execute(statements)


def downgrade() -> None:
    op.execute("""
        ALTER TABLE users DROP COLUMN slack_user;
        DROP TABLE authority_keys, sign_in_tries, invitations, sessions, accounts;
    """)
