"""A token that proves nothing opens nothing, whatever is wrong with it; an SOS is accepted all the same and granted nothing."""

import re
import secrets
import time
from typing import Any

import httpx
import pytest

from contract.over_json import fill_path
from contract.rpcs import AN_ABSENT_UUID, RPCS, Answer, Services
from harness import RunningPlatform
from security.bad_tokens import BAD_TOKENS, DAY, good
from security.tokens import Signer
from siaga.access.v1 import access_pb2

TEXT = "Sign in again: no valid token came along."
# What is only some people's to say.
SOS = {"kind": "MEDICAL", "drill": True, "channel": "SMS", "externalIds": {"other": "1"}, "caller": {"user": "victim", "verified": True}}
EMERGENCIES = [key for key, rpc in RPCS.items() if rpc.rule and rpc.rule.emergency]
OTHERS = [key for key in RPCS if key not in EMERGENCIES]
OVER_JSON = (
    "text",
    "unsigned, algorithm 'none'",
    "HS256 by the public key",
    "another key under the issuer's id",
    "expired a minute ago",
    "another audience",
)


@pytest.fixture(scope="module")
def refusals(services: Services, signer: Signer) -> dict[tuple[str, str], Answer]:
    """What every RPC but the emergencies says to every bad token."""
    made = {name: bad.make(signer) for name, bad in BAD_TOKENS.items()}
    return {(name, key): services.call(key, authorization=token) for name, token in made.items() for key in OTHERS}


def test_there_are_at_least_forty_of_them() -> None:
    assert len(BAD_TOKENS) >= 40


def test_a_good_token_of_the_same_make_is_accepted(services: Services, signer: Signer) -> None:
    assert services.call("alerts.ListAlerts", token=good(signer)).code == "OK"
    raised = services.call("alerts.RaiseAlert", SOS, token=good(signer)).message
    assert (raised.alert.caller.user, raised.alert.drill, raised.credential_problem) == ("", True, "")
    raised = services.call("alerts.RaiseAlert", {**SOS, "channel": "APP"}, token=good(signer)).message
    assert (raised.alert.caller.user, raised.alert.drill, raised.credential_problem) == ("mallory", True, "")
    content = signer.sign_raw(signer.header(), str(signer.claims("mallory")).replace("'", '"').encode())
    assert services.call("alerts.ListAlerts", token=content).code == "OK"


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_bad_token_is_refused_by_every_rpc_in_the_same_words(refusals: dict[tuple[str, str], Answer], name: str) -> None:
    said = {key: (refusals[name, key].said, refusals[name, key].text) for key in OTHERS}
    assert {key: each for key, each in said.items() if each != ("UNAUTHENTICATED INVALID_TOKEN", TEXT)} == {}
    assert len({refusals[name, key].status.SerializeToString() for key in OTHERS}) == 1


@pytest.mark.parametrize("name", BAD_TOKENS)
@pytest.mark.parametrize("key", EMERGENCIES)
def test_an_sos_with_a_bad_token_is_accepted_as_anonymous_and_granted_nothing(
    services: Services, signer: Signer, name: str, key: str
) -> None:
    bad = BAD_TOKENS[name]
    answer = services.call(key, {**SOS, "alertToken": secrets.token_urlsafe(24)}, authorization=bad.make(signer))
    raised = answer.message
    alert = raised.alert
    # Within the grace the token says who it was, and that is all it says.
    user = "mallory" if name == "expired a minute ago" else ""
    assert (alert.caller.user, alert.caller.verified, alert.caller.display_name) == (user, bool(user), "")
    assert (alert.drill, alert.channel, dict(alert.external_ids)) == (False, alert.APP, {})
    assert raised.credential_problem == bad.problem
    assert {"drill", "channel", "externalIds"} <= set(raised.ignored_fields)


def test_a_missing_token_is_refused_where_one_is_required(services: Services) -> None:
    required = [key for key, rpc in RPCS.items() if rpc.rule and rpc.rule.token == access_pb2.Rule.REQUIRED]
    assert {services.call(key).said for key in required} == {"UNAUTHENTICATED INVALID_TOKEN"}


@pytest.mark.parametrize(("days", "user"), [(89, "old-hand"), (91, "")])
def test_a_token_that_expired_within_ninety_days_names_its_user_for_an_sos_alone(
    services: Services, signer: Signer, days: int, user: str
) -> None:
    token = signer.sign("old-hand", "dispatcher", agency="agencies/jakarta-112", name="Old Hand", exp=int(time.time()) - days * DAY)
    raised = services.call("alerts.RaiseAlert", SOS, token=token).message
    assert (raised.alert.caller.user, raised.credential_problem) == (user, "EXPIRED")
    assert (raised.alert.drill, raised.alert.channel, dict(raised.alert.external_ids)) == (False, raised.alert.APP, {})
    refused = {key: services.call(key, token=token).said for key in OTHERS}
    assert set(refused.values()) == {"UNAUTHENTICATED INVALID_TOKEN"}
    assert services.call("alerts.GetAlert", {"name": raised.alert.name}, token=token).said == "UNAUTHENTICATED INVALID_TOKEN"


@pytest.mark.parametrize("key", [key for key in OTHERS if RPCS[key].bindings and not RPCS[key].streams])
def test_the_gateway_refuses_a_bad_token_in_the_words_of_the_services(platform: RunningPlatform, signer: Signer, key: str) -> None:
    binding = RPCS[key].bindings[0]
    path = fill_path(binding, AN_ABSENT_UUID)
    bodies: dict[str, Any] = {}
    with httpx.Client(base_url=platform.url) as client:
        for name in OVER_JSON:
            content = {} if binding.body else None
            answer = client.request(binding.method, path, json=content, headers={"authorization": BAD_TOKENS[name].make(signer)})
            assert answer.status_code == 401, (name, answer.text)
            # RFC 6750, 3: from the edge, whose realm is the URL, as from a service through the transcoder.
            (challenge,) = answer.headers.get_list("www-authenticate")
            assert re.fullmatch(r'Bearer realm="(siaga|http://[^"]+)", error="invalid_token"', challenge), (name, challenge)
            bodies[name] = answer.json()
    told = bodies["text"]
    assert all(body == told for body in bodies.values())
    assert (told["code"], told["message"]) == (16, TEXT)
    assert [each["reason"] for each in told["details"]] == ["INVALID_TOKEN"]


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_the_gateway_passes_an_sos_with_a_bad_token(platform: RunningPlatform, signer: Signer, name: str) -> None:
    authorization = BAD_TOKENS[name].make(signer)
    answer = httpx.post(f"{platform.url}/v1/alerts:raise", json={"kind": "MEDICAL"}, headers={"authorization": authorization})
    assert answer.status_code == 200, answer.text
    assert answer.json()["credentialProblem"] == BAD_TOKENS[name].problem


@pytest.mark.parametrize("raw", [b"Bearer \xe9\xff", b"Bearer \t.", b"\xf0\x9f\x86\x98"])
def test_the_gateway_passes_an_sos_whose_token_is_no_text(platform: RunningPlatform, raw: bytes) -> None:
    answer = httpx.post(f"{platform.url}/v1/alerts:raise", json={"kind": "MEDICAL"}, headers=[(b"authorization", raw)])
    assert answer.status_code == 200, answer.text
    assert answer.json()["alert"]["caller"]["user"] == ""
