"""What a tenant's admins maintain: every dictionary, policies, and all of it as one file."""

from __future__ import annotations

import typer

from commands import (
    calendars,
    channels,
    config,
    departments,
    policies,
    rules,
    statuses,
    tenants,
    topics,
    transitions,
    users,
)


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    subjects = (
        tenants, rules, users, departments, topics, calendars, statuses, transitions, channels, policies,
        config,
    )  # fmt: skip
    for subject in subjects:
        subject.register(app)
