"""The watch of the directory: what there is, then every edition once, when it can be had; no log behind it, so none is missed."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from contract.entries import KINDS, Entries
from contract.rpcs import Services, read_until_caught_up
from security.tokens import Signer

WATCH = "directory.WatchDirectory"
AGENCY, FACILITY = KINDS["Agency"], KINDS["Facility"]


@pytest.fixture(scope="module")
def entries(services: Services, admin: str) -> Entries:
    return Entries(services, admin)


@contextmanager
def watch(services: Services, cursor: str = "now") -> Generator[Any]:
    """A watch that has caught up."""
    with services.watch(WATCH, {"cursor": cursor}) as stream:
        read_until_caught_up(stream)
        yield stream


def next_event(stream: Any) -> Any:
    return next(message for message in stream if message.HasField("event"))


def snapshot_etag(services: Services) -> str:
    return services.call("directory.GetSnapshot").message.etag


def test_it_begins_with_what_there_is_and_says_when_that_is_complete(services: Services) -> None:
    opened, end = services.call(WATCH).messages
    assert (opened.event.type, opened.event.HasField("create_time"), end.WhichOneof("content")) == ("DirectoryOpen", False, "snapshot_end")
    directory = opened.event.directory
    assert directory.etag == snapshot_etag(services)
    assert directory.facilities_etag
    assert directory.areas == len(services.call("directory.GetSnapshot").message.snapshot.areas)
    assert directory.facilities == services.call("directory.ListFacilities", {"pageSize": 1}).message.total_size
    assert not directory.stale
    assert directory.HasField("load_time")
    assert opened.cursor
    assert end.cursor


def test_a_change_is_told_once_and_can_be_had_at_that_moment(services: Services, entries: Entries) -> None:
    name = entries.make(AGENCY).name
    with watch(services) as stream:
        for text in ("one", "two", "three"):
            before = snapshot_etag(services)
            entries.update(AGENCY, name, {"displayName": text}).require_ok()
            told = next_event(stream)
            answered = services.call("directory.GetSnapshot", {"etag": before}).message
            assert told.event.type == "DirectoryChanged"
            assert told.event.HasField("create_time")
            assert told.event.directory.etag == answered.etag != before
            assert [each.display_name for each in answered.snapshot.agencies if each.name == name] == [text]


def test_a_facility_changes_the_etag_of_the_facilities_alone(services: Services, entries: Entries) -> None:
    before = services.call(WATCH).messages[0].event.directory
    with watch(services) as stream:
        entries.make(FACILITY)
        after = next_event(stream).event.directory
    assert (after.etag, after.areas) == (before.etag, before.areas)
    assert after.facilities_etag != before.facilities_etag
    assert after.facilities == before.facilities + 1


def test_every_kind_of_change_is_told(services: Services, entries: Entries) -> None:
    told: list[tuple[str, str]] = []
    with watch(services) as stream:

        def ask(rpc: str, content: dict[str, Any]) -> None:
            entries.ask(rpc, content).require_ok()
            directory = next_event(stream).event.directory
            told.append((directory.etag, directory.facilities_etag))

        for kind in KINDS.values():
            name = entries.make(kind).name
            told.append((next_event(stream).event.directory.etag, ""))
            ask(f"Update{kind.name}", {kind.word: {"name": name, "displayName": "Renamed"}})
            ask(f"Delete{kind.name}", {"name": name})
        ask("SetCoverage", {"coverage": {"area": "areas/31.71", "category": "FIRE", "agency": "agencies/jakarta-112"}})
        ask("RemoveCoverage", {"area": "areas/31.71", "category": "FIRE"})
    assert len(told) == 3 * len(KINDS) + 2
    assert all(one != other for one, other in pairwise(told))


def test_an_update_that_changes_nothing_is_not_told(services: Services, entries: Entries) -> None:
    made = entries.make(AGENCY)
    with watch(services) as stream:
        entries.update(AGENCY, made.name, AGENCY.whole, "*").require_ok()
        entries.update(AGENCY, made.name, {"displayName": "Renamed"}).require_ok()
        assert next_event(stream).event.directory.etag == snapshot_etag(services)


def test_it_resumes_where_its_reader_was(services: Services, entries: Entries) -> None:
    name = entries.make(AGENCY).name
    cursor = services.call(WATCH).messages[-1].cursor
    with watch(services, cursor) as stream:
        # Nothing is told until the directory is another.
        entries.update(AGENCY, name, {"displayName": "one"}).require_ok()
        told = next_event(stream)
        assert told.event.directory.etag == snapshot_etag(services)
    for text in ("two", "three"):
        entries.update(AGENCY, name, {"displayName": text}).require_ok()
    # What was missed is told as one, from whichever cursor.
    for missed in (cursor, told.cursor):
        with watch(services, missed) as stream:
            again = next_event(stream)
            assert again.event.type == "DirectoryChanged"
            assert again.event.directory.etag == snapshot_etag(services)
            entries.update(AGENCY, name, {"displayName": f"after {missed}"[:50]}).require_ok()
            assert next_event(stream).event.directory.etag == snapshot_etag(services)


def test_now_begins_with_the_present(services: Services, entries: Entries) -> None:
    with services.watch(WATCH, {"cursor": "now"}) as stream:
        # It is told at once from where on it watches.
        assert next(stream).WhichOneof("content") == "heartbeat"
        entries.make(AGENCY)
        assert next_event(stream).event.type == "DirectoryChanged"


@pytest.mark.parametrize(
    "spoil",
    [lambda cursor: cursor[1:], lambda cursor: cursor + "A", lambda _: "x", lambda _: "NOW", lambda _: "-1", lambda _: "ж"],
)
def test_a_garbled_cursor_is_refused(services: Services, spoil: Callable[[str], str]) -> None:
    cursor = services.call(WATCH).messages[-1].cursor
    assert services.call(WATCH, {"cursor": spoil(cursor)}).said == "INVALID_ARGUMENT INVALID_CURSOR"


def test_a_cursor_of_another_watch_is_refused(services: Services, dispatcher: str) -> None:
    cursor = services.call("alerts.WatchAlerts", token=dispatcher).messages[-1].cursor
    assert services.call(WATCH, {"cursor": cursor}).said == "INVALID_ARGUMENT INVALID_CURSOR"
    own = services.call(WATCH).messages[-1].cursor
    assert services.call("alerts.WatchAlerts", {"cursor": own}, token=dispatcher).said == "INVALID_ARGUMENT INVALID_CURSOR"


def test_it_ends_with_its_token(services: Services, signer: Signer) -> None:
    token = signer.sign("contract-passing-by", exp=int(time.time()) + 2)
    with services.watch(WATCH, {}, token=token) as stream:
        last = list(stream)[-1]
    assert last.end.reason == last.end.TOKEN_EXPIRED
