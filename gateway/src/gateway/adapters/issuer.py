"""The development issuer: signs in demo persons without asking who asks. It is on only where its setting says so."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.errors import InvalidRequest
from chassis.settings import Platform
from gateway.adapters.body import parse_json, read_body
from gateway.adapters.client_credentials import ClientRefused, read_client
from gateway.adapters.persons import PERSONS, Person

TOKEN_SECONDS = 12 * 3600


class Issuer:
    """Holds the key that it signs with, and answers under `/dev`."""

    def __init__(self, platform: Platform) -> None:
        """Take the key of the data folder, or make one at the first start, so that tokens outlive a restart."""
        self._platform = platform
        self._key = load_key(platform.data / "dev" / "issuer.pem")
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._kid = hashlib.sha256(json.dumps(public, sort_keys=True).encode()).hexdigest()[:16]
        self._jwks = {"keys": [public | {"kid": self._kid, "use": "sig", "alg": "ES256"}]}
        self.routes = [
            Route("/dev/persons", self.list_persons),
            Route("/dev/token", self.create_token, methods=["POST"]),
            Route("/dev/oauth/token", self.grant_token, methods=["POST"]),
            Route("/dev/jwks", self.get_jwks),
            Route("/.well-known/oauth-authorization-server/dev", self.get_metadata),
            Route("/dev/.well-known/openid-configuration", self.get_metadata),
        ]

    async def list_persons(self, _: Request) -> Response:
        """With the secret of each client: whoever asks may have a token of anybody here as well."""
        return JSONResponse({"persons": [asdict(person) | self._find_secret(person) for person in PERSONS.values()]})

    async def create_token(self, request: Request) -> Response:
        asked = parse_json(await read_body(request))
        person = PERSONS.get(str(asked.get("person")))
        if person is None:
            raise InvalidRequest(fields=[("person", f"must be one of {', '.join(PERSONS)}")])
        token = self.sign_token(person, int(time.time()))
        return JSONResponse(
            {"accessToken": token, "tokenType": "Bearer", "expiresIn": TOKEN_SECONDS}, headers={"cache-control": "no-store"}
        )

    async def grant_token(self, request: Request) -> Response:
        """OAuth 2.0 client credentials (RFC 6749, 4.4): what any issuer of a deployment offers to agencies' systems."""
        headers = {"cache-control": "no-store", "pragma": "no-cache"}
        try:
            client = await read_client(request)
            person = PERSONS.get(client.id)
            if person is None or not person.client or not hmac.compare_digest(self._make_secret(person).encode(), client.secret.encode()):
                raise ClientRefused("invalid_client")
        except ClientRefused as refused:
            return JSONResponse({"error": refused.error}, refused.status, headers | refused.headers)
        token = self.sign_token(person, int(time.time()))
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}, headers=headers)

    async def get_jwks(self, _: Request) -> Response:
        return JSONResponse(self._jwks)

    async def get_metadata(self, _: Request) -> Response:
        """The authorization server's metadata (RFC 8414), and where OpenID's clients look for it, too.

        Nobody signs in here but by `/dev/token`, so there is no authorization endpoint.
        """
        issuer = self._platform.issuer
        return JSONResponse(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/jwks",
                "token_endpoint": f"{issuer}/oauth/token",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "grant_types_supported": ["client_credentials"],
                # There is no endpoint at which anything else could be asked for, and an empty list is not allowed.
                "response_types_supported": ["none"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }
        )

    def _find_secret(self, person: Person) -> dict[str, str]:
        return {"secret": self._make_secret(person)} if person.client else {}

    def _make_secret(self, person: Person) -> str:
        """Of this installation alone, and the same after a restart."""
        number = self._key.private_numbers().private_value.to_bytes(32)
        return base64.urlsafe_b64encode(hmac.digest(number, f"client {person.person}".encode(), "sha256")).decode().rstrip("=")

    def sign_token(self, person: Person, now: int) -> str:
        claims = {
            "iss": self._platform.issuer,
            "aud": self._platform.audience,
            "sub": person.person,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "auth_time": now,
            "name": person.name,
            "roles": person.roles,
        }
        if person.agency:
            claims["agency"] = person.agency
        if person.areas:
            claims["areas"] = person.areas
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._kid})


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # The file is for its owner alone from the start, and whole when it appears.
        with NamedTemporaryFile(dir=path.parent, delete=False) as whole:
            whole.write(pem)
        Path(whole.name).rename(path)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic-curve key: remove it, and a new one is made")
    return key
