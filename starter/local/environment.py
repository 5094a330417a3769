"""Where the parts of a stack are, and the environment in which they run."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sandbox.providers.events import PUBLIC_KEY
from sandbox.providers.webhook import SECRET
from settings import Settings
from starter.local.layout import DataDir, keep_secret
from starter.local.ports import HOST
from starter.local.readiness import NAMESPACE

SANDBOX_PASSPHRASE = "Standalone Network ; February 2017"  # noqa: S105 - the name of a network, no secret


@dataclass(frozen=True)
class Addresses:
    """Every address of a running stack."""

    temporal_address: str
    temporal_ui_url: str
    web_url: str
    horizon_url: str
    network_passphrase: str
    database_url: str
    providers_url: str

    @classmethod
    def of(cls, ports: dict[str, int], horizon_url: str, passphrase: str, database_url: str) -> Addresses:
        """Put together from the kept ports."""
        return cls(
            temporal_address=f"{HOST}:{ports['temporal']}",
            temporal_ui_url=f"http://{HOST}:{ports['temporal_ui']}",
            web_url=f"http://{HOST}:{ports['web']}",
            horizon_url=horizon_url,
            network_passphrase=passphrase,
            database_url=database_url,
            providers_url=f"http://{HOST}:{ports['providers']}",
        )


def local_settings(data: DataDir, addresses: Addresses, sla_scale: int) -> Settings:
    """The user's settings with everything that the local stack provides itself put in their place."""
    return Settings().model_copy(
        update={
            "database_url": addresses.database_url,
            "horizon_url": addresses.horizon_url,
            "network_passphrase": addresses.network_passphrase,
            "issuer_signer": f"file:{data.seed('issuer')}",
            "channel_signer": f"file:{data.channel_phrase}",
            "funding_signer": f"file:{data.seed('funding')}",
            "authority_key": f"file:{data.authority}",
            "session_secret": keep_secret(data.session_secret),
            "storage_url": data.documents.as_uri(),
            "slack_bot_token": "local-slack-token",
            "slack_base_url": f"{addresses.providers_url}/slack/api/",
            # the provider console signs with it what somebody presses there
            "slack_signing_secret": keep_secret(data.slack_secret),
            "sendgrid_api_key": "local-sendgrid-key",
            "sendgrid_host": f"{addresses.providers_url}/sendgrid",
            "sendgrid_webhook_key": PUBLIC_KEY,
            "email_from": "mintkeeper@localhost.localdomain",
            "telegram_bot_token": "local-telegram-token",
            "telegram_webhook_secret": "local-telegram-secret",
            "telegram_base_url": f"{addresses.providers_url}/telegram",
            "pagerduty_routing_key": "local-pagerduty-key",
            "pagerduty_base_url": f"{addresses.providers_url}/pagerduty",
            "public_url": addresses.web_url,
            "temporal_ui_url": addresses.temporal_ui_url,
            "sla_scale": sla_scale,
        }
    )


def part_environment(settings: Settings, addresses: Addresses) -> dict[str, str]:
    """What a part's process gets: the user's environment, and ours."""
    inherited = {name: value for name, value in os.environ.items() if not _overruled(name)}
    ours = {f"MINTKEEPER_{name.upper()}": _text(value) for name, value in settings.model_dump().items()}
    temporal = {
        "TEMPORAL_ADDRESS": addresses.temporal_address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        # a profile in the user's home may ask for TLS and keys of another server
        "TEMPORAL_CONFIG_FILE": os.devnull,
    }
    # for trying a webhook: its receiver at the provider console believes nothing else
    hook = {"LOCAL_WEBHOOK_SECRET": SECRET}
    return {**inherited, **ours, **temporal, **hook, "PYTHONUNBUFFERED": "1"}


def _overruled(name: str) -> bool:
    """Settings of another Temporal or of ours, and proxies: providers and ledger are on this machine."""
    return name.startswith(("TEMPORAL_", "MINTKEEPER_")) or name.lower().endswith("_proxy")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
