"""Keys by URL: the only code that ever sees a seed. A signer signs a hash, nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from stellar_sdk import Keypair
from stellar_sdk.decorated_signature import DecoratedSignature
from stellar_sdk.exceptions import Ed25519SecretSeedInvalidError

from domain.errors import ConfigurationError
from settings import PUBLIC_PASSPHRASE, Settings


class Signer(Protocol):
    """Something that holds the key of one account."""

    @property
    def account_id(self) -> str:
        """The account (G…) whose master key this is."""

    def sign(self, digest: bytes) -> DecoratedSignature:
        """Sign a transaction hash (32 bytes)."""


class LocalSigner:
    """A key in this process's memory, for `env:` and `file:`; shows nothing but its account."""

    __slots__ = ("_keypair", "account_id")

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair
        self.account_id = keypair.public_key

    def sign(self, digest: bytes) -> DecoratedSignature:
        """Sign a transaction hash (32 bytes)."""
        return self._keypair.sign_decorated(digest)

    def __repr__(self) -> str:
        return f"LocalSigner({self.account_id})"


class Wallet:
    """The issuer's signer and the channel accounts' signers; without channels the issuer is the only one."""

    def __init__(self, issuer: Signer, channels: list[Signer]) -> None:
        self.issuer = issuer.account_id
        ordered = channels or [issuer]
        self.channels = [signer.account_id for signer in ordered]
        if len(set(self.channels)) != len(self.channels):
            raise ConfigurationError("MINTKEEPER_CHANNEL_SIGNER names one account twice: remove one of them")
        self._signers: Mapping[str, Signer] = {signer.account_id: signer for signer in [*ordered, issuer]}

    def sign(self, digest: bytes, account_ids: list[str]) -> list[DecoratedSignature]:
        """Sign a hash for these accounts, in this order; raises ConfigurationError for one without a key."""
        missing = [account_id for account_id in account_ids if account_id not in self._signers]
        if missing:
            raise ConfigurationError(
                f"no signer for channel account {missing[0]}: put it back into MINTKEEPER_CHANNEL_SIGNER"
            )
        return [self._signers[account_id].sign(digest) for account_id in account_ids]

    def __repr__(self) -> str:
        return f"Wallet(issuer={self.issuer}, channels={self.channels})"


def open_signer(url: str, setting: str) -> Signer:
    """Open `env:NAME` or `file:/path` (a regular file that only its owner can read).

    `setting` is the setting's name, for messages. Raises ConfigurationError, never quoting the content.
    """
    scheme, separator, rest = url.partition(":")
    if not separator or not rest:
        raise ConfigurationError(f"{setting} is not a signer URL: use env:NAME or file:/path")
    if scheme == "env":
        seed = os.environ.get(rest, "")
        if not seed:
            raise ConfigurationError(f"{setting} names the variable {rest}, which is empty or not set")
    elif scheme == "file":
        seed = _read_private(Path(rest), setting)
    else:
        raise ConfigurationError(f"{setting} has the unknown scheme {scheme}: use env:NAME or file:/path")
    try:
        return LocalSigner(Keypair.from_secret(seed.strip()))
    except (Ed25519SecretSeedInvalidError, ValueError):
        # the cause is cut off: its message may quote the seed
        raise ConfigurationError(f"{setting} does not hold a Stellar secret seed (S…)") from None


def _read_private(path: Path, setting: str) -> str:
    try:
        # the mode is asked of the opened file, so that it can't be swapped in between
        with path.open(encoding="ascii", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or stat.S_IMODE(mode) & 0o177:
                raise ConfigurationError(
                    f"{setting}: {path} must be a file that only its owner can read: chmod 600 {path}"
                )
            return file.read()
    except OSError as error:
        raise ConfigurationError(f"{setting}: cannot read {path}: {error.strerror}") from error


def build_wallet(settings: Settings) -> Wallet:
    """Open every configured signer.

    Raises ConfigurationError for an unusable one, and for the public network together with a seed in
    the environment unless `MINTKEEPER_ALLOW_ENV_SIGNER_ON_PUBLIC` says that this is meant.
    """
    urls = [settings.issuer_signer, *settings.channel_signers]
    in_environment = any(url.startswith("env:") for url in urls)
    public = settings.network_passphrase == PUBLIC_PASSPHRASE
    if public and in_environment and not settings.allow_env_signer_on_public:
        raise ConfigurationError(
            "a seed in the environment must not sign for the public network: use a file: signer, "
            "or set MINTKEEPER_ALLOW_ENV_SIGNER_ON_PUBLIC=1"
        )
    if not settings.issuer_signer:
        raise ConfigurationError("MINTKEEPER_ISSUER_SIGNER is not set: use env:NAME or file:/path")
    issuer = open_signer(settings.issuer_signer, "MINTKEEPER_ISSUER_SIGNER")
    channels = [open_signer(url, "MINTKEEPER_CHANNEL_SIGNER") for url in settings.channel_signers]
    return Wallet(issuer, channels)
