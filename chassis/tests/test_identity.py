"""Who calls: what counts as a token, what a refused one still says, and how keys come and go."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chassis.errors import InvalidToken, ServiceUnavailable
from chassis.identity import NOBODY, Caller, TokenVerifier
from chassis.testing import AUDIENCE, ISSUER, Issuer
from siaga.access.v1.access_pb2 import AGENCY, CITIZEN, DISPATCHER, OFFICIAL, RESPONDER, SUPERVISOR

DAY = 24 * 3600
NUL = "users/anna\0"
UNVERIFIABLE, FOREIGN, EXPIRED, NOT_YET_VALID = "UNVERIFIABLE", "FOREIGN", "EXPIRED", "NOT_YET_VALID"


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


def sign_with_public_key(issuer: Issuer) -> str:
    """The oldest trick: HS256 with what everybody knows as its secret."""
    pem = issuer.keys["k1"].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = f"{encode({'alg': 'HS256', 'kid': 'k1'})}.{encode(claims())}"
    return f"{content}.{encode(hmac.digest(pem, content.encode(), 'sha256'))}"


def sign_elsewhere(key: Any, algorithm: str, kid: str = "k1", **header: object) -> str:  # keys share no type
    return jwt.encode(claims(), key, algorithm, {"kid": kid, **header})


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


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


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


@asynccontextmanager
async def running(verifier: TokenVerifier) -> AsyncIterator[TokenVerifier]:
    task = asyncio.create_task(verifier.run())
    try:
        yield verifier
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])


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


class Counted(Issuer):
    """Counts how often its keys were asked for."""

    asked = 0
    answer: Any = ...

    def jwks(self) -> Any:  # or whatever it answers instead
        self.asked += 1
        return super().jwks() if self.answer is ... else self.answer


@pytest.fixture
def own_issuer() -> Any:
    issuer = Counted()
    yield issuer
    issuer.close()


async def test_keys_are_fetched_at_the_start_and_serve_the_next_one_without_the_issuer(own_issuer: Counted, tmp_path: Path) -> None:
    kept = tmp_path / "new" / "jwks.json"
    token = f"Bearer {own_issuer.sign('users/anna')}"
    async with running(TokenVerifier(ISSUER, AUDIENCE, own_issuer.jwks_url, kept)) as verifier:
        assert (await verifier.identify(token)).user == "users/anna"
        async with asyncio.timeout(5):
            while not kept.exists():
                await asyncio.sleep(0.01)
    own_issuer.close()
    async with running(TokenVerifier(ISSUER, AUDIENCE, own_issuer.jwks_url, kept)) as verifier:
        assert (await verifier.identify(token)).user == "users/anna"


@asynccontextmanager
async def fetching(issuer: Issuer, kept: Path) -> AsyncIterator[TokenVerifier]:
    """One that has its keys from the issuer by now."""
    async with running(TokenVerifier(ISSUER, AUDIENCE, issuer.jwks_url, kept)) as verifier:
        assert (await verifier.identify(f"Bearer {issuer.sign('users/first')}")).user
        yield verifier


async def test_new_keys_are_found_at_their_first_token_whoever_else_brings_one(own_issuer: Counted, tmp_path: Path) -> None:
    async with fetching(own_issuer, tmp_path / "jwks.json") as verifier:
        old = f"Bearer {own_issuer.sign('users/anna')}"
        asked = own_issuer.asked
        own_issuer.keys["k2"] = new_key()
        new = [f"Bearer {jwt.encode(claims(sub=f'users/{n}'), own_issuer.keys['k2'], 'ES256', {'kid': 'k2'})}" for n in range(20)]
        callers = await asyncio.gather(*map(verifier.identify, new))
        assert [caller.user for caller in callers] == [f"users/{n}" for n in range(20)]
        assert (await verifier.identify(old)).user == "users/anna"
        assert own_issuer.asked == asked + 1


async def test_made_up_keys_do_not_have_the_issuer_asked_again_and_again(own_issuer: Counted, tmp_path: Path) -> None:
    async with fetching(own_issuer, tmp_path / "jwks.json") as verifier:
        asked = own_issuer.asked
        for number in range(20):
            made_up = f"Bearer {sign_elsewhere(new_key(), 'ES256', f'made-up-{number}')}"
            assert verifier.identify_leniently(made_up).problem == UNVERIFIABLE
            with pytest.raises(InvalidToken):
                await verifier.identify(made_up)
        assert own_issuer.asked == asked + 1


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_key_that_is_withdrawn_or_replaced_vouches_for_nobody_who_was_remembered(
    own_issuer: Counted,
    tmp_path: Path,
    replaced: bool,  # noqa: FBT001
) -> None:
    async with fetching(own_issuer, tmp_path / "jwks.json") as verifier:
        old = f"Bearer {own_issuer.sign('users/anna')}"
        assert (await verifier.identify(old)).user == "users/anna"
        own_issuer.keys["k2"] = new_key()
        if replaced:
            own_issuer.keys["k1"] = new_key()
        else:
            del own_issuer.keys["k1"]
        # An unknown key is what has them fetched.
        verifier.identify_leniently(f"Bearer {sign_elsewhere(new_key(), 'ES256', 'unknown')}")
        async with asyncio.timeout(5):
            while not verifier.identify_leniently(old).problem:
                await asyncio.sleep(0.01)
        with pytest.raises(InvalidToken):
            await verifier.identify(old)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b'{"keys": []}', b'{"keys": [1]}', b'{"keys": null}', b"\xff", b"[" * 100_000]
)
async def test_kept_keys_that_a_power_cut_has_spoiled_are_done_without(own_issuer: Counted, tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "jwks.json"
    kept.write_bytes(content)
    async with fetching(own_issuer, kept) as verifier:
        assert (await verifier.identify(f"Bearer {own_issuer.sign('users/anna')}")).user == "users/anna"
    assert json.loads(kept.read_bytes()) == Issuer.jwks(own_issuer)


SYMMETRIC = {"kty": "oct", "kid": "k1", "alg": "HS256", "k": encode(b"x" * 32)}


@pytest.mark.parametrize(
    "answer", [None, [], "", 0, {}, {"keys": []}, {"keys": [1]}, {"keys": None}, {"keys": [{"kty": "EC"}]}, {"keys": [SYMMETRIC]}]
)
async def test_an_issuer_who_answers_nonsense_leaves_the_known_keys_in_use(own_issuer: Counted, tmp_path: Path, answer: object) -> None:
    async with fetching(own_issuer, tmp_path / "jwks.json") as verifier:
        token = f"Bearer {own_issuer.sign('users/anna')}"
        own_issuer.answer = answer
        asked = own_issuer.asked
        with pytest.raises(InvalidToken):
            await verifier.identify(f"Bearer {sign_elsewhere(new_key(), 'ES256', 'unknown')}")
        assert own_issuer.asked == asked + 1
        assert (await verifier.identify(token)).user == "users/anna"
    async with running(TokenVerifier(ISSUER, AUDIENCE, own_issuer.jwks_url, tmp_path / "jwks.json")) as verifier:
        assert (await verifier.identify(token)).user == "users/anna", "nor is it kept on disk"


async def test_as_long_as_there_is_no_key_nobody_is_told_to_sign_in_again(own_issuer: Counted, tmp_path: Path) -> None:
    own_issuer.answer = {"keys": []}
    token = f"Bearer {own_issuer.sign('users/anna')}"
    async with running(TokenVerifier(ISSUER, AUDIENCE, own_issuer.jwks_url, tmp_path / "jwks.json")) as verifier:
        with pytest.raises(ServiceUnavailable):
            await verifier.identify(token)
        assert verifier.identify_leniently(token).problem == UNVERIFIABLE


async def test_a_disk_that_takes_nothing_ends_nothing(own_issuer: Counted, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with fetching(own_issuer, tmp_path / "file" / "jwks.json") as verifier:
        assert (await verifier.identify(f"Bearer {own_issuer.sign('users/anna')}")).user == "users/anna"
