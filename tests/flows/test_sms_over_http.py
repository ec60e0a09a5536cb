"""The journey of an SOS without data: an SMS gateway before Envoy, and a dispatcher who sees it, sees it move, and answers."""

import json
import re
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from flows.pages import bearer, watch
from harness import RunningPlatform

SECOND = 1.0
PAGE = Path(__file__).parents[2] / "docs" / "sms.md"


class SmsGateway:
    """Hands over what `number` sends."""

    def __init__(self, platform: RunningPlatform, number: str) -> None:
        self.platform, self.number = platform, number
        self.token = platform.token("sms-gateway")
        self._secret = Webhook((platform.folder / "sms.secret").read_text().strip())

    def send(self, path: str, text: str, message_id: str = "", **headers: str) -> httpx.Response:
        content = {"from": self.number, "text": text, "messageId": message_id or str(uuid.uuid4())}
        return self.post(path, json.dumps(content), **headers)

    def post(self, path: str, body: str, **headers: str) -> httpx.Response:
        now = datetime.now(UTC)
        signed = {
            "content-type": "application/json",
            "authorization": f"Bearer {self.token}",
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._secret.sign("msg_1", now, body),
        }
        sent = signed | {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            f"{self.platform.url}{path}", content=body, headers={name: value for name, value in sent.items() if value}, timeout=5
        )


@pytest.fixture
def sms(platform: RunningPlatform) -> SmsGateway:
    return SmsGateway(platform, f"+62812{uuid.uuid4().int % 10**8:08}")


@pytest.fixture
def room(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=5, headers=bearer(platform, "dispatcher-112")) as client:
        yield client


def write_aml(latitude: float, longitude: float) -> str:
    # It counts whole seconds: this one has begun when it is handed over, or is about to.
    top = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y%m%d%H%M%S")
    return f'A"ML=1;lt={latitude:+.5f};lg={longitude:+.5f};rd=12;top={top};lc=68;pm=G;si=510100000000000;mcc=510;mnc=10;ml=9'


def reason_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["details"][0]["reason"]


def find_by_number(room: httpx.Client, number: str) -> list[dict[str, Any]]:
    listed = room.get("/v1/alerts", params={"pageSize": 1000}).json()["alerts"]
    return [each for each in listed if each.get("caller", {}).get("callbackPhone") == number]


def test_an_sos_by_sms_is_seen_moved_answered_and_called_off(platform: RunningPlatform, sms: SmsGateway, room: httpx.Client) -> None:
    dispatcher = bearer(platform, "dispatcher-112")
    with watch(platform, "/v1/alerts:watch", **dispatcher) as console:
        console.wait_for("snapshotEnd")
        began = time.monotonic()
        answer = sms.send("/sms/inbound", "SOS kebakaran -6.1754,106.8272 lantai 3")
        # The SMS gateway learns that it was taken, and nothing of what it is.
        assert (answer.status_code, answer.json()) == (200, {})
        seen = console.wait_for("AlertRaised", seconds=SECOND)["event"]["alert"]
        assert time.monotonic() - began < SECOND
        name = seen["name"]
        assert (seen["channel"], seen["contactPreference"], seen["note"]) == ("SMS", "TEXT", "SOS kebakaran -6.1754,106.8272 lantai 3")
        assert (seen["caller"]["callbackPhone"], seen["area"]) == (sms.number, "areas/31.71.01.1001")
        assert (seen["location"]["point"], seen["location"]["source"]) == ({"latitude": -6.1754, "longitude": 106.8272}, "SMS")

        assert sms.send("/aml", write_aml(-6.1761, 106.8281)).status_code == 200
        moved = console.wait_for("AlertTracked", name, SECOND)["event"]["alert"]["location"]
        assert (moved["point"], moved["source"], moved["accuracyMeters"]) == ({"latitude": -6.1761, "longitude": 106.8281}, "AML", 12)

        assert room.post(f"/v1/{name}:acknowledge", json={}).json()["state"] == "ACKNOWLEDGED"
        assert room.post(f"/v1/{name}:sendMessage", json={"text": "Kami datang"}).status_code == 200
        assert sms.send("/sms/inbound", "cepat, ada anak").status_code == 200
        for _ in range(2):
            console.wait_for("MessageSent", name, SECOND)
        messages = room.get(f"/v1/{name}/messages").json()["messages"]
        assert [(each["sender"], each["text"]) for each in messages] == [("AGENCY", "Kami datang"), ("CALLER", "cepat, ada anak")]

        assert sms.send("/sms/inbound", "BATAL 1234").status_code == 200
        cancelled = console.wait_for("AlertCancelled", name, SECOND)["event"]["alert"]
        # The room goes on until it has made sure.
        assert (cancelled["state"], cancelled["cancelClaim"]) == ("ACKNOWLEDGED", "UNVERIFIED")
        assert room.post(f"/v1/{name}:resolve", json={"outcome": "HELPED"}).json()["state"] == "RESOLVED"
    assert len(room.get(f"/v1/{name}/messages").json()["messages"]) == 2


def test_what_is_not_signed_or_not_by_an_sms_gateway_is_refused(platform: RunningPlatform, sms: SmsGateway, room: httpx.Client) -> None:
    for path in ("/sms/inbound", "/aml"):
        assert reason_of(sms.send(path, "SOS", webhook_signature="")) == (401, "INVALID_SIGNATURE")
        assert reason_of(sms.send(path, "SOS", webhook_timestamp=str(int(time.time()) - 301))) == (401, "INVALID_SIGNATURE")
        assert reason_of(sms.send(path, "SOS", authorization="")) == (401, "INVALID_TOKEN")
        assert reason_of(sms.send(path, "SOS", authorization="Bearer not.a.token")) == (401, "INVALID_TOKEN")
        for person in ("citizen-1", "dispatcher-112", "agency-112"):
            assert reason_of(sms.send(path, "SOS", **bearer(platform, person))) == (403, "ACCESS_DENIED")
        assert reason_of(sms.post(path, "{")) == (400, "UNREADABLE_REQUEST")
    assert httpx.get(f"{platform.url}/sms/inbound").status_code == 404
    assert find_by_number(room, sms.number) == []


def test_a_message_that_is_handed_over_again_is_one_alert(sms: SmsGateway, room: httpx.Client) -> None:
    for text in ("SOS", "SOS", "sos lagi"):
        assert sms.send("/sms/inbound", text, "the same").status_code == 200
    (alert,) = find_by_number(room, sms.number)
    assert alert["note"] == "SOS"
    assert room.get(f"/v1/{alert['name']}/messages").json()["messages"] == []


def test_an_aml_form_before_the_text_is_where_the_text_is_raised(sms: SmsGateway, room: httpx.Client) -> None:
    form = f"v=1&device_number=%2B{sms.number[1:]}&location_latitude=-6.1754&location_longitude=106.8272&location_accuracy=10.4"
    assert sms.post("/aml", form, content_type="application/x-www-form-urlencoded").status_code == 200
    assert sms.send("/sms/inbound", "tolong").status_code == 200
    (alert,) = find_by_number(room, sms.number)
    assert (alert["location"]["source"], alert["location"]["accuracyMeters"]) == ("AML", 10.4)
    assert alert["area"] == "areas/31.71.01.1001"


def test_the_page_shows_how_a_message_is_signed(platform: RunningPlatform, room: httpx.Client) -> None:
    shown = re.search(r"^```sh\n(.*?)^```\n\n```\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert shown
    number = f"+62811{uuid.uuid4().int % 10**8:08}"
    script = shown[1].replace("http://localhost:8080", platform.url).replace(".data/dev/sms.secret", str(platform.folder / "sms.secret"))
    told = subprocess.run(["bash", "-c", script.replace("+6281234567890", number)], capture_output=True, text=True, check=True, timeout=20)
    assert told.stdout.strip() == shown[2].strip()
    (alert,) = find_by_number(room, number)
    assert alert["note"] == "SOS kebakaran -6.1754,106.8272"
