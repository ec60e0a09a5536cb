"""Wires the service of alerts: `python -m alerts [migrate | revision MESSAGE | rebuild-statistics]`; without a command it serves."""

import sys
from functools import partial
from pathlib import Path

from alerts.commands import rebuild_statistics
from alerts.counting import keep_counted
from alerts.delivering.courier import Courier
from alerts.delivering.sending import Sender
from alerts.delivering.targets import Targets
from alerts.grouping import Grouper
from alerts.model import Model
from alerts.model.sealing import seal, unseal
from alerts.model.tables import keys, log, timers
from alerts.operations import clocks
from alerts.routing import Router
from alerts.servicer.alerts import AlertServicer
from alerts.servicer.incidents import IncidentServicer
from alerts.servicer.loading import load_subjects
from alerts.servicer.texts import TextServicer
from alerts.servicer.units import UnitServicer
from alerts.servicer.warnings import WarningServicer
from alerts.servicer.webhooks import WebhookServicer
from alerts.settings import Settings
from alerts.sweeping import keep_drills_swept
from alerts.wire.alerts import Shown
from alerts.wire.incidents import ShownIncident
from alerts.wire.warnings import ShownWarning
from chassis import migrations, telemetry
from chassis.bell import Bell
from chassis.database import open_database
from chassis.server import Server, Servicer, run_service
from chassis.settings import read_secret, read_settings
from chassis.tail import Tail
from chassis.watch import Watches
from siaga.alerts.v1 import (
    alert_service_pb2,
    incident_service_pb2,
    text_service_pb2,
    unit_service_pb2,
    warning_service_pb2,
    webhook_service_pb2,
)
from siaga.alerts.v1.alert_service_pb2_grpc import add_AlertServiceServicer_to_server
from siaga.alerts.v1.incident_service_pb2_grpc import add_IncidentServiceServicer_to_server
from siaga.alerts.v1.text_service_pb2_grpc import add_TextServiceServicer_to_server
from siaga.alerts.v1.unit_service_pb2_grpc import add_UnitServiceServicer_to_server
from siaga.alerts.v1.warning_service_pb2_grpc import add_WarningServiceServicer_to_server
from siaga.alerts.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server

_ALERTS = alert_service_pb2.DESCRIPTOR.services_by_name
_INCIDENTS = incident_service_pb2.DESCRIPTOR.services_by_name
_TEXTS = text_service_pb2.DESCRIPTOR.services_by_name
_UNITS = unit_service_pb2.DESCRIPTOR.services_by_name
_WARNINGS = warning_service_pb2.DESCRIPTOR.services_by_name
_WEBHOOKS = webhook_service_pb2.DESCRIPTOR.services_by_name
MIGRATIONS = Path(__file__).parents[2] / "migrations"


async def serve(settings: Settings) -> None:
    bell = Bell("siaga:alerts", settings.platform.redis_url.get_secret_value())
    async with open_database(settings.database_url.get_secret_value(), log.before_commit, bell.ring) as database:
        await database.write(partial(keys.unlock, secret=read_secret(settings.secret_file)))
        tail = Tail(database, log, bell, load_subjects)
        router = Router(settings.directory, settings.snapshot_file, settings.default_agency)
        targets = Targets(allow_private=settings.webhooks_allow_private)
        courier = Courier(database, Sender(targets), settings.listen)
        bell.listeners.append(courier.wake)
        alerts = AlertServicer(database, Watches(database, log, tail, Shown, seal, unseal), router, settings.country)
        incidents = IncidentServicer(database, Watches(database, log, tail, ShownIncident, seal, unseal), router)
        watches = Watches(database, log, tail, ShownWarning, seal, unseal)
        warnings = WarningServicer(database, watches, router, settings.sender_domain, settings.max_watches // 2)
        texts = TextServicer(database, router, settings.country)
        servicers = [
            Servicer(_ALERTS["AlertService"], add_AlertServiceServicer_to_server, alerts),
            Servicer(_INCIDENTS["IncidentService"], add_IncidentServiceServicer_to_server, incidents),
            Servicer(_UNITS["UnitService"], add_UnitServiceServicer_to_server, UnitServicer(database)),
            Servicer(_TEXTS["TextService"], add_TextServiceServicer_to_server, texts),
            Servicer(_WARNINGS["WarningService"], add_WarningServiceServicer_to_server, warnings),
            Servicer(_WEBHOOKS["WebhookService"], add_WebhookServiceServicer_to_server, WebhookServicer(database, targets)),
        ]
        run_timers = partial(timers.run, database, clocks.lock_subjects, partial(clocks.run_out, router=router))
        grouper = Grouper(database, router)
        sweeps = [partial(keys.keep_swept, database), partial(keep_drills_swept, database), texts.keep_swept]
        count = partial(keep_counted, database, router)
        background = [bell.run, tail.run, router.run, run_timers, grouper.run, courier.run, count, *sweeps]
        await Server(settings.listen, settings.platform, database, servicers, background, tail.stop, settings.max_watches).run()


def main() -> None:
    settings = read_settings(Settings)
    if sys.argv[1:2] == ["rebuild-statistics"]:
        rebuild_statistics(settings, sys.argv[2:])
        return
    end_telemetry = telemetry.start("alerts", settings.platform)
    if not migrations.run_command(sys.argv[1:], settings.database_url.get_secret_value(), MIGRATIONS, Model.metadata):
        run_service(serve(settings))
    end_telemetry()


if __name__ == "__main__":
    main()
