"""Signing in: by password and the code of an authenticator, sessions, invitations.

Secrets leave this module once, to whom they belong; the database has hashes, or ciphertext.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from db.reads import accounts as reads
from db.reads.accounts import Account
from db.session import Database
from db.writes import accounts as writes
from domain import sessions
from domain.errors import AccessRefused, InvalidInput, Refused
from domain.passes import AccessRefusal, PassPurpose, SessionSecret, check_pass, issue_pass
from domain.sessions import Opened, Person, SessionKind, check_password, token_hash
from starter import account_care
from starter.authenticators import Authenticators
from starter.ids import new_session_id
from starter.passwords import hash_password, is_outdated, is_password
from starter.tries import count_try, forget_tries

SECOND_STEP = timedelta(minutes=5)
"""So long a right password is good without its code."""

_SEEN_EVERY = timedelta(minutes=1)

_SIGNED_IN = "/signed-in"
"""Tries of somebody who is let in already: strangers who try to sign in must not stop their decisions."""
_PRESENT = "/present-password"
"""Apart from codes: a right password must not let anybody begin to guess codes anew."""


@dataclass(frozen=True)
class NeedsCode:
    """The password is right; the code of the authenticator is awaited."""

    ticket: str


class Accounts:
    """Everything about signing in, on one database and one secret."""

    def __init__(self, database: Database, secret: SessionSecret) -> None:
        self._database = database
        self._secret = secret
        self.authenticators = Authenticators(database, secret)

    async def sign_in(
        self, tenant: str, name: str, password: str, *, address: str, label: str = "", browser: str = ""
    ) -> Opened | NeedsCode:
        """By password; raises AccessRefused (wrong, or too many tries), whatever of both names is wrong.

        `browser`: what `known_browser` gave it, if anything.
        """
        apart = self._apart(tenant, name, browser)
        tried = await count_try(self._database, tenant, name, address, apart)
        account = await self._account(tenant, name)
        known = account is not None and account.active and account.password_hash is not None
        stored = account.password_hash if account is not None and known else None
        if not await is_password(stored, password) or account is None or stored is None:
            raise AccessRefused("name or password is not right", AccessRefusal.WRONG_PASSWORD)
        if account.totp_confirmed_at is not None:
            return NeedsCode(self._ticket(account))
        await forget_tries(self._database, tried)
        opened = await self.open_session(tenant, name, ("pwd",), label=label, shown=account)
        if is_outdated(stored):
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
        tried = await count_try(self._database, tenant, name, address, self._apart(tenant, name, browser))
        await self.authenticators.use(tenant, name, code)
        await forget_tries(self._database, tried)
        return await self.open_session(tenant, name, ("pwd", "otp"), label=label, shown=account)

    def known_browser(self, tenant: str, name: str) -> str:
        """What a browser that has signed in keeps: nobody can lock it out by wrong tries elsewhere."""
        until = datetime.now(UTC) + sessions.KNOWN_BROWSER
        return issue_pass(self._secret, PassPurpose.KNOWN_BROWSER, f"{tenant}/{name}", until)

    async def step_up(self, person: Person, code: str, *, address: str) -> None:
        """Check a fresh code of a signed-in person's authenticator, and use it up; raises AccessRefused."""
        tried = await count_try(self._database, person.tenant, person.name, address, _SIGNED_IN)
        await self.authenticators.use(person.tenant, person.name, code)
        await forget_tries(self._database, tried)

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
        tried = await count_try(self._database, person.tenant, person.name, address, _PRESENT)
        account = await self._account(person.tenant, person.name)
        stored = account.password_hash if account is not None else None
        if not await is_password(stored, present):
            raise AccessRefused("the present password is not right", AccessRefusal.WRONG_PASSWORD)
        await forget_tries(self._database, tried)

    async def remove_totp(self, person: Person, code: str, *, address: str) -> None:
        """Forget one's authenticator, by a code of it; one's sessions end. Raises AccessRefused."""
        await self.step_up(person, code, address=address)
        await account_care.reset_totp(self._database, person.tenant, person.name, actor=person.name)

    async def has_password(self, person: Person) -> bool:
        """They can sign in by password."""
        account = await self._account(person.tenant, person.name)
        return account is not None and account.password_hash is not None

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

    async def _account(self, tenant: str, name: str) -> Account | None:
        try:
            async with self._database.transaction() as tx:
                return await reads.account(tx, tenant, name)
        except InvalidInput:
            # a NUL character: nobody is called that
            return None

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

    async def _rehash(self, account: Account, stored: str, password: str) -> None:
        new = await hash_password(password)
        async with self._database.transaction() as tx:
            await writes.rehash(tx, tenant=account.tenant, name=account.name, old=stored, new=new)

    def _ticket(self, account: Account) -> str:
        until = datetime.now(UTC) + SECOND_STEP
        return issue_pass(self._secret, PassPurpose.SECOND_FACTOR, _subject(account), until)


def _subject(account: Account) -> str:
    """A right password is worth nothing any more once it has changed."""
    fingerprint = hashlib.sha256((account.password_hash or "").encode()).hexdigest()[:16]
    return f"{account.tenant}/{account.name}/{fingerprint}"
