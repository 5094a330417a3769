"""The channels that reach people outside: Slack, email, Telegram, PagerDuty, webhooks, and the console.

A channel that is not configured is replaced by a line in the log, and says so in what it answers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from activities.notifications.channels import email, pagerduty, telegram
from activities.notifications.channels.base import (
    TIME_LIMIT,
    Accepted,
    Block,
    ChannelClient,
    DeliveryAmbiguous,
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
    Message,
    Revisable,
    Standing,
)
from activities.notifications.channels.console import ConsoleChannel, MockChannel
from activities.notifications.channels.email import EmailChannel
from activities.notifications.channels.pagerduty import PagerDutyChannel
from activities.notifications.channels.slack import SlackChannel
from activities.notifications.channels.telegram import TelegramChannel
from activities.notifications.channels.webhook import WebhookChannel
from domain.slack import WEB_API
from settings import Settings

__all__ = [
    "Accepted",
    "Block",
    "ChannelClient",
    "ChannelSettings",
    "DeliveryAmbiguous",
    "DeliveryError",
    "DeliveryFailed",
    "DeliveryRefused",
    "Message",
    "Revisable",
    "Standing",
    "build_channels",
]


@dataclass(frozen=True)
class ChannelSettings:
    """The `MINTKEEPER_…` settings of the same names; None leaves a channel to its mock or its real host."""

    slack_bot_token: str | None = None
    slack_base_url: str | None = None
    slack_signing_secret: str | None = None
    sendgrid_api_key: str | None = None
    sendgrid_host: str | None = None
    email_from: str | None = None
    telegram_bot_token: str | None = None
    telegram_chat_id: str | None = None
    telegram_base_url: str | None = None
    telegram_webhook_secret: str | None = None
    pagerduty_routing_key: str | None = None
    pagerduty_base_url: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> ChannelSettings:
        """The channels' part of the settings; an empty string means: not set."""
        return cls(**{field.name: getattr(settings, field.name) or None for field in fields(cls)})


def build_channels(settings: ChannelSettings, time_limit: float = TIME_LIMIT) -> dict[str, ChannelClient]:
    """One client per kind; `time_limit` in seconds holds for each call."""
    clients: tuple[ChannelClient, ...] = (
        _slack(settings, time_limit),
        _email(settings, time_limit),
        _telegram(settings, time_limit),
        PagerDutyChannel(
            settings.pagerduty_routing_key, settings.pagerduty_base_url or pagerduty.BASE_URL, time_limit
        ),
        WebhookChannel(time_limit),
        ConsoleChannel(),
    )
    return {client.kind: client for client in clients}


def _slack(settings: ChannelSettings, time_limit: float) -> ChannelClient:
    if not settings.slack_bot_token:
        return MockChannel("slack", "MINTKEEPER_SLACK_BOT_TOKEN")
    return SlackChannel(
        settings.slack_bot_token,
        settings.slack_base_url or WEB_API,
        time_limit,
        answers_buttons=settings.slack_signing_secret is not None,
    )


def _email(settings: ChannelSettings, time_limit: float) -> ChannelClient:
    if not settings.sendgrid_api_key:
        return MockChannel("email", "MINTKEEPER_SENDGRID_API_KEY")
    if not settings.email_from:
        return MockChannel("email", "MINTKEEPER_EMAIL_FROM")
    host = settings.sendgrid_host or email.HOST
    return EmailChannel(settings.sendgrid_api_key, settings.email_from, host, time_limit)


def _telegram(settings: ChannelSettings, time_limit: float) -> ChannelClient:
    if not settings.telegram_bot_token:
        return MockChannel("telegram", "MINTKEEPER_TELEGRAM_BOT_TOKEN")
    base_url = settings.telegram_base_url or telegram.BASE_URL
    return TelegramChannel(
        settings.telegram_bot_token,
        settings.telegram_chat_id,
        base_url,
        time_limit,
        answers_buttons=settings.telegram_webhook_secret is not None,
    )
