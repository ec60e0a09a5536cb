"""The issuer's keys: how they come, are kept and go, and which of them vouch for a token."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from signed import claims, encode, new_key, running, sign, sign_elsewhere

from chassis.errors import InvalidToken, ServiceUnavailable
from chassis.identity import TokenVerifier
from chassis.testing import AUDIENCE, ISSUER, Issuer

UNVERIFIABLE = "UNVERIFIABLE"


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


def nameless(issuer: Issuer) -> list[Any]:
    return [{name: value for name, value in key.items() if name != "kid"} for key in Issuer.jwks(issuer)["keys"]]


async def test_the_only_key_may_go_without_a_name_and_so_do_its_tokens(own_issuer: Counted, tmp_path: Path) -> None:
    own_issuer.answer = {"keys": [*nameless(own_issuer), SYMMETRIC]}
    key = own_issuer.keys["k1"]
    async with running(TokenVerifier(ISSUER, AUDIENCE, own_issuer.jwks_url, tmp_path / "jwks.json")) as verifier:
        assert (await verifier.identify(f"Bearer {jwt.encode(claims(), key, 'ES256')}")).user == "users/anna"
        forged = jwt.encode(claims(), new_key(), "ES256")
        for bad in (forged, *(sign(own_issuer, {"kid": kid}) for kid in ("k1", "", None, 1))):
            with pytest.raises(InvalidToken):
                await verifier.identify(f"Bearer {bad}")


async def test_of_several_keys_one_without_a_name_is_nobodys(own_issuer: Counted, tmp_path: Path) -> None:
    other = Issuer.jwks(own_issuer)["keys"][0]
    token = f"Bearer {jwt.encode(claims(), own_issuer.keys['k1'], 'ES256')}"
    own_issuer.answer = {"keys": nameless(own_issuer) * 2}
    async with running(TokenVerifier(ISSUER, AUDIENCE, own_issuer.jwks_url, tmp_path / "jwks.json")) as verifier:
        with pytest.raises(ServiceUnavailable):
            await verifier.identify(token)
    own_issuer.answer = {"keys": [*nameless(own_issuer), other]}
    async with fetching(own_issuer, tmp_path / "jwks.json") as verifier:
        with pytest.raises(InvalidToken):
            await verifier.identify(token)


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
