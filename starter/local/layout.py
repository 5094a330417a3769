"""What lies where in a data directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PEOPLE = ("alice", "bob", "carol", "dave", "rita", "adam")
"""The demo tenant's users, who each have a key."""

_READABLE = "abcdefghijkmnpqrstuvwxyz23456789"
"""Nothing that is taken for something else."""


class DataDir:
    """The paths of one local stack; makes the directories it needs."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.logs = self.root / "logs"
        self.keys = self.root / "keys"
        self.postgres = self.root / "postgres"
        self.temporal_db = self.root / "temporal.db"
        self.ledger_db = self.root / "ledger.db"
        self.stack_file = self.root / "stack.json"
        self.ports_file = self.root / "ports.json"
        self.lock_file = self.root / "up.lock"
        self.channel_phrase = self.keys / "channels.phrase"
        self.authority = self.keys / "authority.seeds"
        self.session_secret = self.keys / "session.secret"
        self.slack_secret = self.keys / "slack.secret"
        self.demo_password = self.keys / "demo.password"
        self.documents = self.root / "documents"

    def create(self) -> None:
        """Make what is missing; nobody else may look into it."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (self.keys, self.logs, self.postgres, self.documents):
            directory.mkdir(mode=0o700, exist_ok=True)

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return self.logs / f"{part}.log"

    def key(self, user: str) -> Path:
        """A user's private key."""
        return self.keys / f"{user}.pem"

    def seed(self, account: str) -> Path:
        """A Stellar account's seed."""
        return self.keys / f"{account}.seed"


def keep_secret(path: Path) -> str:
    """The random text in a file that only its owner may read; made the first time."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48))
    return path.read_text(encoding="utf-8").strip()


def keep_password(path: Path) -> str:
    """A password that people can type, kept in the same way: 60 bits in groups of four."""
    if not path.exists():
        groups = ("".join(secrets.choice(_READABLE) for _ in range(4)) for _ in range(3))
        write_private(path, "-".join(groups))
    return path.read_text(encoding="utf-8").strip()


def write_private(path: Path, content: str) -> None:
    """Replace `path` in one step; nobody but the owner may read it."""
    beside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
    beside.replace(path)
