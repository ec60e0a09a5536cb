"""Tokens with any header and claims, and a verifier that fetches keys as it does in a service."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.identity import TokenVerifier
from chassis.testing import AUDIENCE, ISSUER, Issuer


def encode(part: object) -> str:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def claims(**changes: object) -> dict[str, object]:
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "users/anna", "iat": int(time.time()), "exp": int(time.time()) + 3600}
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


def sign(issuer: Issuer, header: dict[str, object] | None = None, **changes: object) -> str:
    """Any claims and header under the issuer's true key; `...` leaves a claim out."""
    content = f"{encode({'alg': 'ES256', 'kid': 'k1', **(header or {})})}.{encode(claims(**changes))}"
    signature = jwt.get_algorithm_by_name("ES256").sign(content.encode(), issuer.keys["k1"])
    return f"{content}.{encode(signature)}"


def sign_elsewhere(key: Any, algorithm: str, kid: str = "k1", **header: object) -> str:  # keys share no type
    return jwt.encode(claims(), key, algorithm, {"kid": kid, **header})


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@asynccontextmanager
async def running(verifier: TokenVerifier) -> AsyncIterator[TokenVerifier]:
    task = asyncio.create_task(verifier.run())
    try:
        yield verifier
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])
