"""The secrets that an SMS gateway hands over: of an alert, of nobody's, and of a handset."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from telemetry.canaries import plant_number


def plant_in_texts(planting: Any) -> None:
    """`planting` makes the canaries and remembers them."""
    number, place = planting.canary("an SMS's number", plant_number), planting.point("an SMS's place")
    hand_over(planting, "/sms/inbound", number, f"SOS {planting.canary('a text')} geo:{place['latitude']},{place['longitude']}")
    hand_over(planting, "/sms/inbound", number, planting.canary("a further text"))
    hand_over(planting, "/sms/inbound", number, f"BATAL {planting.secret('the pin of a text')}")
    nobody = planting.canary("another SMS's number", plant_number)
    hand_over(planting, "/sms/inbound", nobody, planting.canary("a text of nobody's"))
    place, handset = planting.point("an AML's place"), planting.canary("a handset", plant_number)[3:]
    aml = f'A"ML=1;lt={place["latitude"]};lg={place["longitude"]};rd=12;pm=G;ei={handset};ml=1'
    hand_over(planting, "/aml", planting.canary("an AML's number", plant_number), aml)


def hand_over(planting: Any, path: str, number: str, text: str) -> None:
    message_id = planting.secret(f"the id of message {len(planting.canaries)}")
    body, time = json.dumps({"from": number, "text": text, "messageId": message_id}), datetime.now(UTC)
    secret = Webhook((planting.platform.folder / "sms.secret").read_text().strip())
    headers = {
        "authorization": f"Bearer {planting.signer.sign('canary-sms', 'adapter')}",
        "webhook-id": "x",
        "webhook-timestamp": str(int(time.timestamp())),
        "webhook-signature": secret.sign("x", time, body),
    }
    answer = httpx.post(f"{planting.platform.url}{path}", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
