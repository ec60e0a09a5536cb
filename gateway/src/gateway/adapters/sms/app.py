"""Takes what an SMS gateway hands over, once it has signed it, and passes it on as it came."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.adapters.body import parse_json, read_body
from gateway.adapters.services import Texts
from gateway.adapters.sms.signatures import Signatures
from gateway.errors import UnreadableRequest
from siaga.alerts.v1.text_service_pb2 import ReceiveAmlRequest, ReceiveTextRequest

FORM = "application/x-www-form-urlencoded"


class Sms:
    """Answers 200 for whatever was taken, so that nothing is handed over again but what was not."""

    def __init__(self, secret_file: Path, texts: Texts) -> None:
        """Take the file of the secrets. Ends the process where it cannot be used."""
        self._signatures, self._texts = Signatures(secret_file), texts
        self.routes = [
            Route("/sms/inbound", self.receive_text, methods=["POST"]),
            Route("/aml", self.receive_aml, methods=["POST"]),
        ]

    async def receive_text(self, request: Request) -> Response:
        message = read_message(await self._read_signed(request), request.headers)
        await self._texts.ask(self._texts.stub.ReceiveText, ReceiveTextRequest(**message), request)
        return JSONResponse({})

    async def receive_aml(self, request: Request) -> Response:
        body = await self._read_signed(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM:
            # The form for HTTPS is the message itself, and says from whom it is.
            message: dict[str, Any] = {"message_id": read_id(request.headers), "content": body}
        else:
            message = read_message(body, request.headers)
        await self._texts.ask(self._texts.stub.ReceiveAml, ReceiveAmlRequest(**message), request)
        return JSONResponse({})

    async def _read_signed(self, request: Request) -> bytes:
        body = await read_body(request)
        self._signatures.verify(body, request.headers)
        return body


def read_message(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Read the fields of the request from `{from, text, messageId, receivedTime}`. Raises UnreadableRequest."""
    # Letters in another encoding than JSON's are lost, but not what the others say.
    found = parse_json(body.decode(json.detect_encoding(body), errors="replace"))
    text, sender, message_id = found.get("text"), found.get("from") or "", found.get("messageId") or read_id(headers)
    if not (isinstance(text, str) and isinstance(sender, str) and isinstance(message_id, str)):
        raise UnreadableRequest
    return {
        "sender": clean(sender),
        "message_id": clean(message_id),
        # As it came, half a pair of surrogates included: what can be kept of it, others decide.
        "content": text.encode(errors="surrogatepass"),
        "received_time": read_time(found.get("receivedTime")),
    }


def read_id(headers: Mapping[str, str]) -> str:
    """The id of the delivery, which is the same for each repetition, too."""
    return clean(headers.get("webhook-id", ""))


def clean(text: str) -> str:
    """Leave out what no string of the contract can hold."""
    return text.replace("\0", "").encode(errors="replace").decode()


def read_time(text: object) -> Timestamp | None:
    """None for what is no time: no SOS waits for one."""
    time = Timestamp()
    try:
        time.FromJsonString(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return time
