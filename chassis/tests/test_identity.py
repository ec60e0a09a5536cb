"""Who calls: what counts as a token, and what a refused one still says."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from signed import claims, encode, new_key, running, sign, sign_elsewhere

from chassis.errors import InvalidToken
from chassis.identity import NOBODY, Caller, TokenVerifier
from chassis.testing import AUDIENCE, ISSUER, Issuer
from siaga.access.v1.access_pb2 import AGENCY, CITIZEN, DISPATCHER, OFFICIAL, RESPONDER, SUPERVISOR

DAY = 24 * 3600
NUL = "users/anna\0"
UNVERIFIABLE, FOREIGN, EXPIRED, NOT_YET_VALID = "UNVERIFIABLE", "FOREIGN", "EXPIRED", "NOT_YET_VALID"


def sign_with_public_key(issuer: Issuer) -> str:
    """The oldest trick: HS256 with what everybody knows as its secret."""
    pem = issuer.keys["k1"].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = f"{encode({'alg': 'HS256', 'kid': 'k1'})}.{encode(claims())}"
    return f"{content}.{encode(hmac.digest(pem, content.encode(), 'sha256'))}"


def swap_payload(issuer: Issuer) -> str:
    header, _, signature = sign(issuer).split(".")
    return f"{header}.{encode(claims(sub='users/budi'))}.{signature}"


def own_key_in_header() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(key.public_key()))
    return sign_elsewhere(key, "ES256", jwk=public)


def flip_signature(token: str) -> str:
    content, _, signature = token.rpartition(".")
    return f"{content}.{signature[:10]}{'A' if signature[10] != 'A' else 'B'}{signature[11:]}"


# Each: what is wrong, how it is made, and what RaiseAlert's reply says of it.
BAD: list[tuple[str, Callable[[Issuer], str], str]] = [
    ("nothing after the scheme", lambda _: "Bearer ", UNVERIFIABLE),
    ("the scheme alone", lambda _: "Bearer", UNVERIFIABLE),
    ("another scheme", lambda i: f"Basic {sign(i)}", UNVERIFIABLE),
    ("no scheme", sign, UNVERIFIABLE),
    ("whitespace", lambda _: "   ", UNVERIFIABLE),
    ("whitespace for a token", lambda _: "Bearer    ", UNVERIFIABLE),
    ("two spaces", lambda i: f"Bearer  {sign(i)}", UNVERIFIABLE),
    ("two tokens", lambda i: f"Bearer {sign(i)} {sign(i)}", UNVERIFIABLE),
    ("two tokens by comma", lambda i: f"Bearer {sign(i)},{sign(i)}", UNVERIFIABLE),
    ("words", lambda _: "Bearer give me access", UNVERIFIABLE),
    ("unicode", lambda _: "Bearer 🚨.🚨.🚨", UNVERIFIABLE),
    ("half a surrogate", lambda _: "Bearer \ud800.\ud800.\ud800", UNVERIFIABLE),
    ("zero bytes", lambda _: "Bearer \0\0.\0\0.\0\0", UNVERIFIABLE),
    ("two segments", lambda i: f"Bearer {sign(i).rpartition('.')[0]}", UNVERIFIABLE),
    ("four segments", lambda i: f"Bearer {sign(i)}.e30", UNVERIFIABLE),
    ("truncated", lambda i: f"Bearer {sign(i)[:-7]}", UNVERIFIABLE),
    ("empty signature", lambda i: f"Bearer {sign(i).rpartition('.')[0]}.", UNVERIFIABLE),
    ("huge", lambda i: f"Bearer {sign(i, extra='x' * 9000)}", UNVERIFIABLE),
    ("header is a list", lambda _: f"Bearer {encode([])}.{encode(claims())}.AAAA", UNVERIFIABLE),
    ("header nested without end", lambda _: f"Bearer {encode(b'[' * 6000)}.{encode(claims())}.AAAA", UNVERIFIABLE),
    ("header is no JSON", lambda _: f"Bearer {encode(b'{alg')}.{encode(claims())}.AAAA", UNVERIFIABLE),
    ("payload is a list", lambda i: _resigned(i, []), UNVERIFIABLE),
    ("payload is no JSON", lambda i: _resigned(i, b"\xff\xfe"), UNVERIFIABLE),
    ("alg none", lambda _: f"Bearer {encode({'alg': 'none', 'kid': 'k1'})}.{encode(claims())}.", UNVERIFIABLE),
    ("alg None", lambda i: f"Bearer {sign(i, {'alg': 'nOnE'})}", UNVERIFIABLE),
    ("no alg", lambda i: f"Bearer {encode({'kid': 'k1'})}.{encode(claims())}.{sign(i).rpartition('.')[2]}", UNVERIFIABLE),
    ("HS256 with the public key", lambda i: f"Bearer {sign_with_public_key(i)}", UNVERIFIABLE),
    ("alg of another key type", lambda i: f"Bearer {sign(i, {'alg': 'RS256'})}", UNVERIFIABLE),
    ("another curve", lambda _: f"Bearer {sign_elsewhere(ec.generate_private_key(ec.SECP384R1()), 'ES384')}", UNVERIFIABLE),
    ("another key", lambda _: f"Bearer {sign_elsewhere(new_key(), 'ES256')}", UNVERIFIABLE),
    ("another type of key", lambda _: f"Bearer {sign_elsewhere(ed25519.Ed25519PrivateKey.generate(), 'EdDSA')}", UNVERIFIABLE),
    ("unknown kid", lambda _: f"Bearer {sign_elsewhere(new_key(), 'ES256', 'unknown')}", UNVERIFIABLE),
    ("kid is a path", lambda _: f"Bearer {sign_elsewhere(new_key(), 'ES256', '../../../dev/null')}", UNVERIFIABLE),
    ("areas are a word", lambda i: f"Bearer {sign(i, areas='areas/31')}", UNVERIFIABLE),
    ("an area is a number", lambda i: f"Bearer {sign(i, areas=[31])}", UNVERIFIABLE),
    ("areas with a zero byte", lambda i: f"Bearer {sign(i, areas=['areas/31' + chr(0)])}", UNVERIFIABLE),
    ("no kid", lambda i: f"Bearer {jwt.encode(claims(), i.keys['k1'], 'ES256')}", UNVERIFIABLE),
    ("kid is a number", lambda i: f"Bearer {sign(i, {'kid': 1})}", UNVERIFIABLE),
    ("kid is a list", lambda i: f"Bearer {sign(i, {'kid': ['k1']})}", UNVERIFIABLE),
    ("its own key in jwk", lambda _: f"Bearer {own_key_in_header()}", UNVERIFIABLE),
    ("its own key by jku", lambda _: f"Bearer {sign_elsewhere(new_key(), 'ES256', jku='http://127.0.0.1:1/jwks')}", UNVERIFIABLE),
    ("its own key by x5u", lambda _: f"Bearer {sign_elsewhere(new_key(), 'ES256', x5u='http://127.0.0.1:1/cert')}", UNVERIFIABLE),
    ("a critical header that nobody knows", lambda i: f"Bearer {sign(i, {'crit': ['exp'], 'exp': 1})}", UNVERIFIABLE),
    ("wrong signature", lambda i: f"Bearer {flip_signature(sign(i))}", UNVERIFIABLE),
    ("zero signature", lambda i: f"Bearer {sign(i).rpartition('.')[0]}.{encode(bytes(64))}", UNVERIFIABLE),
    ("another payload", lambda i: f"Bearer {swap_payload(i)}", UNVERIFIABLE),
    ("another issuer", lambda i: f"Bearer {sign(i, iss='https://elsewhere.test')}", FOREIGN),
    ("issuer with a slash", lambda i: f"Bearer {sign(i, iss=ISSUER + '/')}", FOREIGN),
    ("issuer is a list", lambda i: f"Bearer {sign(i, iss=[ISSUER])}", FOREIGN),
    ("no issuer", lambda i: f"Bearer {sign(i, iss=...)}", UNVERIFIABLE),
    ("another audience", lambda i: f"Bearer {sign(i, aud='elsewhere')}", FOREIGN),
    ("audience contains ours", lambda i: f"Bearer {sign(i, aud=AUDIENCE + 'x')}", FOREIGN),
    ("empty audiences", lambda i: f"Bearer {sign(i, aud=[])}", UNVERIFIABLE),
    ("audience is a number", lambda i: f"Bearer {sign(i, aud=1)}", FOREIGN),
    ("no audience", lambda i: f"Bearer {sign(i, aud=...)}", UNVERIFIABLE),
    ("expired", lambda i: f"Bearer {sign(i, exp=int(time.time()) - 60)}", EXPIRED),
    ("expired for long", lambda i: f"Bearer {sign(i, exp=1)}", EXPIRED),
    ("expires before the epoch", lambda i: f"Bearer {sign(i, exp=-1)}", EXPIRED),
    ("no expiry", lambda i: f"Bearer {sign(i, exp=...)}", UNVERIFIABLE),
    ("expiry is null", lambda i: f"Bearer {sign(i, exp=None)}", UNVERIFIABLE),
    ("expiry is text", lambda i: f"Bearer {sign(i, exp='9999999999')}", UNVERIFIABLE),
    ("expiry is not a number", lambda i: f"Bearer {sign(i, exp=float('nan'))}", UNVERIFIABLE),
    ("expiry is infinite", lambda i: f"Bearer {sign(i, exp=float('inf'))}", UNVERIFIABLE),
    ("expiry is true", lambda i: f"Bearer {sign(i, exp=True)}", UNVERIFIABLE),
    ("not valid for a day", lambda i: f"Bearer {sign(i, nbf=int(time.time()) + DAY)}", NOT_YET_VALID),
    ("never valid", lambda i: f"Bearer {sign(i, nbf=float('inf'))}", UNVERIFIABLE),
    ("nbf is text", lambda i: f"Bearer {sign(i, nbf='soon')}", UNVERIFIABLE),
    ("issued tomorrow", lambda i: f"Bearer {sign(i, iat=int(time.time()) + DAY)}", NOT_YET_VALID),
    ("issued never", lambda i: f"Bearer {sign(i, iat=float('inf'))}", UNVERIFIABLE),
    ("no subject", lambda i: f"Bearer {sign(i, sub=...)}", UNVERIFIABLE),
    ("empty subject", lambda i: f"Bearer {sign(i, sub='')}", UNVERIFIABLE),
    ("subject is a number", lambda i: f"Bearer {sign(i, sub=7)}", UNVERIFIABLE),
    ("subject is an object", lambda i: f"Bearer {sign(i, sub={'id': 'users/anna'})}", UNVERIFIABLE),
    ("subject with a NUL", lambda i: f"Bearer {sign(i, sub=NUL)}", UNVERIFIABLE),
    ("name with a NUL", lambda i: f"Bearer {sign(i, name=NUL)}", UNVERIFIABLE),
    ("roles are text", lambda i: f"Bearer {sign(i, roles='admin')}", UNVERIFIABLE),
    ("roles are an object", lambda i: f"Bearer {sign(i, roles={'admin': True})}", UNVERIFIABLE),
    ("agency is a list", lambda i: f"Bearer {sign(i, agency=['agencies/a'])}", UNVERIFIABLE),
    ("name is a number", lambda i: f"Bearer {sign(i, name=1)}", UNVERIFIABLE),
]


def _resigned(issuer: Issuer, payload: object) -> str:
    content = f"{encode({'alg': 'ES256', 'kid': 'k1'})}.{encode(payload)}"
    return f"Bearer {content}.{encode(jwt.get_algorithm_by_name('ES256').sign(content.encode(), issuer.keys['k1']))}"


@pytest.fixture
def verifier(issuer: Issuer, tmp_path: Path) -> TokenVerifier:
    """With the issuer's keys on disk, and nobody who fetches others."""
    kept = tmp_path / "jwks.json"
    kept.write_text(json.dumps(issuer.jwks()))
    return TokenVerifier(ISSUER, AUDIENCE, issuer.jwks_url, kept)


def test_there_are_forty_kinds_of_bad_tokens() -> None:
    assert len({name for name, _, _ in BAD}) >= 40


@pytest.mark.parametrize(("make", "problem"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
async def test_a_bad_token_is_refused_and_leniently_grants_nothing(
    issuer: Issuer, verifier: TokenVerifier, make: Callable[[Issuer], str], problem: str
) -> None:
    good = f"Bearer {sign(issuer)}"
    async with running(verifier):
        assert (await verifier.identify(good)).user == "users/anna", "what is changed here is otherwise good"
        bad = make(issuer)
        lenient = verifier.identify_leniently(bad)
        assert lenient.problem == problem
        assert not lenient.roles
        assert not lenient.agency
        if problem != EXPIRED:
            assert lenient == Caller(problem=problem)
        with pytest.raises(InvalidToken):
            await verifier.identify(bad)


async def test_no_token_is_nobody_and_no_problem(verifier: TokenVerifier) -> None:
    assert await verifier.identify("") is NOBODY
    assert verifier.identify_leniently("") is NOBODY


async def test_a_good_token_says_who_calls(issuer: Issuer, verifier: TokenVerifier) -> None:
    expire_time = int(time.time()) + 60
    token = issuer.sign("users/budi", "dispatcher", "Supervisor", "unheard-of", agency="agencies/a", name="Budi", exp=expire_time)
    caller = await verifier.identify(f"bearer {token}")
    assert caller == Caller("users/budi", frozenset({DISPATCHER, SUPERVISOR, CITIZEN}), "agencies/a", "Budi", expire_time)
    official = sign(issuer, aud=["other", AUDIENCE], roles=[1, None, "official"], areas=["areas/31", "areas/73"])
    assert (await verifier.identify(f"Bearer {official}")).roles == {OFFICIAL, CITIZEN}
    assert (await verifier.identify(f"Bearer {official}")).areas == ("areas/31", "areas/73")


@pytest.mark.parametrize("areas", [..., []])
async def test_an_official_of_no_area_is_a_citizen(issuer: Issuer, verifier: TokenVerifier, areas: object) -> None:
    caller = await verifier.identify(f"Bearer {sign(issuer, roles=['official'], areas=areas)}")
    assert (caller.roles, caller.areas) == ({CITIZEN}, ())


async def test_an_agencys_system_is_no_citizen_and_without_its_agency_nothing(issuer: Issuer, verifier: TokenVerifier) -> None:
    of_an_agency = ["agency", "dispatcher", "supervisor", "responder"]
    token = issuer.sign("systems/a", *of_an_agency, agency="agencies/a")
    assert (await verifier.identify(f"Bearer {token}")).roles == {AGENCY, DISPATCHER, SUPERVISOR, RESPONDER}
    assert (await verifier.identify(f"Bearer {issuer.sign('systems/a', *of_an_agency)}")).roles == frozenset()


async def test_clocks_may_differ_by_some_seconds(issuer: Issuer, verifier: TokenVerifier) -> None:
    moment = int(time.time())
    for late in ({"exp": moment - 5}, {"nbf": moment + 5}, {"iat": moment + 5}):
        assert (await verifier.identify(f"Bearer {sign(issuer, **late)}")).user


@pytest.mark.parametrize(("days", "user"), [(0.01, "users/anna"), (89, "users/anna"), (91, "")])
async def test_an_expired_token_names_its_user_for_ninety_days(issuer: Issuer, verifier: TokenVerifier, days: float, user: str) -> None:
    token = issuer.sign("users/anna", "admin", "dispatcher", agency="agencies/a", name="Anna", exp=int(time.time() - days * DAY))
    found = verifier.identify_leniently(f"Bearer {token}")
    assert found == Caller(user=user, name="Anna" if user else "", problem=EXPIRED)


async def test_a_remembered_token_expires_like_any_other(issuer: Issuer, verifier: TokenVerifier) -> None:
    # Accepted for less than a second more of the ten that clocks may differ by.
    token = f"Bearer {sign(issuer, exp=time.time() - 9.5)}"
    assert (await verifier.identify(token)).user
    async with asyncio.timeout(5):
        while not verifier.identify_leniently(token).problem:
            await asyncio.sleep(0.02)
    with pytest.raises(InvalidToken):
        await verifier.identify(token)
