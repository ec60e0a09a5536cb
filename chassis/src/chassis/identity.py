"""Who calls: a verified bearer token, or nobody."""

import asyncio
import json
import logging
import math
import os
import time
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import jwt

from chassis.errors import InvalidToken, ServiceUnavailable
from chassis.tls import trust
from siaga.access.v1 import access_pb2
from siaga.access.v1.access_pb2 import Role

GRACE_SECONDS = 90 * 24 * 3600
_ALGORITHMS = ("ES256", "RS256", "EdDSA")
_LEEWAY_SECONDS = 10
_REFRESH_SECONDS = 300
_FETCH_SECONDS = 2.0
# An unknown key id may mean new keys, or somebody who makes ids up.
_UNKNOWN_KEY_SECONDS = 10.0
_MAX_TOKEN = 8192
_REMEMBERED = 4096
# Without the claim that says which agency, these roles mean nothing.
_OF_AN_AGENCY = frozenset({access_pb2.DISPATCHER, access_pb2.SUPERVISOR, access_pb2.AGENCY, access_pb2.RESPONDER})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """`problem` says why a token that came along counts as absent: EXPIRED FOREIGN NOT_YET_VALID UNVERIFIABLE, or is empty.

    Times are seconds of the Unix epoch; `sign_in_time` is when the person proved who they are (the claim `auth_time`), 0 where
    the issuer does not say. `areas` are those whose statistics an official may see, with all within them.
    """

    user: str = ""
    roles: frozenset[Role.ValueType] = frozenset()
    agency: str = ""
    name: str = ""
    expire_time: float = 0.0
    problem: str = ""
    sign_in_time: float = 0.0
    areas: tuple[str, ...] = ()


NOBODY = Caller()
caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)


def challenge(authorization: str) -> str:
    """What a refused caller is asked for (RFC 6750, 3): that a token is bad is said only where one came along."""
    came = authorization[:7].lower() == "bearer "
    return 'Bearer realm="siaga", error="invalid_token"' if came else 'Bearer realm="siaga"'


class UnknownKey(Exception):
    """The token names a key that is not among the issuer's known ones."""


class TokenVerifier:
    """Verifies tokens of one issuer with its published keys, the last good ones of which are kept on disk."""

    def __init__(self, issuer: str, audience: str, jwks_url: str, kept: Path) -> None:
        self._issuer, self._audience, self._jwks_url, self._kept = issuer, audience, jwks_url, kept
        # By the name that a token gives; the only one may go without (RFC 7517, 4.5), and so do its tokens.
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._learned = b""
        self._verified: dict[str, Caller] = {}
        self._fetched = asyncio.Condition()
        self._asked = asyncio.Event()
        self._asking = False
        self._away = False
        self._last_unknown = -_UNKNOWN_KEY_SECONDS
        if kept.exists():
            try:
                self._learn(kept.read_bytes())
            except (OSError, ValueError):
                # As a power cut may leave it: the issuer has them, too.
                _log.warning("%s cannot be read: no tokens until the issuer has been asked for its keys", kept)

    async def identify(self, authorization: str) -> Caller:
        """The caller, or nobody where no token came along. Raises InvalidToken, and ServiceUnavailable as long as there is no key."""
        if not authorization:
            return NOBODY
        try:
            found = self._verify(authorization)
        except UnknownKey:
            await self._ask_for_keys()
            try:
                found = self._verify(authorization)
            except UnknownKey:
                if not self._keys:
                    # To sign in again would help nobody.
                    raise ServiceUnavailable(retry_seconds=1.0) from None
                raise InvalidToken from None
        if found.problem:
            raise InvalidToken
        return found

    def identify_leniently(self, authorization: str) -> Caller:
        """Never refuses and never waits. A token that expired within the grace names its user and grants no role."""
        if not authorization:
            return NOBODY
        try:
            return self._verify(authorization)
        except UnknownKey:
            self._ask()
            return Caller(problem="UNVERIFIABLE")

    async def wait_for_keys(self) -> None:
        """Until there are any, or for as long as one fetch takes: without them every token would be refused."""
        if not self._keys:
            async with self._fetched:
                try:
                    async with asyncio.timeout(_FETCH_SECONDS):
                        await self._fetched.wait_for(lambda: bool(self._keys))
                except TimeoutError:
                    pass

    async def run(self) -> None:
        """Keeps the keys fresh until it is cancelled."""
        async with httpx.AsyncClient(verify=trust(), timeout=_FETCH_SECONDS) as client:
            wait = 0.0
            while True:
                try:
                    async with asyncio.timeout(wait):
                        await self._asked.wait()
                except TimeoutError:
                    pass
                self._asked.clear()
                wait = _REFRESH_SECONDS if await self._fetch(client) or self._keys else 1.0
                self._asking = False
                async with self._fetched:
                    self._fetched.notify_all()

    async def _fetch(self, client: httpx.AsyncClient) -> bool:
        try:
            response = await client.get(self._jwks_url)
            self._learn(response.raise_for_status().content)
        except (httpx.HTTPError, ValueError) as error:
            if not self._away:
                _log.warning("the issuer's keys cannot be had (%s): those known stay in use", type(error).__name__)
            self._away = True
            return False
        self._away = False
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            new = self._kept.with_suffix(f".{os.getpid()}")
            new.write_bytes(response.content)
            new.replace(self._kept)
        except OSError as error:
            _log.warning("the issuer's keys cannot be kept on disk (%s)", type(error).__name__)
        return True

    def _ask(self) -> bool:
        """Has the keys fetched unless they were a moment ago; whether they are being fetched."""
        if not self._asking and time.monotonic() - self._last_unknown >= _UNKNOWN_KEY_SECONDS:
            if self._keys:
                self._last_unknown = time.monotonic()
            self._asking = True
            self._asked.set()
        return self._asking

    async def _ask_for_keys(self) -> None:
        if not self._ask():
            return
        async with self._fetched:
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    await self._fetched.wait()
            except TimeoutError:
                pass

    def _learn(self, jwks: bytes) -> None:
        """Raises ValueError where there is no key in it."""
        try:
            found = jwt.PyJWKSet.from_dict(json.loads(jwks)).keys
        except (AttributeError, TypeError, RecursionError, jwt.PyJWTError) as error:
            raise ValueError(type(error).__name__) from error
        usable = [key for key in found if key.algorithm_name in _ALGORITHMS]
        only = len(usable) == 1
        keys = {key.key_id: key for key in usable if key.key_id or (only and key.key_id is None)}
        if not keys:
            message = "no key that could be used"
            raise ValueError(message)
        if jwks != self._learned:
            # A key that was withdrawn no longer vouches for anybody.
            self._verified.clear()
        self._keys, self._learned = keys, jwks

    def _verify(self, authorization: str) -> Caller:
        remembered = self._verified.get(authorization)
        if remembered and remembered.expire_time + _LEEWAY_SECONDS > time.time():
            return remembered
        try:
            found = self._read(authorization)
        except jwt.ImmatureSignatureError:
            return Caller(problem="NOT_YET_VALID")
        except (jwt.InvalidIssuerError, jwt.InvalidAudienceError):
            return Caller(problem="FOREIGN")
        except (jwt.PyJWTError, ValueError, TypeError):
            return Caller(problem="UNVERIFIABLE")
        late = time.time() - _LEEWAY_SECONDS - found.expire_time
        if late >= 0:
            known = late <= GRACE_SECONDS
            return Caller(user=found.user if known else "", name=found.name if known else "", problem="EXPIRED")
        if len(self._verified) >= _REMEMBERED:
            self._verified.pop(next(iter(self._verified)))
        self._verified[authorization] = found
        return found

    def _read(self, authorization: str) -> Caller:
        """Whoever the issuer says it is, expired or not. Raises UnknownKey, PyJWTError, ValueError and TypeError."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or len(token) > _MAX_TOKEN:
            raise ValueError
        header = jwt.get_unverified_header(token)
        key_id: object = header.get("kid")
        if "kid" in header and not isinstance(key_id, str):
            raise TypeError
        key = self._keys.get(cast("str | None", key_id))
        if key is None:
            if self._keys and key_id is None:
                # It names no key, so there is none to ask the issuer for.
                raise TypeError
            raise UnknownKey
        return _read_claims(self._decode(token, key))

    def _decode(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        # Expiry is judged by the caller of this: within the grace an expired token still says who it was.
        options: Any = {"require": ["exp", "iss", "aud", "sub"], "verify_exp": False, "strict_aud": False}
        return jwt.decode(token, key, [key.algorithm_name], options, issuer=self._issuer, audience=self._audience, leeway=_LEEWAY_SECONDS)


def _read_claims(claims: dict[str, Any]) -> Caller:
    """Raises ValueError or TypeError where a claim is not of its type."""
    user, agency, name, expire_time = claims["sub"], claims.get("agency", ""), claims.get("name", ""), claims["exp"]
    words, areas = claims.get("roles", []), claims.get("areas", [])
    if not (isinstance(user, str) and user and isinstance(agency, str) and isinstance(name, str) and isinstance(words, list)):
        raise TypeError
    if not (isinstance(areas, list) and all(isinstance(area, str) for area in areas)):
        raise TypeError
    if "\0" in "".join((user, agency, name, *areas)):
        # PostgreSQL could not keep it.
        raise ValueError
    if isinstance(expire_time, bool) or not isinstance(expire_time, int | float) or not math.isfinite(expire_time):
        raise TypeError
    known = access_pb2.Role.DESCRIPTOR.values_by_name
    roles = frozenset(access_pb2.Role.Value(word.upper()) for word in words if isinstance(word, str) and word.upper() in known)
    if access_pb2.AGENCY not in roles:
        # Issuers need not say it: whoever signs in and is no system is a citizen.
        roles |= {access_pb2.CITIZEN}
    if not agency:
        roles -= _OF_AN_AGENCY
    if not areas:
        roles -= {access_pb2.OFFICIAL}
    sign_in_time = claims.get("auth_time", 0)
    if isinstance(sign_in_time, bool) or not isinstance(sign_in_time, int | float) or not math.isfinite(sign_in_time):
        raise TypeError
    return Caller(user, roles, agency, name, float(expire_time), sign_in_time=float(sign_in_time), areas=tuple(areas))
