"""SIGINT and SIGTERM as a clean end: once, and what must be tidied up is tidied up undisturbed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ends_on_signal() -> Iterator[None]:
    """A signal cancels the block wherever it is; its clean-up runs, then all goes on after it."""
    task = asyncio.current_task()
    if task is None:
        msg = "only inside a task"
        raise RuntimeError(msg)
    asked = False

    def ask() -> None:
        nonlocal asked
        # a second signal must not break into the clean-up of the first
        if not asked:
            asked = True
            task.cancel()

    with _handled(ask):
        try:
            yield
        except asyncio.CancelledError:
            if not asked:
                raise
            task.uncancel()


@contextmanager
def stop_event() -> Iterator[asyncio.Event]:
    """An event that a signal sets, for servers that stop by themselves."""
    stop = asyncio.Event()
    with _handled(stop.set):
        yield stop


@contextmanager
def _handled(handler: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in _ENDING:
            loop.remove_signal_handler(number)
