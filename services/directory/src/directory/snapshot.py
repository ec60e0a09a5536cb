"""The whole directory in memory, with what finds things in it. It never changes: a newer one takes its place."""

import hashlib
from collections.abc import Iterable, Sequence

import shapely
from shapely import MultiPolygon

from chassis.geo import AreaIndex, Place
from siaga.directory.v1.agency_pb2 import Agency, Category, Hotline
from siaga.directory.v1.area_pb2 import Area
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse
from siaga.directory.v1.snapshot_pb2 import Snapshot


class Directory:
    """`reply` is the snapshot with its etag, as it goes out."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.reply = GetSnapshotResponse(etag=make_etag(snapshot), snapshot=snapshot)
        held = self.reply.snapshot
        self.areas = {record.area.name: record.area for record in held.areas}
        self.boundaries = {record.area.name: record.boundary for record in held.areas if record.boundary}
        self.agencies = {agency.name: agency for agency in held.agencies}
        self.hotlines = {hotline.name: hotline for hotline in held.hotlines}
        self._coverage = {(row.area, row.category): row.agency for row in held.coverage}
        self._categories = sorted({row.category for row in held.coverage})
        self._contacts = sorted(held.hotlines, key=rank_contact)
        self._index = AreaIndex(self._list_places())

    def find_areas(self, latitude: float, longitude: float) -> tuple[Sequence[Area], bool]:
        """The areas at a point, the smallest first, and whether the smallest one's boundary holds it."""
        found = self._index.find(latitude, longitude)
        if found is None:
            return [], False
        name, within = found
        chain: list[Area] = []
        while name:
            area = self.areas[name]
            chain.append(area)
            name = area.parent
        return chain, within

    def find_responsible(self, areas: Sequence[Area]) -> Iterable[tuple[Category.ValueType, Agency]]:
        """Who answers for each category, EMERGENCY first; `areas` are as from find_areas."""
        for category in self._categories:
            named = (self._coverage.get((area.name, category)) for area in areas)
            agency = next((name for name in named if name), None)
            if agency:
                yield category, self.agencies[agency]

    def find_contacts(self, areas: Sequence[Area], categories: Iterable[Category.ValueType]) -> Sequence[Hotline]:
        """The hotlines that serve these areas and have one of the categories, or any; those for EMERGENCY first."""
        wanted, served = set(categories), {"", *(area.name for area in areas)}
        return [each for each in self._contacts if each.area in served and (not wanted or not wanted.isdisjoint(each.categories))]

    def _list_places(self) -> Iterable[Place]:
        """Whatever has a boundary, and of the rest the smallest areas alone: the larger ones' points say less."""
        parents = {area.parent for area in self.areas.values()}
        for name, area in self.areas.items():
            boundary = shapely.from_wkb(self.boundaries[name]) if name in self.boundaries else None
            assert boundary is None or isinstance(boundary, MultiPolygon)
            if boundary is not None or name not in parents:
                yield Place(name, boundary, (area.point.longitude, area.point.latitude))


def rank_contact(hotline: Hotline) -> str:
    """Sorts those for any emergency first."""
    return f"{min(hotline.categories):03} {hotline.name}"


def make_etag(snapshot: Snapshot) -> str:
    """The same for the same content, in whichever process."""
    return hashlib.sha256(snapshot.SerializeToString(deterministic=True)).hexdigest()[:32]
