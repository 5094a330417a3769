"""One line in the log: the channel `console`, and the stand-in for a channel that is not configured."""

from __future__ import annotations

import logging

from activities.notifications.channels.base import Accepted, Message

logger = logging.getLogger("mintkeeper.console")


class ConsoleChannel:
    """Writes `[CONSOLE] …`."""

    kind = "console"
    in_log = True
    label = "CONSOLE"
    note = ""

    async def send(self, message: Message) -> Accepted:
        """Write the message as one line; it can't fail."""
        target = f"to {message.target}: " if message.target else ""
        logger.info("[%s] %s", self.label, one_line(target + message.text))
        return Accepted(None, self.note)

    async def close(self) -> None:
        """Nothing to give back."""


class MockChannel(ConsoleChannel):
    """Writes `[SLACK MOCK] …` in the place of a channel that lacks the setting `missing`."""

    def __init__(self, kind: str, missing: str) -> None:
        self.kind = kind
        self.label = f"{kind.upper()} MOCK"
        self.note = f"mock: {missing} is not set"


def one_line(text: str) -> str:
    """A forged line break or terminal control can't make a second log line out of one."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())
