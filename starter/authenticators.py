"""Authenticator apps (TOTP, RFC 6238): the secret is kept encrypted, each code is good once."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pyotp
from cryptography.fernet import Fernet, InvalidToken

from db.reads import accounts as reads
from db.session import Database
from db.writes import accounts as writes
from domain.errors import AccessRefused, ConfigurationError, Refused
from domain.passes import AccessRefusal, SessionSecret
from domain.sessions import Person

ISSUER = "mintkeeper"
"""What an authenticator app shows beside the account."""

_STEP_SECONDS = 30
_DRIFT = (0, -1, 1)
"""Steps around now: a phone's clock may be half a minute off (RFC 6238, 5.2)."""


class Authenticators:
    """Sets authenticators up and checks their codes; who may try how often is `starter.accounts`' matter."""

    def __init__(self, database: Database, secret: SessionSecret) -> None:
        self._database = database
        self._secret = secret

    async def begin(self, person: Person) -> str:
        """A new secret for an authenticator app, as an otpauth:// address; raises Refused if there is one."""
        secret = pyotp.random_base32()
        async with self._database.transaction() as tx:
            begun = await writes.begin_totp(
                tx,
                tenant=person.tenant,
                name=person.name,
                secret=self._seal(secret),
                at=datetime.now(UTC),
            )
        if not begun:
            raise Refused("an authenticator is set up already: an admin can remove it")
        return _address(person, secret)

    async def waiting(self, person: Person) -> str | None:
        """The secret that waits for its first code, as an otpauth:// address; None: there is none."""
        sealed = await self._sealed(person.tenant, person.name, confirmed=False)
        return None if sealed is None else _address(person, self._unseal(sealed))

    async def confirm(self, person: Person, code: str) -> None:
        """The first code of the app proves that it has the secret; raises Refused."""
        sealed = await self._sealed(person.tenant, person.name, confirmed=False)
        step = _matching(self._unseal(sealed), code) if sealed is not None else None
        if sealed is None or step is None:
            raise Refused("the code is not right: look at the app again, and at your phone's clock")
        async with self._database.transaction() as tx:
            if not await writes.confirm_totp(
                tx,
                tenant=person.tenant,
                name=person.name,
                secret=sealed,
                step=step,
                at=datetime.now(UTC),
                kept=person.session_id,
            ):
                raise Refused("an authenticator is set up already, or was begun anew elsewhere")

    async def use(self, tenant: str, name: str, code: str) -> None:
        """Check a fresh code and use it up; raises AccessRefused."""
        sealed = await self._sealed(tenant, name, confirmed=True)
        step = _matching(self._unseal(sealed), code) if sealed is not None else None
        if step is not None:
            async with self._database.transaction() as tx:
                if await writes.use_totp(tx, tenant=tenant, name=name, step=step):
                    return
        raise AccessRefused(
            "the code is not right, or was used: wait for the next one", AccessRefusal.WRONG_CODE
        )

    async def _sealed(self, tenant: str, name: str, *, confirmed: bool) -> str | None:
        async with self._database.transaction() as tx:
            account = await reads.account(tx, tenant, name)
        if account is None or (account.totp_confirmed_at is not None) is not confirmed:
            return None
        return account.totp_secret

    def _seal(self, text: str) -> str:
        return self._fernet().encrypt(text.encode()).decode()

    def _unseal(self, sealed: str) -> str:
        try:
            return self._fernet().decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise ConfigurationError(
                "the authenticator's secret can't be read: MINTKEEPER_SESSION_SECRET has changed since; "
                "remove it with 'mintkeeper user reset-totp' and set it up anew"
            ) from error

    def _fernet(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self._secret.mac("totp")))


def _matching(secret: str, code: str) -> int | None:
    """The time step of a right code; None: it is not right now."""
    totp, now = pyotp.TOTP(secret, interval=_STEP_SECONDS), int(datetime.now(UTC).timestamp())
    typed = code.replace(" ", "")
    for drift in _DRIFT:
        step = now // _STEP_SECONDS + drift
        if pyotp.utils.strings_equal(totp.generate_otp(step), typed):
            return step
    return None


def _address(person: Person, secret: str) -> str:
    return pyotp.TOTP(secret).provisioning_uri(name=f"{person.name}@{person.tenant}", issuer_name=ISSUER)
