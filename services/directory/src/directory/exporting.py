"""What a scope holds, as a file."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from directory import store
from directory.errors import AreaNotFound
from directory.files import areas_geojson, facilities_csv, facilities_osm
from siaga.directory.v1 import directory_admin_service_pb2 as pb


def export_directory(session: Session, request: pb.ExportDirectoryRequest, country: str) -> Iterator[bytes]:
    """In pieces that fit into a message; numbers are dialled in `country`. Raises AreaNotFound."""
    areas = sorted(store.find_areas_within(session, request.scope), key=lambda area: area.name)
    if not areas or areas[0].name != request.scope:
        raise AreaNotFound
    if request.format == pb.AREAS_GEOJSON:
        return areas_geojson.write_areas(area for area in areas if area.boundary is not None)
    facilities = sorted(store.find_facilities_within(session, request.scope, request.source or None), key=lambda each: each.name)
    if request.format == pb.FACILITIES_CSV:
        return facilities_csv.write_facilities(facilities)
    return facilities_osm.write_facilities(facilities, country)
