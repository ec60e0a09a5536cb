"""The watch of public warnings, which needs no token, over gRPC and as server-sent events; and their list over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from contract.rpcs import Services, read_until_caught_up
from contract.streams import Way, over_grpc, over_http
from contract.warned import CITY, DISTRICT, issue
from harness import RunningPlatform
from security.tokens import ROOM, Signer

KEY = "alerts.WatchWarnings"


@pytest.fixture(scope="module")
def supervisor(signer: Signer) -> str:
    return signer.sign("watch-supervisor", "supervisor", agency=ROOM)


@pytest.fixture(params=["grpc", "sse"])
def way(request: pytest.FixtureRequest, services: Services, platform: RunningPlatform) -> Way:
    return over_grpc(services) if request.param == "grpc" else over_http(platform)


def take(stream: Iterator[Any], name: str, number: int) -> list[tuple[str, str]]:
    """The next messages of the warning: what each is, and the cursor after it."""
    found: list[tuple[str, str]] = []
    for message in stream:
        if name in {message.event.warning.name, message.left.name}:
            found.append((message.event.type or "left", message.cursor))
            if len(found) == number:
                break
    return found


def test_it_begins_with_what_is_in_force_and_goes_on_from_any_cursor(services: Services, supervisor: str, way: Way) -> None:
    there = issue(services, supervisor).name
    pending = issue(services, supervisor, area={"areas": [CITY]}).name
    with way(KEY, {}, "", "") as stream:
        opened = read_until_caught_up(stream)
        assert [message.WhichOneof("content") for message in opened] == ["event"] * (len(opened) - 1) + ["snapshot_end"]
        names = {message.event.warning.name for message in opened}
        # What awaits a second person is not among them.
        assert there in names and pending not in names
        assert {message.event.type for message in opened[:-1]} == {"WarningInForce"}
        services.call("alerts.UpdateWarning", {"warning": {"name": there, "info": {"contact": "1"}}}, token=supervisor).require_ok()
        updated = take(stream, there, 1)
        services.call("alerts.CancelWarning", {"name": there}, token=supervisor).require_ok()
        ended = take(stream, there, 2)
    assert [kind for kind, _ in updated + ended] == ["WarningUpdated", "WarningCancelled", "left"]
    for cursor, rest in (
        (opened[-1].cursor, ["WarningUpdated", "left", "WarningCancelled", "left"]),
        (updated[0][1], ["WarningCancelled", "left"]),
    ):
        with way(KEY, {"cursor": cursor}, "", "") as stream:
            assert [kind for kind, _ in take(stream, there, len(rest))] == rest


def test_a_garbled_cursor_and_one_of_another_watch_are_refused(services: Services, dispatcher: str) -> None:
    cursors = [
        services.call(KEY, {"area": DISTRICT}).messages[-1].cursor,
        services.call("alerts.WatchAlerts", token=dispatcher).messages[-1].cursor,
    ]
    for cursor in (*cursors, cursors[0][1:], "x", "NOW", "-1", "ж"):
        assert services.call(KEY, {"cursor": cursor}).said == "INVALID_ARGUMENT INVALID_CURSOR"


def test_a_place_need_not_stand_in_the_url(platform: RunningPlatform, services: Services, supervisor: str) -> None:
    near = issue(services, supervisor, area={"areas": [DISTRICT]}).name
    point = {"latitude": -6.1754, "longitude": 106.8272}
    posted = httpx.post(f"{platform.url}/v1/warnings:list", json={"point": point, "pageSize": 1000})
    query = {f"point.{field}": value for field, value in point.items()}
    asked = httpx.get(f"{platform.url}/v1/warnings", params={**query, "pageSize": 1000})
    assert posted.status_code == asked.status_code == 200
    assert posted.json() == asked.json()
    assert near in {each["name"] for each in posted.json()["warnings"]}
