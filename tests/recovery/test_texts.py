"""With the database stopped, an SMS gateway is told to wait, and what it hands over again is one alert."""

import json
import uuid
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from chassis.testing import Postgres, create_database
from harness import RunningPlatform, run_platform

TEXTS = 5


def hand_over(platform: RunningPlatform, token: str, number: str, message_id: str) -> httpx.Response:
    """Signed anew each time, as the scheme has it."""
    body, time = json.dumps({"from": number, "text": "SOS -6.1754,106.8272", "messageId": message_id}), datetime.now(UTC)
    secret = Webhook((platform.folder / "sms.secret").read_text().strip())
    headers = {
        "authorization": f"Bearer {token}",
        "webhook-id": message_id or "x",
        "webhook-timestamp": str(int(time.timestamp())),
        "webhook-signature": secret.sign(message_id or "x", time, body),
    }
    return httpx.post(f"{platform.url}/sms/inbound", content=body, headers=headers, timeout=20)


def repeat_until_taken(platform: RunningPlatform, token: str, number: str, message_id: str) -> None:
    while not hand_over(platform, token, number, message_id).is_success:
        pass


def count(platform: RunningPlatform) -> tuple[int, int]:
    """The alerts, and the messages in them."""
    headers = {"authorization": f"Bearer {platform.token('dispatcher-112')}"}
    with httpx.Client(base_url=platform.url, headers=headers, timeout=10) as client:
        names = [each["name"] for each in client.get("/v1/alerts", params={"pageSize": 1000}).raise_for_status().json()["alerts"]]
        return len(names), sum(len(client.get(f"/v1/{name}/messages").raise_for_status().json()["messages"]) for name in names)


@pytest.mark.parametrize("fault", ["stop", "pause"])
def test_a_text_is_refused_with_a_time_to_wait_and_is_one_alert_afterwards(own_postgres: Postgres, fault: str) -> None:
    faults = {"stop": (own_postgres.stop, own_postgres.start), "pause": (own_postgres.pause, own_postgres.resume)}
    begin, end = faults[fault]
    with run_platform({"ALERTS_DATABASE_URL": create_database(own_postgres.url)}) as platform:
        token = platform.token("sms-gateway")
        texts = [(f"+62812{uuid.uuid4().int % 10**8:08}", str(uuid.uuid4())) for _ in range(TEXTS)]
        repeat_until_taken(platform, token, *texts[0])
        begin()
        try:
            for text in texts[1:3]:
                answer = hand_over(platform, token, *text)
                assert answer.status_code in {503, 504}
                assert answer.headers["retry-after"] == "1"
        finally:
            end()
        # What was taken, what was refused and what was never tried, each of them twice.
        for text in [*texts, *texts]:
            repeat_until_taken(platform, token, *text)
        assert count(platform) == (TEXTS, 0)
        # The mutant: an SMS gateway that gives each repetition another id has what it repeats taken for more.
        repeat_until_taken(platform, token, texts[0][0], str(uuid.uuid4()))
        assert count(platform) == (TEXTS, 1)
