"""TextService: one method per RPC."""

import asyncio
import logging
import secrets
from contextlib import suppress
from functools import partial

import grpc
from opentelemetry import metrics

from alerts.model.enums import Source
from alerts.operations import texts as operations
from alerts.operations.texts import Receipt, Text, hash_number
from alerts.routing import Router
from alerts.servicer.viewing import hash_token
from alerts.texts import aml
from alerts.texts.numbers import find_dialled, read_number
from alerts.texts.positions import find_fix
from alerts.texts.words import decode, hide_digits, read_saying
from alerts.wire import texts as wire
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from siaga.alerts.v1 import text_service_pb2 as pb
from siaga.alerts.v1 import text_service_pb2_grpc

_SWEEP_SECONDS = 3600
_log = logging.getLogger(__name__)
_messages = metrics.get_meter("alerts").create_counter("siaga.texts", description="Messages without data, by what became of them")


class TextServicer(text_service_pb2_grpc.TextServiceServicer):
    """`country` is where national numbers are of, ISO 3166-1 alpha-2."""

    def __init__(self, database: Database, router: Router, country: str) -> None:
        self._database, self._router, self._country = database, router, country

    async def ReceiveText(self, request: pb.ReceiveTextRequest, context: grpc.aio.ServicerContext) -> pb.ReceiveTextResponse:
        if reading := aml.read_text_message(decode(request.content)):
            receipt = await self._receive_aml(request, reading)
        else:
            receipt = await self._receive_text(request)
        return pb.ReceiveTextResponse(alert=receipt.alert)

    async def ReceiveAml(self, request: pb.ReceiveAmlRequest, context: grpc.aio.ServicerContext) -> pb.ReceiveAmlResponse:
        if reading := aml.read_message(request.content):
            receipt = await self._receive_aml(request, reading)
        else:
            receipt = await self._receive_text(request)
        return pb.ReceiveAmlResponse(alert=receipt.alert)

    async def keep_swept(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(ServiceUnavailable):
                await self._database.write(lambda session: operations.sweep(session, now()))
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _receive_text(self, request: pb.ReceiveTextRequest | pb.ReceiveAmlRequest) -> Receipt:
        time, content = now(), decode(request.content)
        saying, fix = read_saying(content), find_fix(content)
        text = Text(
            number=hash_number(request.sender, self._country),
            key=self._name_message("text", request.sender, request.message_id),
            content=hide_digits(content) if saying.cancel else content,
            distress=saying.distress,
            urgent=saying.urgent,
            cancel=saying.cancel,
            kept=saying.kept,
            seen=wire.to_sighting(fix, Source.SMS, wire.read_received_time(request, time), time) if fix else None,
            now=time,
        )
        phone = find_dialled(request.sender, self._country)
        describe = partial(wire.to_columns, note=content, phone=phone, token_hash=hash_token(secrets.token_urlsafe()), now=time)
        parts = {"text": text, "router": self._router, "describe": describe}
        receipt = None
        if text.distress or text.urgent:
            # As an SOS by the app; one that adds to an alert may have to wait for it, and must not keep what is kept for those.
            receipt = await self._database.write(partial(operations.receive_call, **parts), urgent=True)
        return _count(receipt or await self._database.write(partial(operations.receive_text, **parts)))

    async def _receive_aml(self, request: pb.ReceiveTextRequest | pb.ReceiveAmlRequest, reading: aml.Reading) -> Receipt:
        time = now()
        if reading.told_length not in {None, reading.length}:
            _log.warning("an AML message of %d characters says that it has %d", reading.length, reading.told_length)
        sender = request.sender or reading.number
        number = hash_number(sender, self._country)
        seen = wire.to_sighting(reading.fix, Source.AML, wire.read_received_time(request, time), time) if reading.fix else None
        key = self._name_message("aml", sender, request.message_id)
        operation = partial(operations.receive_aml, number=number, key=key, seen=seen, now=time, router=self._router)
        return _count(await self._database.write(operation))

    def _name_message(self, kind: str, sender: str, message_id: str) -> str:
        """Among all messages; empty for one without an id. Ids count as they are: two may differ in their case alone."""
        return f"{kind}\0{read_number(sender, self._country) or sender}\0{message_id}" if message_id else ""


def _count(receipt: Receipt) -> Receipt:
    _messages.add(1, {"effect": receipt.effect})
    return receipt
