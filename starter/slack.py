"""What we ask of Slack in answer to a press: a note that only one person sees, and a modal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from domain.slack import WEB_API, Origin, escape_mrkdwn

log = logging.getLogger("mintkeeper.slack")

PATIENCE_SECONDS = 5.0
LONGEST_NOTE = 3000


@dataclass(frozen=True)
class SlackCalls:
    """The Web API with our bot's token. What comes back in a press, a URL above all, is never called."""

    token: str
    base_url: str = WEB_API

    async def tell(self, origin: Origin, user: str, note: str) -> bool:
        """Show a note to whoever pressed; that they can't see it changes nothing of what was recorded."""
        body = {"channel": origin.channel, "user": user, "text": escape_mrkdwn(note[:LONGEST_NOTE])}
        return await self._call("chat.postEphemeral", body)

    async def open_modal(self, trigger_id: str, view: Mapping[str, Any]) -> bool:
        """Open a modal for whoever pressed, within the three seconds that a trigger is good."""
        return await self._call("views.open", {"trigger_id": trigger_id, "view": dict(view)})

    async def _call(self, method: str, body: Mapping[str, Any]) -> bool:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            client = AsyncWebClient(
                self.token, self.base_url, session=session, retry_handlers=[], logger=_quiet_logger()
            )
            # the SDK ignores NO_PROXY; the session knows it
            client.proxy = None
            try:
                await client.api_call(method, json=dict(body))
            except (SlackClientError, aiohttp.ClientError, TimeoutError, ValueError) as error:
                # its text may hold what somebody typed
                log.warning("Slack's %s was of no use: %s", method, _cause(error))
                return False
        return True


def _cause(error: BaseException) -> str:
    if not isinstance(error, SlackApiError) or not isinstance(error.response, AsyncSlackResponse):
        return type(error).__name__
    return str(error.response.get("error", error.response.status_code))


def _quiet_logger() -> logging.Logger:
    # the SDK logs whole messages at DEBUG
    logger = logging.getLogger("mintkeeper.slack_sdk")
    logger.setLevel(logging.WARNING)
    return logger
