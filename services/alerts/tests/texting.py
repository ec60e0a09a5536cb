"""The SMS gateway, and what handsets tell by themselves."""

from datetime import UTC, datetime
from typing import Any

from people import SECONDS, People, new_id

from chassis.clock import now
from siaga.alerts.v1 import text_service_pb2 as pb
from siaga.alerts.v1.text_service_pb2_grpc import TextServiceStub

PHONE, OTHER_PHONE = "+6281234567890", "+6281298765432"


class SmsGateway:
    """Hands messages over with a token of its own."""

    def __init__(self, people: People, *roles: str) -> None:
        self._stub: Any = TextServiceStub(people.channel)
        self.bearer = people.issuer.sign("sms-gateway", *(roles or ("adapter",)))

    async def send(self, content: str | bytes, sender: str = PHONE, message_id: str | None = None, received: datetime | None = None) -> str:
        """The alert's name; a message has an id of its own where none is given."""
        return await self._call(self._stub.ReceiveText, pb.ReceiveTextRequest, content, sender, message_id, received)

    async def send_aml(
        self, content: str | bytes, sender: str = PHONE, message_id: str | None = None, received: datetime | None = None
    ) -> str:
        return await self._call(self._stub.ReceiveAml, pb.ReceiveAmlRequest, content, sender, message_id, received)

    async def _call(
        self, call: Any, kind: Any, content: str | bytes, sender: str, message_id: str | None, received: datetime | None
    ) -> str:
        octets = content.encode() if isinstance(content, str) else content
        identity = new_id() if message_id is None else message_id
        request = kind(sender=sender, message_id=identity, content=octets, received_time=received)
        metadata = [("authorization", f"Bearer {self.bearer}")] if self.bearer else []
        return (await call(request, timeout=SECONDS, metadata=metadata)).alert


def write_aml(latitude: float = -6.2, longitude: float = 106.8, time: datetime | None = None, radius: str = "12", method: str = "G") -> str:
    top = (time or now()).astimezone(UTC).strftime("%Y%m%d%H%M%S")
    start = f'A"ML=1;lt={latitude:+.5f};lg={longitude:+.5f};rd={radius};top={top};lc=68;pm={method};si=510100000000000;ei=123456789012345'
    return f"{start};mcc=510;mnc=10;ml={len(start) + 22}"
