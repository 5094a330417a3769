"""Signing in: passwords (Argon2id), authenticator codes (TOTP, RFC 6238), sessions, invitations.

Secrets leave this module once, to whom they belong; the database has hashes, or ciphertext.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken

from db.reads import accounts as reads
from db.reads.accounts import Account
from db.session import Database
from db.writes import accounts as writes
from domain import sessions
from domain.errors import AccessRefused, ConfigurationError, InvalidInput, Refused
from domain.passes import AccessRefusal, PassPurpose, SessionSecret, check_pass, issue_pass
from domain.sessions import Opened, Person, SessionKind, check_password, token_hash
from starter import account_care
from starter.ids import new_message_id, new_session_id

ISSUER = "mintkeeper"
"""What an authenticator app shows beside the account."""

SECOND_STEP = timedelta(minutes=5)
"""So long a right password is good without its code."""

_STEP_SECONDS = 30
_DRIFT = (0, -1, 1)
"""Steps around now: a phone's clock may be half a minute off (RFC 6238, 5.2)."""

_SEEN_EVERY = timedelta(minutes=1)

_SIGNED_IN = "/signed-in"
"""Tries of somebody who is let in already: strangers who try to sign in must not stop their decisions."""
_PRESENT = "/present-password"
"""Apart from codes: a right password must not let anybody begin to guess codes anew."""

_hasher = PasswordHasher()
_hashing = asyncio.Semaphore(2)
"""Each hash takes 64 MiB and some 50 ms of a core: a flood of them must not take the machine."""


@dataclass(frozen=True)
class NeedsCode:
    """The password is right; the code of the authenticator is awaited."""

    ticket: str


class Accounts:
    """Everything about signing in, on one database and one secret."""

    def __init__(self, database: Database, secret: SessionSecret) -> None:
        self._database = database
        self._secret = secret

    async def sign_in(
        self, tenant: str, name: str, password: str, *, address: str, label: str = "", browser: str = ""
    ) -> Opened | NeedsCode:
        """By password; raises AccessRefused (wrong, or too many tries), whatever of both names is wrong.

        `browser`: what `known_browser` gave it, if anything.
        """
        apart = self._apart(tenant, name, browser)
        key = await self._try(tenant, name, address, apart)
        account = await self._account(tenant, name)
        known = account is not None and account.active and account.password_hash is not None
        stored = account.password_hash if account is not None and known else None
        if not await _is_password(stored, password) or account is None or stored is None:
            raise AccessRefused("name or password is not right", AccessRefusal.WRONG_PASSWORD)
        if account.totp_confirmed_at is not None:
            return NeedsCode(self._ticket(account))
        await self._forget(key)
        opened = await self.open_session(tenant, name, ("pwd",), label=label, shown=account)
        if _hasher.check_needs_rehash(stored):
            await self._rehash(account, stored, password)
        return opened

    async def second_step(
        self,
        tenant: str,
        name: str,
        ticket: str,
        code: str,
        *,
        address: str,
        label: str = "",
        browser: str = "",
    ) -> Opened:
        """By the code of the authenticator, after the password; raises AccessRefused."""
        account = await self._account(tenant, name)
        subject = _subject(account) if account is not None and account.active else ""
        check_pass(
            self._secret,
            ticket,
            purpose=PassPurpose.SECOND_FACTOR,
            subject=subject,
            now=datetime.now(UTC),
        )
        key = await self._try(tenant, name, address, self._apart(tenant, name, browser))
        await self._use_code(tenant, name, code)
        await self._forget(key)
        return await self.open_session(tenant, name, ("pwd", "otp"), label=label, shown=account)

    def known_browser(self, tenant: str, name: str) -> str:
        """What a browser that has signed in keeps: nobody can lock it out by wrong tries elsewhere."""
        until = datetime.now(UTC) + sessions.KNOWN_BROWSER
        return issue_pass(self._secret, PassPurpose.KNOWN_BROWSER, f"{tenant}/{name}", until)

    async def step_up(self, person: Person, code: str, *, address: str) -> None:
        """Check a fresh code of a signed-in person's authenticator, and use it up; raises AccessRefused."""
        key = await self._try(person.tenant, person.name, address, _SIGNED_IN)
        await self._use_code(person.tenant, person.name, code)
        await self._forget(key)

    async def open_session(
        self,
        tenant: str,
        name: str,
        amr: tuple[str, ...],
        *,
        kind: SessionKind = SessionKind.BROWSER,
        label: str = "",
        lasting: timedelta = sessions.LONGEST,
        shown: Account | None = None,
    ) -> Opened:
        """Let somebody who was authenticated by these means in.

        `shown`: the account whose password they have shown. Raises AccessRefused where that, or its
        authenticator, is another by now: its sessions have ended, and this one must not come after them.
        """
        token, now = secrets.token_urlsafe(32), datetime.now(UTC)
        async with self._database.transaction() as tx:
            if shown is not None and not await writes.stands(
                tx,
                tenant=tenant,
                name=name,
                password_hash=shown.password_hash,
                with_totp=shown.totp_confirmed_at is not None,
            ):
                raise AccessRefused(
                    "your password or authenticator has just changed: begin again",
                    AccessRefusal.WRONG_PASSWORD,
                )
            await writes.open_session(
                tx,
                session_id=new_session_id(),
                tenant=tenant,
                name=name,
                kind=kind,
                token_sha256=token_hash(token),
                amr=amr,
                label=label[:100],
                at=now,
                expires_at=now + lasting,
            )
        return Opened(token, now + lasting)

    async def person(self, token: str, *, quietly: bool = False) -> Person | None:
        """Who shows this token; None: nobody who is signed in.

        `quietly`: an open page asks by itself, which is no sign that anybody is there.
        """
        now = datetime.now(UTC)
        async with self._database.transaction() as tx:
            found = await reads.person_of_session(tx, token_hash(token), now, now - sessions.IDLE)
            if found is None:
                return None
            person, seen = found
            # not at every click: reading pages should write nothing
            if now - seen > _SEEN_EVERY and not quietly:
                await writes.seen(tx, person.session_id, now)
        return person

    async def sign_out(self, person: Person) -> None:
        """End this session."""
        await account_care.end_sessions(
            self._database, person.tenant, person.name, actor=person.name, session_id=person.session_id
        )

    async def set_password(self, tenant: str, name: str, password: str, *, actor: str) -> None:
        """Give a user a password; their sessions end. Raises InvalidInput, NotFound."""
        hashed = await hash_password(check_password(password, name))
        async with self._database.transaction() as tx:
            await writes.set_password(
                tx, tenant=tenant, name=name, password_hash=hashed, actor=actor, at=datetime.now(UTC)
            )

    async def change_password(self, person: Person, present: str, new: str, *, address: str) -> None:
        """Take a new password from who knows the present one; their other sessions end.

        Raises AccessRefused for a wrong one, which counts as a try to sign in, and InvalidInput.
        """
        hashed = await hash_password(check_password(new, person.name))
        await self.check_present(person, present, address=address)
        async with self._database.transaction() as tx:
            await writes.set_password(
                tx,
                tenant=person.tenant,
                name=person.name,
                password_hash=hashed,
                actor=person.name,
                at=datetime.now(UTC),
                kept=person.session_id,
            )

    async def check_present(self, person: Person, present: str, *, address: str) -> None:
        """Whoever sits there knows the password; raises AccessRefused for a wrong one, which is counted."""
        key = await self._try(person.tenant, person.name, address, _PRESENT)
        account = await self._account(person.tenant, person.name)
        stored = account.password_hash if account is not None else None
        if not await _is_password(stored, present):
            raise AccessRefused("the present password is not right", AccessRefusal.WRONG_PASSWORD)
        await self._forget(key)

    async def remove_totp(self, person: Person, code: str, *, address: str) -> None:
        """Forget one's authenticator, by a code of it; one's sessions end. Raises AccessRefused."""
        await self.step_up(person, code, address=address)
        await account_care.reset_totp(self._database, person.tenant, person.name, actor=person.name)

    async def waiting_totp(self, person: Person) -> str | None:
        """The secret that waits for its first code, as an otpauth:// address; None: there is none."""
        account = await self._account(person.tenant, person.name)
        if account is None or account.totp_secret is None or account.totp_confirmed_at is not None:
            return None
        return _address(person, self._unseal(account.totp_secret))

    async def has_password(self, person: Person) -> bool:
        """They can sign in by password."""
        account = await self._account(person.tenant, person.name)
        return account is not None and account.password_hash is not None

    async def invite(self, tenant: str, name: str, *, actor: str) -> str:
        """`account_care.invite` on this database."""
        return await account_care.invite(self._database, tenant, name, actor=actor)

    async def invited(self, token: str) -> tuple[str, str] | None:
        """Whom an invitation is for, (tenant, name); it stays good. None: it is good no more."""
        async with self._database.transaction() as tx:
            return await writes.invited(tx, token_hash(token), datetime.now(UTC))

    async def accept_invitation(self, token: str, password: str) -> tuple[str, str]:
        """Choose the password; raises Refused when the invitation is used or old, InvalidInput."""
        found = await self.invited(token)
        if found is not None:
            hashed, now = await hash_password(check_password(password, found[1])), datetime.now(UTC)
            async with self._database.transaction() as tx:
                found = await writes.use_invitation(tx, token_hash(token), now)
                if found is not None:
                    tenant, name = found
                    await writes.set_password(
                        tx, tenant=tenant, name=name, password_hash=hashed, actor=name, at=now
                    )
        if found is None:
            raise Refused("this invitation was used, or is too old: ask an admin for a new one")
        return found

    async def begin_totp(self, person: Person) -> str:
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

    async def confirm_totp(self, person: Person, code: str) -> None:
        """The first code of the app proves that it has the secret; raises Refused."""
        account = await self._account(person.tenant, person.name)
        sealed = account.totp_secret if account is not None else None
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

    async def _use_code(self, tenant: str, name: str, code: str) -> None:
        account = await self._account(tenant, name)
        sealed = account.totp_secret if account is not None and account.totp_confirmed_at else None
        step = _matching(self._unseal(sealed), code) if sealed is not None else None
        if step is not None:
            async with self._database.transaction() as tx:
                if await writes.use_totp(tx, tenant=tenant, name=name, step=step):
                    return
        raise AccessRefused(
            "the code is not right, or was used: wait for the next one", AccessRefusal.WRONG_CODE
        )

    async def _account(self, tenant: str, name: str) -> Account | None:
        try:
            async with self._database.transaction() as tx:
                return await reads.account(tx, tenant, name)
        except InvalidInput:
            # a NUL character: nobody is called that
            return None

    async def _try(self, tenant: str, name: str, address: str, apart: str) -> tuple[str, str]:
        """Count the try before it is looked at; raises AccessRefused when there were too many.

        Tries that were made `apart` from others count among themselves only.
        """
        key = hashlib.sha256(f"{tenant}/{name.casefold()}{apart}".encode()).hexdigest()
        address, now = f"{address}{apart}", datetime.now(UTC)
        async with self._database.transaction() as tx:
            await writes.note_try(tx, try_id=new_message_id(), account=key, address=address, at=now)
        # of tries side by side none is counted before it is written: each one sees all that came before
        async with self._database.transaction() as tx:
            of_both, of_account, of_address = await writes.count_tries(
                tx, account=key, address=address, at=now
            )
        most = (sessions.MOST_TRIES, sessions.MOST_TRIES_OF_ACCOUNT, sessions.MOST_TRIES_OF_ADDRESS)
        if any(tries > limit for tries, limit in zip((of_both, of_account, of_address), most, strict=True)):
            minutes = sessions.TRIES_WINDOW.seconds // 60
            raise AccessRefused(
                f"too many tries: wait {minutes} minutes, or ask an admin for an invitation",
                AccessRefusal.TOO_MANY_TRIES,
            )
        return key, address

    def _apart(self, tenant: str, name: str, browser: str) -> str:
        """A browser that the user has signed in with has tries of its own."""
        try:
            check_pass(
                self._secret,
                browser,
                purpose=PassPurpose.KNOWN_BROWSER,
                subject=f"{tenant}/{name}",
                now=datetime.now(UTC),
            )
        except AccessRefused:
            return ""
        return "/" + hashlib.sha256(browser.encode()).hexdigest()

    async def _forget(self, tried: tuple[str, str]) -> None:
        account, address = tried
        async with self._database.transaction() as tx:
            await writes.forget_tries(tx, account=account, address=address)

    async def _rehash(self, account: Account, stored: str, password: str) -> None:
        new = await hash_password(password)
        async with self._database.transaction() as tx:
            await writes.rehash(tx, tenant=account.tenant, name=account.name, old=stored, new=new)

    def _ticket(self, account: Account) -> str:
        until = datetime.now(UTC) + SECOND_STEP
        return issue_pass(self._secret, PassPurpose.SECOND_FACTOR, _subject(account), until)

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


async def hash_password(password: str) -> str:
    """Argon2id with the library's parameters of today (RFC 9106, low memory)."""
    async with _hashing:
        return await asyncio.to_thread(_hasher.hash, password)


async def _is_password(stored: str | None, password: str) -> bool:
    """Also without a stored hash it takes the time of a check: who exists is nobody's business."""
    async with _hashing:
        return await asyncio.to_thread(_verify, stored or _nobodys_hash(), password) and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))


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


def _subject(account: Account) -> str:
    """A right password is worth nothing any more once it has changed."""
    fingerprint = hashlib.sha256((account.password_hash or "").encode()).hexdigest()[:16]
    return f"{account.tenant}/{account.name}/{fingerprint}"
