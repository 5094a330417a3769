"""An OpenID Connect provider on this machine, which can be told to lie."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "mintkeeper-test", "a-client-secret-0123456789abcdef0123"


@dataclass
class FakeProvider:
    """Lets everybody in at once, as `claims` say; `lies` change the id token or the answers."""

    url: str = ""
    claims: dict = field(default_factory=lambda: {"sub": "s-1", "email_verified": True})
    lies: dict = field(default_factory=dict)
    algorithm: str = "RS256"
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1"}))
    other_key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1"}))
    asked: list[dict] = field(default_factory=list)
    codes: dict[str, dict] = field(default_factory=dict)

    async def discovery(self, request):
        document = {
            "issuer": self.lies.get("discovery_issuer", self.url),
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
        }
        return web.json_response(document)

    async def authorize(self, request):
        """No questions: back at once with a code."""
        query = dict(request.query)
        self.asked.append(query)
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        back = {"code": code, "state": self.lies.get("state", query["state"])}
        raise web.HTTPFound(f"{query['redirect_uri']}?{urlencode(back)}")

    async def token(self, request):
        """The id token for a code, once, for whoever knows the verifier and the client's secret."""
        form = await request.post()
        if "token" in self.lies:
            status, body = self.lies["token"]
            return web.Response(status=status, text=body, content_type="application/json")
        query = self.codes.pop(form["code"], None)
        secret = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        known = request.headers.get("Authorization") == f"Basic {secret}"
        if query is None or not known or not _is_asker(query, form):
            return web.json_response({"error": "invalid_grant"}, status=400)
        id_token = self.id_token(query["nonce"])
        return web.json_response(
            {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}
        )

    async def jwks(self, request):
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    def id_token(self, nonce):
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
        claims |= self.claims | self.lies.get("claims", {})
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            return _by_hand("none", claims, None)
        if self.algorithm == "HS256":
            # the confusion: the public key as the shared secret
            return _by_hand("HS256", claims, self.key.as_pem(private=False))
        if self.algorithm == "HS256-secret":
            return _by_hand("HS256", claims, SECRET.encode())
        key = self.other_key if self.lies.get("key") else self.key
        return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, key)


def _is_asker(query, form):
    """The code goes to who has asked for it (RFC 7636, 4.6; RFC 6749, 4.1.3)."""
    hashed = hashlib.sha256(form["code_verifier"].encode()).digest()
    challenge = base64.urlsafe_b64encode(hashed).decode().rstrip("=")
    return (challenge, form["redirect_uri"], form["grant_type"]) == (
        query["code_challenge"], query["redirect_uri"], "authorization_code"
    )  # fmt: skip


def _by_hand(algorithm, claims, secret):
    """A token that no library would make."""
    parts = [{"alg": algorithm, "kid": "k1", "typ": "JWT"}, claims]
    signed = ".".join(_encode(json.dumps(part).encode()) for part in parts)
    mac = b"" if secret is None else hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{_encode(mac)}"


def _encode(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@asynccontextmanager
async def running_provider():
    """The provider on a free port."""
    provider = FakeProvider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.token)
    app.router.add_get("/jwks", provider.jwks)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
