"""The provider console: stands in for Slack, SendGrid, Telegram, PagerDuty and a webhook's receiver.

The real channel clients talk to it over HTTP. It records what they send, shows it to people on
a page and to programs as JSON, and fails on demand in the ways the real providers fail.

Two magic words let a client meet a permanent refusal without any set-up: a credential that
contains `revoked` is refused as invalid, and a target that contains `unknown` does not exist.
"""

from sandbox.providers.server import running_providers, serve

__all__ = ["running_providers", "serve"]
