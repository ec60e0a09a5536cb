"""Tokens of a platform's development issuer, good and bad, signed with its own key where that is the point."""

import base64
import hashlib
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from harness import RunningPlatform

ROOM = "agencies/jakarta-112"
POLICE = "agencies/jakarta-police"


class Signer:
    """Signs as the platform's issuer does: `kid`, `key` and the claims of a good token."""

    def __init__(self, platform: RunningPlatform) -> None:
        key = serialization.load_pem_private_key((platform.folder / "dev" / "issuer.pem").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.key = key
        public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self.kid = hashlib.sha256(json.dumps(public, sort_keys=True).encode()).hexdigest()[:16]
        self.public = {str(name): value for name, value in public.items()}
        self.issuer = platform.environment["SIAGA_ISSUER"]

    def claims(self, user: str, **others: object) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": self.issuer, "aud": "siaga", "sub": user, "iat": now, "exp": now + 3600, **others}

    def sign(self, user: str, *roles: str, agency: str = "", **others: object) -> str:
        return jwt.encode(self.claims(user, roles=list(roles), agency=agency, **others), self.key, "ES256", {"kid": self.kid})

    def sign_raw(self, header: bytes, content: bytes) -> str:
        """A token of these bytes with a good signature, also where no library would make it."""
        signing = f"{encode(header)}.{encode(content)}"
        signature = jwt.get_algorithm_by_name("ES256").sign(signing.encode(), self.key)
        return f"{signing}.{encode(signature)}"

    def header(self, **others: object) -> bytes:
        return json.dumps({"alg": "ES256", "typ": "JWT", "kid": self.kid, **others}).encode()


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
