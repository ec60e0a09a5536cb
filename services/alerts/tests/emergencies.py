"""Several alerts of one emergency, and IncidentService as people call it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from people import MONAS, Party, People, Watching

from siaga.alerts.v1 import incident_service_pb2
from siaga.alerts.v1.incident_service_pb2_grpc import IncidentServiceStub

SECONDS = 15.0
# About 100 m, and about 1 km.
NEAR, FAR = 0.0009, 0.009


def beside(degrees: float = NEAR, **more: Any) -> dict[str, Any]:
    point = {"latitude": MONAS["latitude"] + degrees, "longitude": MONAS["longitude"]}
    return {"kind": "FIRE", "location": {"point": point}, **more}


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    """The first answer that is true."""
    end = time.monotonic() + SECONDS
    while not (found := await check()):
        assert time.monotonic() < end, "it does not come to this"
        await asyncio.sleep(0.05)
    return found


class Incidents:
    """IncidentService as one of the people calls it."""

    def __init__(self, party: Party) -> None:
        self._party = party

    async def __call__(self, rpc: str, **fields: Any) -> Any:
        request = getattr(incident_service_pb2, f"{rpc}Request")(**fields)
        return await getattr(IncidentServiceStub(self._party._channel), rpc)(request, metadata=self._party.metadata(), timeout=10)

    def watch(self) -> Watching:
        stub: Any = IncidentServiceStub(self._party._channel)
        return Watching(stub.WatchIncidents(incident_service_pb2.WatchIncidentsRequest(), metadata=self._party.metadata()))


async def seen(people: People, name: str) -> Any:
    return await people.sari("GetAlert", name=name)


async def incident_of(people: People, name: str) -> str:
    return (await seen(people, name)).incident


async def form(people: People, number: int = 3) -> tuple[str, list[tuple[str, Party]]]:
    """An incident of so many fires; its name, and its alerts with their callers, the lead's first."""
    alerts = [await people.raise_alert(people.nobody, **beside(NEAR * each / number)) for each in range(number)]
    incident = ""
    for name, _ in alerts:
        incident = await until(lambda name=name: incident_of(people, name))
    return incident, alerts


async def make_prankster(people: People) -> None:
    """Adi: what he raises from now on is doubtful."""
    for _ in range(2):
        name, _ = await people.raise_alert(people.adi)
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="PRANK")


async def wait_until_assessed(people: People) -> None:
    """All that were raised before: whoever came later has been looked at."""
    await people.raise_alert(**beside(FAR * 5))
    last, _ = await people.raise_alert(**beside(FAR * 5))
    await until(lambda: incident_of(people, last))
