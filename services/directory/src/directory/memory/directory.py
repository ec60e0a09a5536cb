"""Everything that the service answers from, as one value."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from directory.memory.areas import AreaRecord, Areas
from directory.memory.encoding import embed
from directory.memory.facilities import Facilities, FacilityRecord, embed_all, read_assured_seconds
from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.agency_pb2 import Agency, Category, Coverage, Hotline
from siaga.directory.v1.area_pb2 import Area
from siaga.directory.v1.directory_service_pb2 import Contact, GetSnapshotResponse
from siaga.directory.v1.snapshot_pb2 import Snapshot

T = TypeVar("T")

_MAX_SELECTIONS = 64
# Somebody must answer for these everywhere.
NEEDED = (
    agency_pb2.EMERGENCY,
    agency_pb2.POLICE,
    agency_pb2.FIRE,
    agency_pb2.AMBULANCE,
    agency_pb2.SEARCH_AND_RESCUE,
    agency_pb2.WOMEN_AND_CHILDREN,
)


class Responsible(NamedTuple):
    """Who answers for a category: the agency, where one is known, and the area that names it, where one does."""

    category: Category.ValueType
    agency: Agency | None
    area: str
    by_default: bool


class HotlineRecord(NamedTuple):
    """A hotline as a search finds it; by their places those for any emergency come first."""

    place: str
    area: str
    categories: frozenset[int]
    contact: bytes
    assured_seconds: int


@dataclass(frozen=True, eq=False)
class Directory:
    """Names of agencies and hotlines in their order; coverage by area and category."""

    areas: Areas
    agencies: Mapping[str, Agency]
    hotlines: Mapping[str, Hotline]
    coverage: Mapping[tuple[str, int], Coverage]
    facilities: Facilities
    # What is made of it on the way, by what was asked.
    answers: dict[object, bytes] = field(default_factory=dict[object, bytes])
    _selections: dict[object, Sequence[Any]] = field(default_factory=dict[object, Sequence[Any]])

    @cached_property
    def contacts(self) -> Sequence[HotlineRecord]:
        """The hotlines in the order of a search."""
        return sorted((_make_record(each) for each in self.hotlines.values()), key=lambda record: record.place)

    @cached_property
    def names_by_uid(self) -> Mapping[str, str]:
        """Of agencies and hotlines."""
        return {each.uid: each.name for each in (*self.agencies.values(), *self.hotlines.values())}

    def replace(
        self,
        *,
        areas: dict[str, AreaRecord] | None = None,
        agencies: Iterable[Agency] | None = None,
        hotlines: Iterable[Hotline] | None = None,
        coverage: Iterable[Coverage] | None = None,
        facilities: dict[str, FacilityRecord] | None = None,
    ) -> "Directory":
        """Another one with these in place of its own; None stays."""
        return Directory(
            self.areas if areas is None else Areas({name: areas[name] for name in sorted(areas)}, self.areas),
            self.agencies if agencies is None else {each.name: each for each in sorted(agencies, key=lambda each: each.name)},
            self.hotlines if hotlines is None else {each.name: each for each in sorted(hotlines, key=lambda each: each.name)},
            self.coverage if coverage is None else {(row.area, row.category): row for row in coverage},
            self.facilities if facilities is None else Facilities({name: facilities[name] for name in sorted(facilities)}),
        )

    def find_responsible(self, areas: Sequence[Area]) -> Iterable[Responsible]:
        """Who answers for each category in the smallest of `areas`, which are as from Areas.find; EMERGENCY first."""
        room = self._climb_to(areas, agency_pb2.EMERGENCY)
        for category in self._categories:
            found = self._climb_to(areas, category)
            if found:
                yield Responsible(category, self.agencies[found.agency], found.area, by_default=False)
            elif category in NEEDED:
                yield Responsible(category, self.agencies[room.agency] if room else None, room.area if room else "", by_default=True)

    def find_hotlines(self, areas: Sequence[Area], categories: frozenset[int]) -> Sequence[HotlineRecord]:
        """The hotlines that serve these areas and have one of the categories, or any; those for EMERGENCY first."""
        served = {"", *(area.name for area in areas)}
        return [each for each in self.contacts if each.area in served and (not categories or not categories.isdisjoint(each.categories))]

    def select(self, key: object, entries: Callable[[], Iterable[T]], wanted: Callable[[T], bool]) -> Sequence[T]:
        """Those of the entries that are wanted; the next page of the same list, by its `key`, need not look at each again."""
        found = self._selections.get(key)
        if found is None:
            if len(self._selections) >= _MAX_SELECTIONS:
                # Whoever looks for one at this moment, in another thread, has it already.
                self._selections.clear()
            found = self._selections[key] = [each for each in entries() if wanted(each)]
        return found

    def list_coverage(self) -> Sequence[Coverage]:
        """By area and category."""
        return [self.coverage[key] for key in sorted(self.coverage)]

    @cached_property
    def snapshot(self) -> bytes:
        """GetSnapshotResponse with its etag, as it goes out."""
        return GetSnapshotResponse(etag=self.etag).SerializeToString() + embed(2, b"".join(self._snapshot_parts()))

    @cached_property
    def etag(self) -> str:
        """The same for the same areas, coverage, agencies and hotlines, in whichever process."""
        return _hash(self._snapshot_parts())

    @cached_property
    def facilities_etag(self) -> str:
        """The same for the same facilities."""
        return _hash(embed_all(self.facilities.in_order))

    def _snapshot_parts(self) -> Iterable[bytes]:
        for record in self.areas.records.values():
            yield embed(1, record.wire)
        rest = Snapshot(agencies=self.agencies.values(), hotlines=self.hotlines.values(), coverage=self.list_coverage())
        yield rest.SerializeToString(deterministic=True)

    @cached_property
    def _categories(self) -> Sequence[Category.ValueType]:
        return sorted({*NEEDED, *(row.category for row in self.coverage.values())})

    def _climb_to(self, areas: Sequence[Area], category: int) -> Coverage | None:
        return next((row for area in areas if (row := self.coverage.get((area.name, category)))), None)


def make_directory(
    areas: dict[str, AreaRecord],
    agencies: Iterable[Agency],
    hotlines: Iterable[Hotline],
    coverage: Iterable[Coverage],
    facilities: dict[str, FacilityRecord],
) -> Directory:
    """From everything there is."""
    empty = Directory(Areas({}), {}, {}, {}, Facilities({}))
    return empty.replace(areas=areas, agencies=agencies, hotlines=hotlines, coverage=coverage, facilities=facilities)


def _make_record(hotline: Hotline) -> HotlineRecord:
    contact = Contact(
        name=hotline.name,
        display_name=hotline.display_name,
        categories=hotline.categories,
        numbers=hotline.numbers,
        assured_by=hotline.assured_by,
        assured_time=hotline.assured_time if hotline.HasField("assured_time") else None,
    )
    # Those for any emergency come first.
    place = f"{min(hotline.categories, default=0):03} {hotline.name}"
    categories = frozenset[int](hotline.categories)
    return HotlineRecord(place, hotline.area, categories, contact.SerializeToString(), read_assured_seconds(hotline))


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for each in parts:
        digest.update(each)
    return digest.hexdigest()[:32]
