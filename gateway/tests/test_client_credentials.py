"""An agency's system signs in by OAuth 2.0 client credentials, as the standard's own client library does it."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote_plus, urlencode

import httpx
import jwt
import pytest
from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.errors import InvalidClientError, OAuth2Error, UnsupportedGrantTypeError

from gateway.adapters.app import make_app
from gateway.settings import Settings

ID = "agency-112"
FORM = {"content-type": "application/x-www-form-urlencoded"}
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SIAGA_DATA", str(tmp_path))
    return Settings(dev_issuer=True)


def open_client(settings: Settings) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_app(settings), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://adapters")


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(settings) as client:
        yield client


@pytest.fixture
async def secret(client: httpx.AsyncClient) -> str:
    return await find_secret(client)


async def find_secret(client: httpx.AsyncClient) -> str:
    persons = (await client.get("/dev/persons")).json()["persons"]
    (found,) = [each for each in persons if each["client"]]
    assert found["person"] == ID
    assert [each["person"] for each in persons if "secret" in each] == [ID]
    return found["secret"]


async def ask(client: httpx.AsyncClient, basic: tuple[str, str] | None = None, **form: str) -> httpx.Response:
    headers = FORM
    if basic:
        pair = ":".join(map(quote_plus, basic))
        headers = FORM | {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return await client.post("/dev/oauth/token", content=urlencode(GRANT | form), headers=headers)


@pytest.mark.parametrize("in_body", [False, True])
async def test_a_standard_client_gets_a_token_by_what_discovery_says(
    client: httpx.AsyncClient, settings: Settings, secret: str, *, in_body: bool
) -> None:
    found = (await client.get("/.well-known/oauth-authorization-server/dev")).json()
    assert found["token_endpoint"] == f"{settings.platform.issuer}/oauth/token"
    assert found["grant_types_supported"] == ["client_credentials"]
    path = found["token_endpoint"].removeprefix("http://localhost:8080")
    oauth = BackendApplicationClient(ID)
    if in_body:
        body = oauth.prepare_request_body(include_client_id=True, client_secret=secret)
        answer = await client.post(path, content=body, headers=FORM)
    else:
        answer = await client.post(path, content=oauth.prepare_request_body(), headers=FORM, auth=(ID, secret))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    token = oauth.parse_request_body_response(answer.text)
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 43200)
    keys = jwt.PyJWKSet.from_dict((await client.get(found["jwks_uri"].removeprefix("http://localhost:8080"))).json())
    key = keys[jwt.get_unverified_header(token["access_token"])["kid"]]
    claims = jwt.decode(
        token["access_token"], key, algorithms=["ES256"], audience=settings.platform.audience, issuer=settings.platform.issuer
    )
    assert (claims["sub"], claims["roles"], claims["agency"]) == (ID, ["agency"], "agencies/jakarta-112")


async def test_the_secret_is_this_installations_and_outlives_a_restart(
    settings: Settings, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(secret) >= 40
    async with open_client(settings) as again:
        assert await find_secret(again) == secret
    monkeypatch.setenv("SIAGA_DATA", str(tmp_path / "another"))
    async with open_client(Settings(dev_issuer=True)) as another:
        assert await find_secret(another) != secret
        assert (await ask(another, (ID, secret))).json() == {"error": "invalid_client"}


async def test_a_wrong_client_or_secret_is_told_as_the_standard_says(client: httpx.AsyncClient, secret: str) -> None:
    # A person's name is no client's, whatever the secret.
    for basic in ((ID, "wrong"), (ID, ""), ("nobody", secret), ("dispatcher-112", secret), (ID, secret + "x"), (ID, "geheim ä:%")):
        answer = await ask(client, basic)
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert answer.headers["cache-control"] == "no-store"
        with pytest.raises(InvalidClientError):
            BackendApplicationClient(ID).parse_request_body_response(answer.text)
    for form in ({"client_id": ID, "client_secret": "wrong"}, {"client_id": ID}, {}):
        answer = await ask(client, **form)
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})
        assert answer.headers["www-authenticate"].startswith("Basic ")


async def test_another_grant_or_a_scope_is_told_as_the_standard_says(client: httpx.AsyncClient, secret: str) -> None:
    answer = await ask(client, (ID, secret), grant_type="password")
    assert (answer.status_code, answer.json()) == (400, {"error": "unsupported_grant_type"})
    with pytest.raises(UnsupportedGrantTypeError):
        BackendApplicationClient(ID).parse_request_body_response(answer.text)
    answer = await ask(client, (ID, secret), scope="everything")
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_scope"})
    assert (await ask(client, (ID, secret), scope="")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        "",
        "grant_type=",
        "grant_type=client_credentials&grant_type=client_credentials",
        "nonsense",
        "\xff=\xfe",
        "a=1&" * 30,
        "a=" + "x" * 70_000,
    ],
)
async def test_a_request_that_cannot_be_read_is_invalid(client: httpx.AsyncClient, secret: str, body: str) -> None:
    answer = await client.post("/dev/oauth/token", content=body.encode("latin-1"), headers=FORM, auth=(ID, secret))
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})
    with pytest.raises(OAuth2Error):
        BackendApplicationClient(ID).parse_request_body_response(answer.text)


async def test_credentials_come_one_way_alone_and_in_a_form(client: httpx.AsyncClient, secret: str) -> None:
    assert (await ask(client, (ID, secret), client_secret=secret)).json() == {"error": "invalid_request"}
    assert (await ask(client, (ID, secret), client_id=ID)).status_code == 200
    assert (await ask(client, (ID, secret), client_id="another")).json() == {"error": "invalid_client"}
    # What is sent without a value is not sent.
    assert (await ask(client, (ID, secret), client_id="", client_secret="")).status_code == 200
    assert (await ask(client, client_id=ID, client_secret="")).json() == {"error": "invalid_client"}
    as_json = await client.post("/dev/oauth/token", json={**GRANT, "client_id": ID, "client_secret": secret})
    assert (as_json.status_code, as_json.json()) == (400, {"error": "invalid_request"})
    for authorization in ("Basic", "Basic !!!", "Basic " + base64.b64encode(b"no colon").decode(), f"Bearer {secret}", "Basic /w=="):
        answer = await client.post("/dev/oauth/token", content=urlencode(GRANT), headers=FORM | {"authorization": authorization})
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


async def test_without_its_setting_nobody_grants_anything(settings: Settings) -> None:
    async with open_client(settings.model_copy(update={"dev_issuer": False})) as client:
        assert (await ask(client, (ID, "x"))).status_code == 404
