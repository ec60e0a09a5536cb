"""WebhookService: one method per RPC."""

from functools import partial
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from sqlalchemy.orm import Session

from alerts.delivering.targets import Targets
from alerts.operations import webhooks as operations
from alerts.operations.webhooks import WebhookChange, require_webhook
from alerts.servicer.viewing import find_viewer
from alerts.store import webhooks as store
from alerts.wire import webhooks as wire
from alerts.wire.alerts import to_time
from chassis import telemetry
from chassis.clock import new_uuid, now
from chassis.database import Database
from chassis.errors import InvalidRequest
from chassis.masks import read_mask
from chassis.paging import Page
from siaga.alerts.v1 import webhook_pb2, webhook_service_pb2_grpc
from siaga.alerts.v1 import webhook_service_pb2 as pb


class WebhookServicer(webhook_service_pb2_grpc.WebhookServiceServicer):
    def __init__(self, database: Database, targets: Targets) -> None:
        self._database, self._targets = database, targets

    async def CreateWebhook(self, request: pb.CreateWebhookRequest, context: grpc.aio.ServicerContext) -> webhook_pb2.Webhook:
        columns = wire.to_columns(request, [field for field in wire.CHANGEABLE if field != "state"])
        await self._targets.find(request.url)
        change = self._ask(request, context, f"webhooks/{new_uuid()}")
        return wire.to_message(*await self._database.write(partial(operations.create_webhook, change=change, columns=columns)))

    async def GetWebhook(self, request: pb.GetWebhookRequest, context: grpc.aio.ServicerContext) -> webhook_pb2.Webhook:
        viewer = find_viewer(context)
        return await self._database.read(
            lambda session: wire.to_message(require_webhook(viewer, store.find_webhook(session, request.name)))
        )

    async def ListWebhooks(self, request: pb.ListWebhooksRequest, context: grpc.aio.ServicerContext) -> pb.ListWebhooksResponse:
        agency = find_viewer(context).agency
        page = Page(request, agency)
        question = partial(store.list_webhooks, agency=agency, states=list(request.state), after=page.after, limit=page.size + 1)
        webhooks, next_page_token = page.cut(await self._database.read(question), lambda webhook: webhook.name)
        return pb.ListWebhooksResponse(webhooks=map(wire.to_message, webhooks), next_page_token=next_page_token)

    async def UpdateWebhook(self, request: pb.UpdateWebhookRequest, context: grpc.aio.ServicerContext) -> webhook_pb2.Webhook:
        if not request.webhook.name:
            raise InvalidRequest(fields=[("webhook.name", "is required")])
        columns = wire.to_columns(request.webhook, read_mask(request.update_mask, request.webhook, wire.CHANGEABLE), "webhook.")
        if "url" in columns:
            await self._targets.find(request.webhook.url, "webhook.url")
        change = self._ask(request, context, request.webhook.name)
        operation = partial(operations.update_webhook, change=change, columns=columns, etag=request.webhook.etag)
        return wire.to_message(await self._database.write(operation))

    async def DeleteWebhook(self, request: pb.DeleteWebhookRequest, context: grpc.aio.ServicerContext) -> Empty:
        change = self._ask(request, context, request.name)
        await self._database.write(partial(operations.delete_webhook, change=change, etag=request.etag))
        return Empty()

    async def RotateWebhookSecret(self, request: pb.RotateWebhookSecretRequest, context: grpc.aio.ServicerContext) -> webhook_pb2.Webhook:
        change = self._ask(request, context, request.name)
        return wire.to_message(*await self._database.write(partial(operations.rotate_secret, change=change)))

    async def ListWebhookDeliveries(
        self, request: pb.ListWebhookDeliveriesRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListWebhookDeliveriesResponse:
        viewer, page = find_viewer(context), Page(request)

        def read(session: Session) -> pb.ListWebhookDeliveriesResponse:
            webhook = require_webhook(viewer, store.find_webhook(session, request.name))
            found = store.list_deliveries(session, request.name, list(request.state), page.after, page.size + 1)
            deliveries, next_page_token = page.cut(found, lambda delivery: delivery.id)
            shown = [wire.to_delivery(each, webhook) for each in deliveries]
            return pb.ListWebhookDeliveriesResponse(deliveries=shown, next_page_token=next_page_token)

        return await self._database.read(read)

    async def RedeliverWebhook(self, request: pb.RedeliverWebhookRequest, context: grpc.aio.ServicerContext) -> pb.RedeliverWebhookResponse:
        change = self._ask(request, context, request.name)
        if since := to_time(request, "since"):
            operation = partial(operations.redeliver_since, change=change, since=since, given_up=request.given_up)
        else:
            operation = partial(operations.redeliver, change=change, delivery=wire.read_delivery_id(request))
        return wire.to_redelivered(*await self._database.write(operation))

    async def SendTestEvent(self, request: pb.SendTestEventRequest, context: grpc.aio.ServicerContext) -> webhook_pb2.WebhookDelivery:
        change = self._ask(request, context, request.name)
        operation = partial(operations.send_test_event, change=change, traceparent=telemetry.traceparent())
        return wire.to_delivery(*await self._database.write(operation))

    def _ask(self, request: Any, context: grpc.aio.ServicerContext, name: str) -> WebhookChange:  # noqa: ANN401  # requests share no type
        return WebhookChange(name, request.request_id, request, find_viewer(context), now())
