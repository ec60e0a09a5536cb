"""A directory's snapshot with a piece of Jakarta, and a city in each of the country's other time zones."""

import shapely
from people import OTHER_ROOM, ROOM
from shapely import MultiPolygon, box

from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse

PROVINCE, CITY, GAMBIR, SAWAH_BESAR = "areas/31", "areas/31.71", "areas/31.71.01", "areas/31.71.02"
GAMBIR_VILLAGE, CIDENG, PASAR_BARU = "areas/31.71.01.1001", "areas/31.71.01.1002", "areas/31.71.02.1001"
MAKASSAR, JAYAPURA = "areas/73", "areas/91"
NAMES = {
    PROVINCE: "DKI Jakarta",
    CITY: "Jakarta Pusat",
    GAMBIR: "Gambir",
    GAMBIR_VILLAGE: "Kelurahan Gambir",
    CIDENG: "=HYPERLINK(Cideng)",
    SAWAH_BESAR: "Sawah Besar",
    PASAR_BARU: 'Pasar "Baru", utara',
    MAKASSAR: "Makassar",
    JAYAPURA: "Jayapura",
}
_ZONES = {MAKASSAR: "Asia/Makassar", JAYAPURA: "Asia/Jayapura"}
# Where each village lies: squares of about 1.1 km, far apart.
PLACES = {
    GAMBIR_VILLAGE: (-6.195, 106.805),
    CIDENG: (-6.195, 106.855),
    PASAR_BARU: (-6.195, 106.905),
    MAKASSAR: (-5.145, 119.405),
    JAYAPURA: (-2.535, 140.705),
}


def make_city() -> GetSnapshotResponse:
    reply = GetSnapshotResponse(etag="one")
    for name, display_name in NAMES.items():
        record = reply.snapshot.areas.add()
        record.area.name, record.area.display_name = name, display_name
        record.area.parent = name.rpartition(".")[0]
        record.area.time_zone = _ZONES.get(name, "Asia/Jakarta")
        if name in PLACES:
            latitude, longitude = PLACES[name]
            square = box(longitude - 0.005, latitude - 0.005, longitude + 0.005, latitude + 0.005)
            record.boundary = shapely.to_wkb(MultiPolygon([square]))
    for area, agency in ((PROVINCE, ROOM), (MAKASSAR, OTHER_ROOM), (JAYAPURA, OTHER_ROOM)):
        reply.snapshot.coverage.append(agency_pb2.Coverage(area=area, category=agency_pb2.EMERGENCY, agency=agency))
    return reply


def at(area: str) -> dict[str, object]:
    """Where an SOS comes from, as JSON spells it."""
    latitude, longitude = PLACES[area]
    return {"location": {"point": {"latitude": latitude, "longitude": longitude}}}
