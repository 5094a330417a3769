"""Configuration, read once from the environment (prefix `MINTKEEPER_`).

Temporal's own connection settings come from Temporal's environment configuration, not from here.
"""

from __future__ import annotations

from functools import cached_property

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

TESTNET_PASSPHRASE = "Test SDF Network ; September 2015"  # noqa: S105 - a public constant of the network
PUBLIC_PASSPHRASE = "Public Global Stellar Network ; September 2015"  # noqa: S105 - likewise


class Settings(BaseSettings):
    """Every setting of the product; `.env.example` lists them all."""

    model_config = SettingsConfigDict(env_prefix="MINTKEEPER_", extra="ignore")

    database_url: str = ""
    horizon_url: str = ""
    network_passphrase: str = ""
    issuer_signer: str = ""
    channel_signer: str = ""
    """Signer URLs separated by commas: seeds of one channel account each, and at most one mnemonic phrase
    for a family of them; empty: the issuer is the only channel."""
    funding_signer: str = ""
    """Signer URL of the account that creates channel accounts and tops them up."""
    allow_env_signer_on_public: bool = False
    authority_key: str = ""
    submission_window_seconds: int = Field(default=120, ge=5, le=3600)
    max_fee_stroops: int = Field(default=100_000, ge=100)
    slack_bot_token: str = ""
    slack_signing_secret: str = ""
    slack_base_url: str = ""
    sendgrid_api_key: str = ""
    sendgrid_host: str = ""
    sendgrid_webhook_key: str = ""
    """Public key (base64 DER) of SendGrid's signed event webhook; empty: its events are not taken."""
    email_from: str = ""
    telegram_bot_token: str = ""
    telegram_chat_id: str = ""
    telegram_base_url: str = ""
    telegram_webhook_secret: str = ""
    """`secret_token` of Telegram's webhook; empty: its updates are not taken, and messages have no button."""
    pagerduty_routing_key: str = ""
    pagerduty_base_url: str = ""
    public_url: str = ""
    temporal_ui_url: str = ""
    explorer_url: str = ""
    """A ledger explorer such as `https://stellar.expert/explorer/public`, to which `/tx/HASH` and
    `/account/ID` are appended; empty: pages link to Horizon's own documents."""
    session_secret: str = ""
    """At least 32 characters, the same for workers and web servers: codes and passes follow from it."""
    oidc_issuer: str = ""
    """Issuer URL of an OpenID Connect provider that people may sign in with; empty: none."""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_tenant: str = ""
    """Whose users they are."""
    oidc_claim: str = "email"
    """What names the user: `email` (verified) by their address, any other claim by their name."""
    storage_url: str = ""
    """Where documents are kept: `file:///directory` or `s3://bucket/prefix`."""
    upload_max_bytes: int = Field(default=20 * 1024 * 1024, ge=1, le=5 * 1024**3)
    sla_scale: int = Field(default=1, ge=1, le=100_000)
    retention_days: int = Field(default=90, ge=1)

    @cached_property
    def channel_signers(self) -> list[str]:
        """The channel accounts' signer URLs."""
        return [url.strip() for url in self.channel_signer.split(",") if url.strip()]
