"""Fresh ids, made where a person or client acts and carried along unchanged."""

from __future__ import annotations

from ulid import ULID


def new_request_id() -> str:
    """`mr_` and a ULID: sorts by the time of the request."""
    return f"mr_{ULID()}"


def new_decision_id() -> str:
    """`dc_` and a ULID; the same id sent twice takes effect once."""
    return f"dc_{ULID()}"


def new_message_id() -> str:
    """The id of a claim, release, assignment or comment."""
    return f"ms_{ULID()}"


def new_session_id() -> str:
    """The id of a browser's session or an API token; its secret is another matter."""
    return f"ws_{ULID()}"


def new_command_id() -> str:
    """The id of a signed command; it is good once."""
    return f"cm_{ULID()}"
