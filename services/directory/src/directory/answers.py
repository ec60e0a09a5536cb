"""What the questions of a person in need are answered: the hot paths, in which most of an answer is serialized already."""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.paging import Page
from directory.hours import find_opening
from directory.memory.areas import Neighbor
from directory.memory.directory import Directory, HotlineRecord, Responsible
from directory.memory.encoding import embed
from directory.memory.facilities import FacilityRecord, read_assured_seconds
from directory.wire import to_timestamp
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.agency_pb2 import Agency, Category, Hotline, PhoneNumber
from siaga.directory.v1.area_pb2 import Area
from siaga.directory.v1.facility_pb2 import Facility

E = TypeVar("E", Agency, Hotline, Facility)

_NEAR_METERS = 50_000.0
_BORDER_METERS = 250.0
_MAX_NEIGHBORS = 10
_BUNDLED = 3
# No area is wider.
_BUNDLE_METERS = 1_000_000.0
_MAX_KEPT_ANSWERS = 20_000
# Whoever finds nothing open among so many nearest ones is not helped by those behind them, and everybody waits meanwhile.
_MAX_LOOKED_AT = 5000
# Fields of Contact that depend on time and place: `unassured`, and the head of `distance_meters`.
_UNASSURED = pb.Contact(unassured=True).SerializeToString()
_SHUT = pb.Contact(open_now=False).SerializeToString()
_DISTANCE_HEAD = pb.Contact(distance_meters=1).SerializeToString()[:1]
_DISTANCE = struct.Struct("<d")


class Scene(NamedTuple):
    """What an answer is made from. What was assured before `assured_since` (seconds of the Unix epoch) counts as not assured;
    `country` is whose holidays places keep, `dial` the number where nobody else is known.
    """

    directory: Directory
    now: datetime
    assured_since: float
    country: str
    dial: str
    stale: bool
    load_time: Timestamp | None


class _Found(NamedTuple):
    """A contact with its place in the order of a search."""

    place: str
    contact: bytes


def search_nearby(scene: Scene, request: pb.SearchNearbyRequest) -> bytes:
    """A SearchNearbyResponse. Raises InvalidPageToken."""
    page = Page(request)
    areas, _ = scene.directory.areas.find(request.point.latitude, request.point.longitude)
    found = _walk_contacts(scene, request, page, areas)
    rows, token = page.cut(list(islice(found, page.size + 1)), lambda each: each.place)
    rest = pb.SearchNearbyResponse(next_page_token=token, stale=scene.stale, load_time=scene.load_time)
    rest.emergency_number = areas[0].emergency_number if areas else scene.dial
    return b"".join([*(embed(1, each.contact) for each in rows), rest.SerializeToString()])


def resolve_location(scene: Scene, request: pb.ResolveLocationRequest) -> bytes:
    """A ResolveLocationResponse."""
    meters = request.border_meters if request.HasField("border_meters") else _BORDER_METERS
    areas, within, neighbors = scene.directory.areas.find_with_neighbors(request.point.latitude, request.point.longitude, meters)
    rest = pb.ResolveLocationResponse(stale=scene.stale, load_time=scene.load_time)
    if not areas:
        rest.emergency_number = scene.dial
        return rest.SerializeToString()
    rest.match = pb.ResolveLocationResponse.BOUNDARY if within else pb.ResolveLocationResponse.NEAREST
    rest.emergency_number = areas[0].emergency_number
    beyond = [embed(7, _write_neighbor(scene, each)) for each in neighbors[:_MAX_NEIGHBORS]]
    return b"".join([_describe_areas(scene, areas), rest.SerializeToString(), *beyond])


def bundle_numbers(scene: Scene, area: Area, known_etag: str) -> pb.GetNumbersBundleResponse:
    """The hotlines of an area, and of each category the facilities with a number that are nearest to its middle."""

    def write() -> bytes:
        content = pb.GetNumbersBundleResponse(emergency_number=area.emergency_number)
        for hotline in scene.directory.find_hotlines(scene.directory.areas.climb(area.name), frozenset()):
            content.contacts.add().MergeFromString(_write_hotline(scene, hotline))
        for record in _choose_facilities(scene.directory, area):
            content.contacts.add().MergeFromString(_write_facility(scene, record, None, b""))
        content.etag = hashlib.sha256(content.SerializeToString(deterministic=True)).hexdigest()[:32]
        return content.SerializeToString()

    bundle = pb.GetNumbersBundleResponse.FromString(_remember(scene, ("bundle", area.name, scene.now.date()), write))
    return pb.GetNumbersBundleResponse(etag=bundle.etag) if bundle.etag == known_etag else bundle


def show_assurance(entry: E, assured_since: float) -> E:
    """The entry, which says whether its assurance has run out."""
    entry.unassured = read_assured_seconds(entry) < assured_since
    return entry


def _walk_contacts(scene: Scene, request: pb.SearchNearbyRequest, page: Page, areas: Sequence[Area]) -> Iterator[_Found]:
    """Those of the page and behind it; by their places hotlines come first, then facilities without a place, then the others by
    distance.
    """
    categories = frozenset[int](request.categories)
    for hotline in scene.directory.find_hotlines(areas, categories):
        if (place := f"0{hotline.place}") > page.after:
            yield _Found(place, _write_hotline(scene, hotline))
    facilities = scene.directory.facilities
    served = facilities.find_without_place((area.name for area in areas), categories)
    meters = request.max_distance_meters if request.HasField("max_distance_meters") else _NEAR_METERS
    near = islice(
        facilities.walk_near(request.point.latitude, request.point.longitude, meters, request.categories, page.size + 1), _MAX_LOOKED_AT
    )
    without_place = sorted((f"1{record.facility.name}", None, record) for record in served)
    for place, away, record in chain(without_place, ((f"2{away:012.3f}{record.facility.name}", away, record) for away, record in near)):
        if place > page.after:
            is_open, opening = _write_opening(scene, record.facility)
            if is_open or not request.open_now:
                yield _Found(place, _write_facility(scene, record, away, opening))


def _write_opening(scene: Scene, facility: Facility) -> tuple[bool, bytes]:
    """Whether it is known to be open, and what the contact says of it."""
    if facility.status == Facility.TEMPORARILY_CLOSED:
        return False, _SHUT
    if not facility.opening_hours:
        return False, b""
    area = scene.directory.areas.by_name.get(facility.area)
    return _describe_opening(facility.opening_hours, area.time_zone if area else "UTC", scene.country, int(scene.now.timestamp()))


# Many places share their hours, and many questions a second.
@lru_cache(16384)
def _describe_opening(hours: str, time_zone: str, country: str, second: int) -> tuple[bool, bytes]:
    opening = find_opening(hours, time_zone, country, datetime.fromtimestamp(second, UTC))
    if opening.is_open is None:
        return False, b""
    said = pb.Contact(open_now=opening.is_open, open_change_time=to_timestamp(opening.change_time))
    return opening.is_open, said.SerializeToString()


def _write_facility(scene: Scene, record: FacilityRecord, meters: float | None, opening: bytes) -> bytes:
    unassured = _UNASSURED if record.assured_seconds < scene.assured_since else b""
    distance = b"" if meters is None else _DISTANCE_HEAD + _DISTANCE.pack(meters)
    return record.contact + unassured + distance + opening


def _write_hotline(scene: Scene, hotline: HotlineRecord) -> bytes:
    return hotline.contact if hotline.assured_seconds >= scene.assured_since else hotline.contact + _UNASSURED


def _describe_areas(scene: Scene, areas: Sequence[Area]) -> bytes:
    """The areas and who answers there: the same fields of a ResolveLocationResponse and of its Neighbor."""

    def describe() -> bytes:
        said = pb.ResolveLocationResponse(areas=areas)
        for each in scene.directory.find_responsible(areas):
            said.responsibilities.append(_write_responsible(scene, each, areas[0].emergency_number))
        return said.SerializeToString()

    # An assurance runs out at a day's end at the latest.
    return _remember(scene, ("areas", areas[0].name, scene.now.date()), describe)


def _write_responsible(scene: Scene, responsible: Responsible, emergency_number: str) -> pb.ResolveLocationResponse.Responsibility:
    said = pb.ResolveLocationResponse.Responsibility(
        category=responsible.category, number=emergency_number, area=responsible.area, by_default=responsible.by_default
    )
    if responsible.agency:
        said.agency.CopyFrom(responsible.agency)
        show_assurance(said.agency, scene.assured_since)
        said.number = next((each.number for each in responsible.agency.numbers if each.use == PhoneNumber.CALL), emergency_number)
    return said


def _write_neighbor(scene: Scene, neighbor: Neighbor) -> bytes:
    distance = pb.ResolveLocationResponse.Neighbor(distance_meters=round(neighbor.meters, 1))
    return _describe_areas(scene, neighbor.areas) + distance.SerializeToString()


def _choose_facilities(directory: Directory, area: Area) -> Iterable[FacilityRecord]:
    """Each once, in the order of the categories and then of the distance."""
    chosen: dict[str, FacilityRecord] = {}
    for category in Category.values()[1:]:
        near = islice(directory.facilities.walk_near(area.point.latitude, area.point.longitude, _BUNDLE_METERS, [category]), _MAX_LOOKED_AT)
        served = directory.facilities.find_without_place([area.name], frozenset([category]))
        within = (record for record in chain(served, (record for _, record in near)) if _has_number_within(record.facility, area.name))
        chosen |= {record.facility.name: record for record in islice(within, _BUNDLED)}
    return chosen.values()


def _has_number_within(facility: Facility, area: str) -> bool:
    return bool(facility.numbers) and (facility.area == area or facility.area.startswith(f"{area}."))


def _remember(scene: Scene, key: object, write: Callable[[], bytes]) -> bytes:
    """What was written for this directory before."""
    answers = scene.directory.answers
    known = answers.get(key)
    if known is None:
        if len(answers) >= _MAX_KEPT_ANSWERS:
            answers.clear()
        known = answers[key] = write()
    return known
