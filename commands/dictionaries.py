"""What a tenant's admins maintain: its ledger options, rules, users, topics, channels, policies."""

from __future__ import annotations

import typer

from commands import channels, policies, rules, tenants, topics, users


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    for subject in (tenants, rules, users, topics, channels, policies):
        subject.register(app)
