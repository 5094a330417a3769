"""Keys by URL: the only code that ever sees a seed or a phrase. A signer signs a hash, nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from stellar_sdk import Keypair
from stellar_sdk.decorated_signature import DecoratedSignature
from stellar_sdk.exceptions import Ed25519SecretSeedInvalidError
from stellar_sdk.sep.mnemonic import StellarMnemonic

from domain.channel_accounts import MOST_CHANNELS
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


class KeyFamily:
    """The keys that one mnemonic phrase makes (SEP-5); derived when they are first needed, then kept."""

    __slots__ = ("_keys", "_known", "_seed")

    def __init__(self, phrase: str) -> None:
        """Raises ValueError unless it is a BIP-39 phrase of English words."""
        self._seed = StellarMnemonic().to_bip39_seed(phrase)
        self._keys: list[LocalSigner] = []
        self._known: dict[str, LocalSigner] = {}

    def account(self, index: int) -> str:
        """The account (G…) of a key index, below MOST_CHANNELS."""
        self._derive_up_to(index)
        return self._keys[index].account_id

    def signer(self, account_id: str) -> Signer | None:
        """The signer of an account of the family; None for a stranger."""
        if account_id not in self._known:
            # all of them take less time than one question to Horizon
            self._derive_up_to(MOST_CHANNELS - 1)
        return self._known.get(account_id)

    def _derive_up_to(self, index: int) -> None:
        for number in range(len(self._keys), index + 1):
            signer = LocalSigner(Keypair.from_raw_ed25519_seed(StellarMnemonic.derive(self._seed, number)))
            self._keys.append(signer)
            self._known[signer.account_id] = signer

    def __repr__(self) -> str:
        return "KeyFamily()"


class Wallet:
    """The issuer's, the channel accounts' and the funding account's signers.

    `channels` are the accounts with a signer of their own; without them and without a key family the
    issuer is the only one. Which accounts of the family are used, the database says.
    """

    def __init__(
        self,
        issuer: Signer,
        channels: list[Signer],
        family: KeyFamily | None = None,
        funding: Signer | None = None,
    ) -> None:
        self.issuer = issuer.account_id
        ordered = channels if channels or family else [issuer]
        self.channels = [signer.account_id for signer in ordered]
        if len(set(self.channels)) != len(self.channels):
            raise ConfigurationError("MINTKEEPER_CHANNEL_SIGNER names one account twice: remove one of them")
        self.family = family
        self.funding = funding.account_id if funding else None
        if funding and (self.funding in self.channels or (family and family.signer(funding.account_id))):
            raise ConfigurationError(
                "MINTKEEPER_FUNDING_SIGNER is a channel account too: use an account that does nothing else"
            )
        own = [*ordered, issuer, *([funding] if funding else [])]
        self._signers: Mapping[str, Signer] = {signer.account_id: signer for signer in own}

    def is_channel(self, account_id: str) -> bool:
        """Whether it is a channel account that this wallet can sign for."""
        if account_id in self.channels:
            return True
        return self.family is not None and self.family.signer(account_id) is not None

    def sign(self, digest: bytes, account_ids: list[str]) -> list[DecoratedSignature]:
        """Sign a hash for these accounts, in this order; raises ConfigurationError for one without a key."""
        return [self._signer(account_id).sign(digest) for account_id in account_ids]

    def _signer(self, account_id: str) -> Signer:
        signer = self._signers.get(account_id)
        if signer is None and self.family is not None:
            signer = self.family.signer(account_id)
        if signer is None:
            raise ConfigurationError(
                f"no signer for channel account {account_id}: put it back into MINTKEEPER_CHANNEL_SIGNER"
            )
        return signer

    def __repr__(self) -> str:
        return f"Wallet(issuer={self.issuer}, channels={self.channels})"


def open_signer(url: str, setting: str) -> Signer:
    """Open `env:NAME` or `file:/path` (a regular file that only its owner can read) with a seed in it.

    `setting` is the setting's name, for messages. Raises ConfigurationError, never quoting the content.
    """
    return _from_seed(_read_secret(url, setting), setting)


def open_channel_keys(url: str, setting: str) -> Signer | KeyFamily:
    """The same, where the secret may be a mnemonic phrase: then it is a whole family of keys."""
    secret = _read_secret(url, setting)
    if len(secret.split()) < 2:
        return _from_seed(secret, setting)
    try:
        return KeyFamily(" ".join(secret.split()))
    except ValueError:
        # the cause is cut off, as below
        raise ConfigurationError(
            f"{setting} holds words that are no mnemonic phrase: it takes 12, 15, 18, 21 or 24 English words "
            "of BIP-39, the last of which is a check on the others"
        ) from None


def _from_seed(secret: str, setting: str) -> LocalSigner:
    try:
        return LocalSigner(Keypair.from_secret(secret.strip()))
    except (Ed25519SecretSeedInvalidError, ValueError):
        # the cause is cut off: its message may quote the seed
        raise ConfigurationError(f"{setting} does not hold a Stellar secret seed (S…)") from None


def _read_secret(url: str, setting: str) -> str:
    scheme, separator, rest = url.partition(":")
    if not separator or not rest:
        raise ConfigurationError(f"{setting} is not a signer URL: use env:NAME or file:/path")
    if scheme == "file":
        return _read_private(Path(rest), setting)
    if scheme != "env":
        raise ConfigurationError(f"{setting} has the unknown scheme {scheme}: use env:NAME or file:/path")
    secret = os.environ.get(rest, "")
    if not secret:
        raise ConfigurationError(f"{setting} names the variable {rest}, which is empty or not set")
    return secret


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
    urls = [settings.issuer_signer, settings.funding_signer, *settings.channel_signers]
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
    opened = [open_channel_keys(url, "MINTKEEPER_CHANNEL_SIGNER") for url in settings.channel_signers]
    families = [keys for keys in opened if isinstance(keys, KeyFamily)]
    if len(families) > 1:
        raise ConfigurationError("MINTKEEPER_CHANNEL_SIGNER names two mnemonic phrases: keep one of them")
    return Wallet(
        issuer,
        [signer for signer in opened if not isinstance(signer, KeyFamily)],
        families[0] if families else None,
        open_signer(settings.funding_signer, "MINTKEEPER_FUNDING_SIGNER")
        if settings.funding_signer
        else None,
    )
