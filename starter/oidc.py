"""Signing in with an OpenID Connect provider: authorization code with PKCE, state and nonce (Core 1.0, 3.1).

The provider says who somebody is; which user that is, is ours: the first sign-in binds its subject to the
user, and from then on the subject alone counts. An address that is given to somebody else opens nothing.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from db.reads import accounts as reads
from db.session import Database
from db.writes import accounts as writes
from domain.errors import AccessRefused, ConfigurationError, Unavailable
from domain.passes import AccessRefusal
from settings import Settings

log = logging.getLogger("mintkeeper.oidc")

SECONDS = 5.0
"""How long the provider may take for one answer."""

ALGORITHMS = ("RS256", "PS256", "ES256", "Ed25519", "EdDSA")
"""Public keys only: with a shared secret, or without a signature, anybody could write id tokens."""

STRONG = frozenset({"mfa", "otp", "hwk", "swk"})
"""Words of RFC 8176 by which a provider says that there was a second factor."""

_LEEWAY_SECONDS = 60
_LONGEST = 512 * 1024


@dataclass(frozen=True)
class Begun:
    """A sign-in that goes on at the provider; the browser keeps this until it comes back."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Federated:
    """Who came back."""

    tenant: str
    name: str
    amr: tuple[str, ...]


class Provider:
    """The provider of the settings."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Raises ConfigurationError for settings that are not whole."""
        self._settings = settings
        self._database = database
        self._issuer = settings.oidc_issuer
        missing = [
            f"MINTKEEPER_{name.upper()}"
            for name in ("oidc_client_id", "oidc_client_secret", "oidc_tenant", "oidc_claim")
            if not getattr(settings, name)
        ]
        if missing:
            raise ConfigurationError(f"MINTKEEPER_OIDC_ISSUER is set, but not {', '.join(missing)}")
        if not _is_safe(self._issuer):
            raise ConfigurationError("MINTKEEPER_OIDC_ISSUER must begin with https://")

    @property
    def title(self) -> str:
        """What the button says."""
        return urlsplit(self._issuer).netloc

    async def begin(self, redirect_uri: str) -> Begun:
        """Where to send the browser; raises Unavailable."""
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        async with self._client() as client:
            known = await self._discover(client)
        asking = OAuth2Client(
            None,
            self._settings.oidc_client_id,
            scope="openid email profile",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )
        url, state = asking.create_authorization_url(
            known["authorization_endpoint"], nonce=nonce, code_verifier=verifier
        )
        return Begun(url, state, nonce, verifier)

    async def finish(self, begun: Begun, code: str, redirect_uri: str) -> Federated:
        """Who has come back with a code; raises AccessRefused for anything that isn't right, Unavailable."""
        async with self._client() as client:
            known = await self._discover(client)
            id_token = await self._exchange(client, known["token_endpoint"], code, begun, redirect_uri)
            keys = await _get(client, known["jwks_uri"])
        claims = self._claims(id_token, keys, begun.nonce)
        amr = claims.get("amr")
        strong = isinstance(amr, list) and any(word in STRONG for word in amr if isinstance(word, str))
        name = await self._user(claims)
        return Federated(self._settings.oidc_tenant, name, ("fed", "otp") if strong else ("fed",))

    def _client(self) -> httpx.AsyncClient:
        # no proxy leads to this machine
        return httpx.AsyncClient(
            timeout=SECONDS, follow_redirects=False, trust_env=not _is_loopback(self._issuer)
        )

    async def _discover(self, client: httpx.AsyncClient) -> dict[str, Any]:
        known = await _get(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if known.get("issuer") != self._issuer:
            raise Unavailable(f"the provider says that it is another issuer than {self._issuer}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(known.get(name), str) or not _is_safe(known[name]):
                raise Unavailable(f"the provider's {name} can't be used")
        return known

    async def _exchange(
        self, client: httpx.AsyncClient, endpoint: str, code: str, begun: Begun, redirect_uri: str
    ) -> str:
        """The id token for a code (RFC 6749, 4.1.3; RFC 7636, 4.5); raises AccessRefused, Unavailable."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        secret = (self._settings.oidc_client_id, self._settings.oidc_client_secret)
        try:
            answer = await client.post(endpoint, data={**form, "code_verifier": begun.verifier}, auth=secret)
            if answer.is_server_error:
                answer.raise_for_status()
            token = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _down(error) from error
        if not isinstance(token, dict) or "error" in token:
            reason = token["error"] if isinstance(token, dict) else "no object"
            raise _refused(f"the provider does not take the code: {reason}")
        id_token = token.get("id_token")
        if not isinstance(id_token, str) or len(id_token) > _LONGEST:
            raise _refused("the provider sent no id token")
        return id_token

    def _claims(self, id_token: str, keys: dict[str, Any], nonce: str) -> dict[str, Any]:
        """What the id token says, once it is proven to be for us, now; raises AccessRefused."""
        ours = self._settings.oidc_client_id
        rules = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            sub={"essential": True},
            aud={"essential": True, "value": ours},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            token = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=list(ALGORITHMS))  # type: ignore[arg-type]  # a document of the provider
            rules.validate(token.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _refused(f"the id token is not right: {type(error).__name__} {error}") from error
        claims: dict[str, Any] = token.claims
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != ours:
            raise _refused("the id token was made for another client")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise _refused("the id token has no subject")
        return claims

    async def _user(self, claims: dict[str, Any]) -> str:
        """The active user who this is; the first time they are bound to it. Raises AccessRefused."""
        tenant, subject = self._settings.oidc_tenant, claims["sub"]
        async with self._database.transaction() as tx:
            name = await reads.user_of_subject(tx, tenant, self._issuer, subject)
            bound = name is not None
            if name is None:
                called = await reads.users_called(tx, tenant, **self._called(claims))
                name = called[0] if len(called) == 1 else None
            account = await reads.account(tx, tenant, name) if name is not None else None
            if account is None or not account.active:
                raise _refused("nobody here is called that, or they have left")
            if not bound and not await writes.bind_subject(
                tx,
                tenant=tenant,
                name=account.name,
                issuer=self._issuer,
                subject=subject,
                at=datetime.now(UTC),
            ):
                raise _refused(f"{account.name} is another person at the provider")
        return account.name

    def _called(self, claims: dict[str, Any]) -> dict[str, str]:
        value = claims.get(self._settings.oidc_claim)
        if not isinstance(value, str) or not value:
            raise _refused(f"the id token has no {self._settings.oidc_claim}")
        if self._settings.oidc_claim != "email":
            return {"name": value}
        if claims.get("email_verified") is not True:
            raise _refused("the provider has not verified the address")
        return {"email": value}


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """A JSON object of the provider; raises Unavailable."""
    try:
        answer = await client.get(url)
        answer.raise_for_status()
        document = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _down(error) from error
    if not isinstance(document, dict):
        raise Unavailable("the provider's answer can't be read")
    return document


def _refused(detail: str) -> AccessRefused:
    """Operators read the reason in the log; whoever tries learns nothing of it."""
    log.warning("a federated sign-in was refused: %s", detail)
    return AccessRefused(
        "signing in there did not work here: try again, or ask an admin", AccessRefusal.NOT_SIGNED_IN
    )


def _down(error: Exception) -> Unavailable:
    log.warning("the provider can't be reached: %s %s", type(error).__name__, error)
    return Unavailable("the provider can't be reached at the moment: try again later, or use a password")


def _is_safe(url: str) -> bool:
    """Encrypted, or on this machine."""
    return url.startswith("https://") or (url.startswith("http://") and _is_loopback(url))


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
