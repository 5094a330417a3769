"""Who asks: a browser with a session cookie, or an API client with a token. Nobody else sees anything.

A cookie travels by itself, so whatever acts on one also needs the session's CSRF token, which only our own
pages hold. A token in a header does not travel by itself, and needs none.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Query, Request
from starlette.datastructures import FormData, UploadFile

from domain.approvals import ActorRole
from domain.errors import AccessRefused, InvalidInput, NotFound
from domain.passes import AccessRefusal
from domain.sessions import Person, SessionKind
from web.state import State, Wired

COOKIE = "mintkeeper_session"
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
REFRESH_HEADER = "x-mintkeeper-refresh"
"""A page that keeps itself up to date says so: that must not keep a session alive with nobody there."""

MOST_BYTES = 2 * 1024 * 1024
"""Of a form: a configuration may have half of it."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = frozenset({"same-origin", "none"})
"""`Sec-Fetch-Site` of a page of ours, and of an address that was typed."""


async def reading(request: Request, state: Wired) -> Person:
    """The person who asks; raises AccessRefused for nobody, and for a change that is not theirs."""
    known: Person | None = getattr(request.state, "person", None)
    if known is not None:
        return known
    person = await _found(request, state, quietly=REFRESH_HEADER in request.headers)
    if person is None:
        raise AccessRefused("sign in first", AccessRefusal.NOT_SIGNED_IN)
    if request.method not in _SAFE and person.kind is SessionKind.BROWSER:
        check_same_site(request)
        await _check_csrf(request, state, person)
    request.state.person = person
    return person


SignedIn = Annotated[Person, Depends(reading)]
"""Parameter type by which a handler receives who asks; nobody else reaches the handler.

With any method but GET it means that they meant it, too: the CSRF token is checked."""


def needs(*roles: ActorRole) -> Callable[..., Coroutine[Any, Any, Person]]:
    """A dependency: somebody signed in who has one of the roles. Raises AccessRefused."""

    async def check(person: SignedIn) -> Person:
        require(person, *roles)
        return person

    return check


Admin = Annotated[Person, Depends(needs("admin"))]
Approver = Annotated[Person, Depends(needs("approver"))]
Auditor = Annotated[Person, Depends(needs("auditor", "admin"))]
Staff = Annotated[Person, Depends(needs("approver", "admin", "auditor"))]
"""Who sees every request of the tenant."""


async def _present(person: SignedIn) -> Person:
    if person.kind is not SessionKind.BROWSER:
        raise AccessRefused("this is for people: sign in with a browser", AccessRefusal.NOT_ENTITLED)
    return person


Present = Annotated[Person, Depends(_present)]
"""Who is signed in with a browser: a token that was lost must not make more of itself."""


async def _own_tenant(
    person: SignedIn,
    tenant: Annotated[
        str | None, Query(description="The tenant's code: one's own, also unless said.")
    ] = None,
) -> str:
    """The person's tenant; another one is as good as absent. Raises NotFound."""
    if tenant is not None and tenant != person.tenant:
        raise NotFound(f"unknown tenant {tenant!r}: there is {person.tenant}")
    return person.tenant


OwnTenant = Annotated[str, Depends(_own_tenant)]
"""Parameter type by which a handler receives the tenant of who asks."""


Acting = Annotated[Person, Depends(needs("requester", "approver", "admin"))]
"""Who may ask for something or act on it; an auditor only looks."""


async def acting_person(request: Request, state: State) -> Person:
    """`Acting`, for handlers that ask only where a body is not its own proof; raises AccessRefused."""
    person = await reading(request, state)
    require(person, "requester", "approver", "admin")
    return person


def require(person: Person, *roles: ActorRole) -> None:
    """Raise AccessRefused unless the person has one of the roles."""
    if not person.roles & set(roles):
        raise AccessRefused(f"this is for {' or '.join(roles)} only", AccessRefusal.NOT_ENTITLED)


def csrf_of(state: State, person: Person) -> str:
    """The session's CSRF token: follows from its id, so that pages need no store for it."""
    mac = state.secret.mac("csrf", person.session_id)
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def check_same_site(request: Request) -> None:
    """Refuse what another site's page sends; raises AccessRefused. Old browsers say nothing of it."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        foreign = site not in _OURS
    else:
        # under our referrer policy a form of ours says "null"
        foreign = origin not in (None, "null") and urlsplit(origin).netloc != request.headers.get("host")
    if foreign:
        raise _cross_site()


def check_size(request: Request, most: int, name: str = "form") -> None:
    """Refuse a body that is too large, or does not say how large it is, unread; raises InvalidInput.

    A server reads no more of a body than its length says; browsers always say it.
    """
    chunked = "transfer-encoding" in request.headers
    told = request.headers.get("content-length", "" if chunked else "0")
    if not told.isdecimal():
        raise InvalidInput("the form has no length: send it with a browser", name)
    if len(told) > 18 or int(told) > most:
        raise InvalidInput(f"the {name} is too large: at most {most} bytes are allowed", name)


def address_of(request: Request) -> str:
    """Where somebody asks from, for counting tries."""
    return request.client.host if request.client else "unknown"


async def form_of(request: Request) -> FormData:
    """The fields of a form of ours, at most one file among them; raises InvalidInput for a larger one.

    Whoever sends a file has it kept on our disk, so its size is asked first: a page that takes documents
    says in `request.state.most_bytes` how large its form may be.
    """
    check_size(request, getattr(request.state, "most_bytes", MOST_BYTES))
    return await request.form(max_files=1, max_fields=300, max_part_size=64 * 1024)


def field(form: FormData, name: str) -> str:
    """A field's text, empty when there is none, with the line ends that we store."""
    value = form.get(name, "")
    return "" if isinstance(value, UploadFile) else value.replace("\r\n", "\n")


async def text_of(form: FormData, most: int) -> str:
    """The field `file`, if a file of at most so many bytes was chosen, else `text`; raises InvalidInput."""
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return field(form, "text")
    content = await file.read(most + 1)
    if len(content) > most:
        raise InvalidInput(f"the file has more than {most} bytes", "file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("the file is not UTF-8 text", "file") from error


async def still_there(request: Request, state: State) -> Person | None:
    """Who asks, as they are now; None once their session is over. It is no sign that anybody is there."""
    return await _found(request, state, quietly=True)


async def _found(request: Request, state: State, *, quietly: bool) -> Person | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        person = await state.accounts.person(token.strip(), quietly=quietly)
        return person if person is not None and person.kind is SessionKind.TOKEN else None
    cookie = request.cookies.get(COOKIE)
    person = await state.accounts.person(cookie, quietly=quietly) if cookie else None
    return person if person is not None and person.kind is SessionKind.BROWSER else None


async def _check_csrf(request: Request, state: State, person: Person) -> None:
    shown = request.headers.get(CSRF_HEADER)
    # the API has no forms: it reads its bodies itself, and only once
    if (
        shown is None
        and not request.url.path.startswith("/api/")
        and request.headers.get("content-type", "").startswith(
            ("application/x-www-form-urlencoded", "multipart/form-data")
        )
    ):
        shown = field(await form_of(request), CSRF_FIELD)
    if not hmac.compare_digest((shown or "").encode(), csrf_of(state, person).encode()):
        raise _cross_site()


def _cross_site() -> AccessRefused:
    return AccessRefused(
        "this did not come from a page of ours: open the page again, and repeat it there",
        AccessRefusal.CROSS_SITE,
    )
