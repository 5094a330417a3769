"""Secrets that channels name by reference: `env:NAME` or `file:/path`, read when they are needed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from activities.notifications.channels.base import DeliveryRefused

_WIDER_THAN_OWNER = stat.S_IRWXG | stat.S_IRWXO


def read_secret(reference: str, what: str) -> str:
    """The secret behind a reference; `what` names it in errors. Raises DeliveryRefused.

    A file is read anew each time, so that a rotated secret needs no restart.
    """
    scheme, _, place = reference.partition(":")
    if scheme == "env" and place:
        found = os.environ.get(place, "")
        problem = f"the variable {place} is not set"
    elif scheme == "file" and place:
        found, problem = _from_file(Path(place))
    else:
        found, problem = "", "it must be env:NAME or file:/path"
    if not found:
        raise DeliveryRefused(f"{what} can't be read: {problem}")
    return found


def _from_file(path: Path) -> tuple[str, str]:
    try:
        if path.stat().st_mode & _WIDER_THAN_OWNER:
            return "", f"others may read {path}; run 'chmod 600 {path}'"
        return path.read_text(encoding="utf-8").strip(), f"{path} is empty"
    except (OSError, ValueError) as error:
        return "", f"{path}: {type(error).__name__}"
