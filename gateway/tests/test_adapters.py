"""The adapters and their development issuer, without Envoy."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from starlette.applications import Starlette

from chassis.errors import InvalidToken
from chassis.settings import Platform
from gateway.adapters.app import make_app
from gateway.settings import Settings
from siaga.access.v1.access_pb2 import Role

PERSONS = [
    "citizen-1",
    "citizen-2",
    "citizen-3",
    "dispatcher-112",
    "supervisor-112",
    "supervisor-112-night",
    "crew-ambulance",
    "dispatcher-police",
    "dispatcher-fire",
    "agency-112",
    "sentinel",
    "sms-gateway",
    "official-gambir",
    "official-dki",
    "admin",
]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SIAGA_DATA", str(tmp_path))
    return Settings(dev_issuer=True)


def open_client(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://adapters")


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(make_app(settings)) as client:
        yield client


async def read_claims(client: httpx.AsyncClient, platform: Platform, person: str) -> dict[str, object]:
    token = (await client.post("/dev/token", json={"person": person})).json()["accessToken"]
    keys = jwt.PyJWKSet.from_dict((await client.get("/dev/jwks")).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["ES256"], audience=platform.audience, issuer=platform.issuer)


async def test_every_person_is_listed_and_can_sign_in(client: httpx.AsyncClient, settings: Settings) -> None:
    listed = {person["person"]: person for person in (await client.get("/dev/persons")).json()["persons"]}
    assert list(listed) == PERSONS
    words = {name.lower() for name in Role.keys()}  # noqa: SIM118  # an enum, no dict
    for name, person in listed.items():
        claims = await read_claims(client, settings.platform, name)
        assert claims["sub"] == name
        assert claims["roles"] == person["roles"]
        assert set(person["roles"]) <= words
        assert ("citizen" in person["roles"]) == (name not in {"agency-112", "sentinel", "sms-gateway"})
        assert person["purpose"]


async def test_claims_scope_a_person_to_an_agency_or_to_areas(client: httpx.AsyncClient, settings: Settings) -> None:
    assert (await read_claims(client, settings.platform, "agency-112"))["agency"] == "agencies/jakarta-112"
    assert (await read_claims(client, settings.platform, "dispatcher-police"))["agency"] == "agencies/jakarta-police"
    assert (await read_claims(client, settings.platform, "official-gambir"))["areas"] == ["areas/31.71.01"]
    assert (await read_claims(client, settings.platform, "official-dki"))["areas"] == ["areas/31"]
    assert not {"agency", "areas"} & set(await read_claims(client, settings.platform, "citizen-1"))


async def test_the_key_is_for_its_owner_alone_and_outlives_a_restart(client: httpx.AsyncClient, settings: Settings) -> None:
    key = settings.platform.data / "dev" / "issuer.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.iterdir()] == [key.name]
    again = open_client(make_app(settings))
    assert (await again.get("/dev/jwks")).json() == (await client.get("/dev/jwks")).json()


async def test_no_private_part_of_the_key_is_served(client: httpx.AsyncClient) -> None:
    (key,) = (await client.get("/dev/jwks")).json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


async def test_discovery_names_the_keys(client: httpx.AsyncClient, settings: Settings) -> None:
    # RFC 8414, 3.1: between the issuer's host and its path.
    path = urlsplit(settings.platform.issuer).path
    found = (await client.get(f"/.well-known/oauth-authorization-server{path}")).json()
    assert found["issuer"] == settings.platform.issuer
    assert found["jwks_uri"] == f"{settings.platform.issuer}/jwks"
    assert {"issuer", "token_endpoint"} <= set(found)
    # Claims with no elements must be omitted (3.2), and this one is required (2).
    assert found["response_types_supported"]
    assert (await client.get(f"{path}/.well-known/openid-configuration")).json() == found


async def test_without_its_setting_there_is_no_issuer(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    client = open_client(make_app(settings.model_copy(update={"dev_issuer": False})))
    for path in ("/dev/persons", "/dev/jwks", "/.well-known/oauth-authorization-server/dev"):
        assert (await client.get(path)).status_code == 404
    assert (await client.post("/dev/token", json={"person": "admin"})).status_code == 404
    assert "DEVELOPMENT ISSUER" not in caplog.text
    make_app(settings)
    assert "THE DEVELOPMENT ISSUER IS ON" in caplog.text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"person": "nobody"}', "INVALID_REQUEST"),
        (b"{}", "INVALID_REQUEST"),
        (b'{"person": ', "UNREADABLE_REQUEST"),
        (b"\xff", "UNREADABLE_REQUEST"),
        (b"[1]", "UNREADABLE_REQUEST"),
        (b" " * 70_000, "REQUEST_TOO_LARGE"),
        (b"[" * 60_000, "UNREADABLE_REQUEST"),
    ],
)
async def test_a_wrong_request_is_told_in_the_one_shape(client: httpx.AsyncClient, body: bytes, reason: str) -> None:
    answer = await client.post("/dev/token", content=body)
    assert answer.status_code == 400
    error = answer.json()
    assert error["code"] == 3
    assert error["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (error["details"][0]["reason"], error["details"][0]["domain"]) == (reason, "siaga")


async def test_unknown_paths_and_methods_are_told_alike(client: httpx.AsyncClient) -> None:
    unknown, wrong = await client.get("/nosuch"), await client.get("/dev/token")
    assert unknown.status_code == wrong.status_code == 404
    assert unknown.json() == wrong.json()
    assert unknown.json()["details"][0]["reason"] == "METHOD_NOT_FOUND"


@pytest.mark.parametrize(
    ("authorization", "asked"),
    [
        ("", 'Bearer realm="siaga"'),
        ("Basic bm86bm8=", 'Bearer realm="siaga"'),
        ("Bearer a.b.c", 'Bearer realm="siaga", error="invalid_token"'),
        ("bearer a.b.c", 'Bearer realm="siaga", error="invalid_token"'),
    ],
)
async def test_whoever_is_refused_without_a_good_token_is_asked_for_one(settings: Settings, authorization: str, asked: str) -> None:
    app = make_app(settings)

    async def refuse(_: object) -> None:
        raise InvalidToken

    app.add_route("/refuses", refuse)
    answer = await open_client(app).get("/refuses", headers={"authorization": authorization} if authorization else {})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, asked)
    assert "www-authenticate" not in (await open_client(app).get("/nosuch")).headers


async def test_a_fault_tells_nothing_but_its_id(settings: Settings) -> None:
    app = make_app(settings)

    async def fail(_: object) -> None:
        raise RuntimeError("a secret")

    app.add_route("/fails", fail)
    answer = await open_client(app).get("/fails", headers={"x-request-id": "some-id"})
    assert answer.status_code == 500
    assert answer.json()["details"][0]["metadata"] == {"errorId": "some-id"}
    assert "secret" not in answer.text
