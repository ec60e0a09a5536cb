"""How what the database holds comes into memory: all of it, or what has changed since."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy.orm import Session

from directory import store
from directory.memory.areas import AreaRecord, read_areas
from directory.memory.directory import Directory, make_directory
from directory.memory.facilities import FacilityRecord, read_facilities
from directory.model import Agency, Area, Contents, Facility, Hotline
from directory.operations import history
from directory.wire import Writer, to_coverage


class News(NamedTuple):
    """What is to be loaded: the entries of these names, or everything where `names` is None; and where the log stands."""

    edition: str
    position: int
    contents: Contents
    names: frozenset[str] | None


def find_news(session: Session, edition: str, position: int, limit: int) -> News:
    """For a reader who saw `edition` when the log stood at `position`; where more than `limit` entries changed, everything."""
    since = history.find_changes_since(session, edition, position, limit)
    if since.names is None:
        return News(since.edition, since.position, store.read_contents(session), None)
    contents = Contents(
        store.find_entries(session, Area, _of("areas", since.names)),
        store.find_entries(session, Agency, _of("agencies", since.names)),
        store.find_entries(session, Hotline, _of("hotlines", since.names)),
        store.read_coverage(session),
        store.find_entries(session, Facility, _of("facilities", since.names)),
    )
    return News(since.edition, since.position, contents, since.names)


def load_directory(news: News, former: Directory, writer: Writer) -> Directory:
    """The directory with the news; with the etags that whoever asks next would wait for."""
    whole = news.names is None
    directory = make_directory_of(news.contents, writer) if whole else _take_in(news.contents, news.names or frozenset(), former, writer)
    _ = directory.etag, directory.facilities_etag
    return directory


def make_directory_of(contents: Contents, writer: Writer) -> Directory:
    return make_directory(
        _write_areas(contents, writer),
        map(writer.to_agency, contents.agencies),
        map(writer.to_hotline, contents.hotlines),
        map(to_coverage, contents.coverage),
        _write_facilities(contents, writer),
    )


def _take_in(contents: Contents, names: frozenset[str], former: Directory, writer: Writer) -> Directory:
    agencies = {name: each for name, each in former.agencies.items() if name not in names}
    agencies |= {each.name: writer.to_agency(each) for each in contents.agencies}
    hotlines = {name: each for name, each in former.hotlines.items() if name not in names}
    hotlines |= {each.name: writer.to_hotline(each) for each in contents.hotlines}
    areas: dict[str, AreaRecord] | None = None
    if _of("areas", names):
        areas = {name: each for name, each in former.areas.records.items() if name not in names} | _write_areas(contents, writer)
    facilities: dict[str, FacilityRecord] | None = None
    if _of("facilities", names):
        facilities = {name: each for name, each in former.facilities.records.items() if name not in names}
        facilities |= _write_facilities(contents, writer)
    return former.replace(
        areas=areas,
        agencies=agencies.values(),
        hotlines=hotlines.values(),
        coverage=map(to_coverage, contents.coverage),
        facilities=facilities,
    )


def _of(collection: str, names: Collection[str]) -> Collection[str]:
    return [name for name in names if name.startswith(f"{collection}/")]


def _write_areas(contents: Contents, writer: Writer) -> dict[str, AreaRecord]:
    return read_areas(map(writer.to_area_record, contents.areas))


def _write_facilities(contents: Contents, writer: Writer) -> dict[str, FacilityRecord]:
    return read_facilities(map(writer.to_facility, contents.facilities))
