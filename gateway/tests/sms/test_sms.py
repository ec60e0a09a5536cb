"""What an SMS gateway has signed is handed on as it came, and everything else is refused so that its repetition does the right thing."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sms_alerts import Alerts, SmsGateway, make_secret, run_adapter, run_alerts
from standardwebhooks.webhooks import Webhook

from chassis.errors import AccessDenied, InvalidToken, Overloaded, Problem, ServiceUnavailable
from chassis.testing import free_port
from gateway.adapters.sms import signatures
from gateway.adapters.sms.signatures import Signatures
from siaga.alerts.v1.text_service_pb2 import ReceiveAmlRequest, ReceiveTextRequest

BODY = {"from": "+6281234567890", "text": "SOS é \u202e", "messageId": "m-1", "receivedTime": "2026-11-25T12:00:00.5+07:00"}
AML = 'A"ML=1;lt=-6.20000;lg=+106.80000;rd=12;top=20261125120000;lc=68;pm=G;ml=70'


@pytest.fixture
def alerts() -> Alerts:
    return Alerts()


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets"
    path.write_text(make_secret())
    return path


@pytest.fixture
async def sms(alerts: Alerts, secret_file: Path) -> AsyncIterator[SmsGateway]:
    address = f"127.0.0.1:{free_port()}"
    async with run_alerts(alerts, address), run_adapter(secret_file, address) as client:
        yield SmsGateway(client, secret_file.read_text())


def reason_of(answer: httpx.Response) -> str:
    assert set(answer.json()) == {"code", "message", "details"}
    return answer.json()["details"][0]["reason"]


class TestHandedOn:
    async def test_a_text_is(self, alerts: Alerts, sms: SmsGateway) -> None:
        answer = await sms.post("/sms/inbound", json.dumps(BODY).encode(), traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
        assert (answer.status_code, answer.json()) == (200, {})
        expected = ReceiveTextRequest(sender="+6281234567890", message_id="m-1", content=BODY["text"].encode())
        expected.received_time.FromJsonString("2026-11-25T05:00:00.5Z")
        assert alerts.taken == [expected]
        # In the name of the one who hands it over, and nobody is told which alert it is.
        assert alerts.metadata["authorization"] == "Bearer a.token.of-the-gateway"
        assert alerts.metadata["traceparent"].startswith("00-1111")
        assert "webhook-signature" not in alerts.metadata

    async def test_an_aml_message_is(self, alerts: Alerts, sms: SmsGateway) -> None:
        answer = await sms.post("/aml", json.dumps({"from": "+62812", "text": AML, "messageId": "a-1"}).encode())
        assert (answer.status_code, answer.json()) == (200, {})
        assert alerts.taken == [ReceiveAmlRequest(sender="+62812", message_id="a-1", content=AML.encode())]

    async def test_an_aml_form_is_with_the_id_of_its_delivery(self, alerts: Alerts, sms: SmsGateway) -> None:
        form = b"v=1&device_number=%2B62812&location_latitude=-6.2&location_longitude=106.8"
        answer = await sms.post("/aml", form, identity="msg_7", content_type="application/x-www-form-urlencoded; charset=utf-8")
        assert answer.status_code == 200
        assert alerts.taken == [ReceiveAmlRequest(message_id="msg_7", content=form)]

    @pytest.mark.parametrize(
        ("body", "content"),
        [
            ('{"text": "SOS café"}'.encode("latin-1"), "SOS caf\N{REPLACEMENT CHARACTER}"),
            ('{"text": "SOS café"}'.encode("utf-16"), "SOS café"),
            ('\ufeff{"text": "SOS café"}'.encode(), "SOS café"),
        ],
    )
    async def test_an_sos_in_whatever_encoding_is(
        self, alerts: Alerts, sms: SmsGateway, secret_file: Path, body: bytes, content: str
    ) -> None:
        secret, time = base64.b64decode(secret_file.read_text().removeprefix("whsec_")), sms.sign(b"")["webhook-timestamp"]
        signature = base64.b64encode(hmac.digest(secret, f"msg_1.{time}.".encode() + body, "sha256")).decode()
        answer = await sms.post("/sms/inbound", body, webhook_timestamp=time, webhook_signature=f"v1,{signature}")
        assert (answer.status_code, answer.json()) == (200, {})
        assert alerts.taken == [ReceiveTextRequest(message_id="msg_1", content=content.encode())]

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ({"text": "SOS"}, ReceiveTextRequest(message_id="msg_1", content=b"SOS")),
            ({"text": ""}, ReceiveTextRequest(message_id="msg_1")),
            ({"text": "SOS", "from": None, "messageId": None}, ReceiveTextRequest(message_id="msg_1", content=b"SOS")),
            ({"text": "SOS", "messageId": ""}, ReceiveTextRequest(message_id="msg_1", content=b"SOS")),
            (
                {"text": "S\0S", "from": "\0+6\ud8002", "messageId": "m\0"},
                ReceiveTextRequest(sender="+6?2", message_id="m", content=b"S\0S"),
            ),
            ({"text": "a\ud83d"}, ReceiveTextRequest(message_id="msg_1", content=b"a\xed\xa0\xbd")),
            ({"text": "\ud83c\udd98"}, ReceiveTextRequest(message_id="msg_1", content="\N{SQUARED SOS}".encode())),
            ({"text": "SOS", "receivedTime": "yesterday"}, ReceiveTextRequest(message_id="msg_1", content=b"SOS")),
            ({"text": "SOS", "receivedTime": 5}, ReceiveTextRequest(message_id="msg_1", content=b"SOS")),
            ({"text": "SOS", "receivedTime": "9999-99-99T00:00:00Z"}, ReceiveTextRequest(message_id="msg_1", content=b"SOS")),
            ({"text": "SOS", "price": {"x": [1]}, "kind": "FIRE"}, ReceiveTextRequest(message_id="msg_1", content=b"SOS")),
        ],
    )
    async def test_whatever_is_odd_or_missing_is_no_reason_to_refuse(
        self, alerts: Alerts, sms: SmsGateway, said: dict[str, Any], expected: ReceiveTextRequest
    ) -> None:
        answer = await sms.post("/sms/inbound", json.dumps(said).encode())
        assert answer.status_code == 200
        assert alerts.taken == [expected]


class TestRefused:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b'"SOS"',
            b"null",
            b"{}",
            b'{"text": 5}',
            b'{"text": ["SOS"]}',
            b'{"text": "SOS", "from": 62812}',
            b'{"text": "SOS", "messageId": 1}',
            b"[" * 60_000,
            b'{"text": NaN}',
        ],
    )
    async def test_what_cannot_be_read_is(self, alerts: Alerts, sms: SmsGateway, body: bytes) -> None:
        for path in ("/sms/inbound", "/aml"):
            answer = await sms.post(path, body)
            assert (answer.status_code, reason_of(answer)) == (400, "UNREADABLE_REQUEST")
            assert "retry-after" not in answer.headers
        assert alerts.taken == []

    async def test_what_is_too_large_is(self, alerts: Alerts, sms: SmsGateway) -> None:
        answer = await sms.post("/sms/inbound", b'{"text": "' + b"x" * 70_000 + b'"}')
        assert (answer.status_code, reason_of(answer), alerts.taken) == (400, "REQUEST_TOO_LARGE", [])

    @pytest.mark.parametrize(
        "headers",
        [
            {"webhook_signature": ""},
            {"webhook_id": ""},
            {"webhook_timestamp": ""},
            {"webhook_signature": "v1,"},
            {"webhook_signature": "v1"},
            {"webhook_signature": "v1,!!!"},
            {"webhook_signature": "v1,AAAA"},
            {"webhook_signature": ",,,, ,"},
            {"webhook_signature": "v1,a,b"},
            {"webhook_id": "msg_2"},
            {"webhook_timestamp": "0"},
            {"webhook_timestamp": "soon"},
            {"webhook_timestamp": "nan"},
            {"webhook_timestamp": "inf"},
            {"webhook_timestamp": "-1e400"},
            {"webhook_timestamp": "9" * 400},
        ],
    )
    async def test_what_is_not_signed_or_not_so_is(self, alerts: Alerts, sms: SmsGateway, headers: dict[str, str]) -> None:
        for path in ("/sms/inbound", "/aml"):
            answer = await sms.post(path, json.dumps(BODY).encode(), **headers)
            assert (answer.status_code, reason_of(answer)) == (401, "INVALID_SIGNATURE")
            # The gateway's token is not what is wrong, and another one would not help.
            assert answer.headers["www-authenticate"] == 'Standard-Webhooks realm="siaga"'
        assert alerts.taken == []

    async def test_a_signature_in_other_letters_than_ascii_is(self, alerts: Alerts, sms: SmsGateway) -> None:
        body = json.dumps(BODY).encode()
        signed = [(name.encode(), value.encode()) for name, value in sms.sign(body).items() if name != "webhook-signature"]
        answer = await sms.client.post("/sms/inbound", content=body, headers=[*signed, (b"webhook-signature", "v1,é".encode("latin-1"))])
        assert (answer.status_code, reason_of(answer), alerts.taken) == (401, "INVALID_SIGNATURE", [])

    async def test_another_body_under_the_signature_is(self, alerts: Alerts, sms: SmsGateway) -> None:
        signed = sms.sign(json.dumps(BODY).encode())
        for body in (json.dumps(BODY | {"text": "SOS!"}), json.dumps(BODY) + " ", ""):
            answer = await sms.client.post("/sms/inbound", content=body.encode(), headers=signed)
            assert (answer.status_code, reason_of(answer)) == (401, "INVALID_SIGNATURE")
        assert alerts.taken == []

    @pytest.mark.parametrize(("age", "status"), [(290, 200), (310, 401), (-290, 200), (-310, 401), (86_400, 401)])
    async def test_what_was_signed_more_than_five_minutes_ago_is(self, alerts: Alerts, sms: SmsGateway, age: float, status: int) -> None:
        answer = await sms.post("/sms/inbound", json.dumps(BODY).encode(), age=age)
        assert answer.status_code == status
        assert len(alerts.taken) == (status == 200)

    async def test_a_body_that_is_no_text_is(self, alerts: Alerts, sms: SmsGateway) -> None:
        answer = await sms.post("/aml", b"\xff\xfe", content_type="application/x-www-form-urlencoded")
        assert (answer.status_code, alerts.taken) == (401, [])

    @pytest.mark.parametrize(
        ("problem", "status", "retry"),
        [
            (InvalidToken(), 401, None),
            (AccessDenied(), 403, None),
            (ServiceUnavailable(retry_seconds=1), 503, "1"),
            (ServiceUnavailable(retry_seconds=0.2), 503, "1"),
            (Overloaded(retry_seconds=2.5), 429, "3"),
        ],
    )
    async def test_what_alerts_refuses_is_with_the_time_to_wait(
        self, alerts: Alerts, sms: SmsGateway, problem: Problem, status: int, retry: str | None
    ) -> None:
        alerts.problem = problem
        for path in ("/sms/inbound", "/aml"):
            answer = await sms.post(path, json.dumps(BODY).encode())
            assert (answer.status_code, reason_of(answer)) == (status, problem.reason.name)
            assert answer.headers.get("retry-after") == retry
            assert answer.headers.get("www-authenticate", "").startswith("Bearer ") == (status == 401)

    async def test_while_alerts_is_away_it_is_to_be_repeated(self, secret_file: Path) -> None:
        async with run_adapter(secret_file, f"127.0.0.1:{free_port()}") as client:
            answer = await SmsGateway(client, secret_file.read_text()).post("/sms/inbound", json.dumps(BODY).encode())
        assert (answer.status_code, reason_of(answer), answer.headers["retry-after"]) == (503, "SERVICE_UNAVAILABLE", "1")

    async def test_no_refusal_says_what_was_sent(self, alerts: Alerts, sms: SmsGateway) -> None:
        alerts.problem = ServiceUnavailable(retry_seconds=1)
        answers = [
            await sms.post("/sms/inbound", json.dumps(BODY).encode()),
            await sms.post("/sms/inbound", json.dumps(BODY).encode(), age=999),
            await sms.post("/sms/inbound", b'{"from": "+6281234567890", "text": 5}'),
        ]
        for answer in answers:
            assert answer.status_code >= 400
            assert not [each for each in ("81234567890", "SOS", "m-1", "whsec", "of-the-gateway") if each in answer.text]

    async def test_a_gateway_whose_signatures_are_not_looked_at_is_found_out(
        self, alerts: Alerts, sms: SmsGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The mutant of the tests above."""
        monkeypatch.setattr(Signatures, "verify", lambda *_: None)
        answer = await sms.post("/sms/inbound", json.dumps(BODY).encode(), webhook_signature="")
        assert (answer.status_code, len(alerts.taken)) == (200, 1)


class TestSecrets:
    async def test_without_a_file_nobody_hands_anything_over(self, alerts: Alerts) -> None:
        async with run_adapter(None, f"127.0.0.1:{free_port()}") as client:
            answer = await SmsGateway(client, make_secret()).post("/sms/inbound", json.dumps(BODY).encode())
        assert (answer.status_code, reason_of(answer)) == (404, "METHOD_NOT_FOUND")

    async def test_a_new_one_is_known_at_once_and_the_old_one_until_it_is_removed(
        self, alerts: Alerts, sms: SmsGateway, secret_file: Path
    ) -> None:
        old, new = SmsGateway(sms.client, sms.secret), SmsGateway(sms.client, make_secret())
        body = json.dumps(BODY).encode()

        async def try_both() -> tuple[int, int]:
            return (await old.post("/sms/inbound", body)).status_code, (await new.post("/sms/inbound", body)).status_code

        assert await try_both() == (200, 401)
        secret_file.write_text(f"{old.secret}\n\n  {new.secret}  \n")
        assert await try_both() == (200, 200)
        secret_file.write_text(new.secret.removeprefix("whsec_"))
        assert await try_both() == (401, 200)

    async def test_several_signatures_of_one_message_are_looked_at(self, alerts: Alerts, sms: SmsGateway) -> None:
        body = json.dumps(BODY).encode()
        signature = sms.sign(body)["webhook-signature"]
        answer = await sms.post("/sms/inbound", body, webhook_signature=f"v1,AAAA v1a,xxxx {signature}")
        assert answer.status_code == 200

    @pytest.mark.parametrize("broken", ["", "not a secret", "whsec_c2hvcnQ=", None])
    async def test_a_file_that_is_broken_leaves_the_known_ones_in_use(
        self, alerts: Alerts, sms: SmsGateway, secret_file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        known = secret_file.read_text()
        if broken is None:
            secret_file.unlink()
        else:
            secret_file.write_text(broken)
        assert (await sms.post("/sms/inbound", json.dumps(BODY).encode())).status_code == 200
        assert "the secrets that are known stay in use" in caplog.text
        assert known not in caplog.text

    @pytest.mark.parametrize(
        "content",
        ["", "\n\n", "whsec_", "whsec_!!!", f"{make_secret()}\nwhsec_c2hvcnQ=", make_secret(23)],
        ids=["empty", "blank", "bare", "broken", "second short", "short"],
    )
    def test_no_start_without_good_ones(self, secret_file: Path, content: str) -> None:
        secret_file.write_text(content)
        with pytest.raises(SystemExit) as caught:
            Signatures(secret_file)
        assert str(caught.value).startswith(f"GATEWAY_SMS_SECRET_FILE: {secret_file} cannot be used: ")
        # Not the secret beside the broken one.
        assert not [line for line in content.split() if line.startswith("whsec_") and len(line) > 20 and line in str(caught.value)]

    def test_no_start_without_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="No such file"):
            Signatures(tmp_path / "nosuch")

    def test_the_least_is_what_the_scheme_asks(self, secret_file: Path) -> None:
        secret_file.write_text(make_secret(24))
        assert len(signatures.read_secrets(secret_file)) == 1
        assert isinstance(signatures.read_secrets(secret_file)[0], Webhook)
