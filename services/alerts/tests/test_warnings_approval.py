"""Four eyes: what reaches a whole city or further is sent when a second person of the agency has approved it."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import asyncpg
import grpc
import pytest
from people import ROOM, new_id, read_refusal, refusal_of, run_service
from warned import CITY, EAST, FAR, PROVINCE, WEST, Reader, Readers, in_hours, info, square, state, texts

from alerts.model.warnings import Author, PublicWarning
from alerts.settings import Settings
from chassis.testing import Issuer
from siaga.alerts.v1 import warning_pb2

CITY_WIDE = info(area={"areas": [CITY]})
SAME_PERSON = ("PERMISSION_DENIED", "SECOND_PERSON_REQUIRED")
NOT_PENDING = ("FAILED_PRECONDITION", "NOT_PENDING")
ROUNDS, SUPERVISORS = 10, 8


async def approve(reader: Reader, warning: warning_pb2.Warning) -> warning_pb2.Warning:
    return await reader("ApproveWarning", name=warning.name, etag=warning.etag)


async def log_of(settings: Settings, name: str) -> list[tuple[str, str]]:
    """What the event log has of it, and who did it; read past the service, which alone may open a SQLite file to write."""
    url = settings.database_url.get_secret_value()
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            return file.execute("SELECT type, actor FROM events WHERE resource = ? ORDER BY id", [name]).fetchall()
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return [tuple(row) for row in await connection.fetch("SELECT type, actor FROM events WHERE resource = $1 ORDER BY id", name)]
    finally:
        await connection.close()


class TestAWideWarning:
    @pytest.mark.parametrize("area", [{"areas": [CITY]}, {"areas": [PROVINCE]}, {"polygons": [square(106.805, -6.2, 106.825, -6.19)]}])
    async def test_it_awaits_a_second_person_and_nobody_else_knows_of_it(self, readers: Readers, area: dict[str, Any]) -> None:
        watching = await readers.nobody.watch(cursor="now").begin()
        pending = await readers.sari.issue(info=info(area=area))
        assert (state(pending), pending.author, pending.HasField("message")) == ("PENDING", "sari", False)
        for reader in (readers.nobody, readers.dewi, readers.citra):
            assert (await refusal_of(reader("GetWarning", name=pending.name)))[:2] == ("NOT_FOUND", "WARNING_NOT_FOUND")
            assert await reader.list_names(state=["PENDING", "ISSUED", "EXPIRED", "CANCELLED"]) == []
        for reader in (readers.sari, readers.tono, readers.machine, readers.rina):
            assert await reader.list_names(state=["PENDING"]) == [pending.name]
            assert await reader("GetWarning", name=pending.name) == pending
            assert await reader.list_names() == []
        issued = await approve(readers.tono, pending)
        assert (state(issued), issued.author, issued.approver, issued.message.number) == ("ISSUED", "sari", "tono", 1)
        assert await watching.read() == ("WarningIssued", pending.name)
        assert (await readers.nobody("GetWarning", name=pending.name)).approver == ""

    async def test_its_author_is_no_second_person(self, readers: Readers) -> None:
        pending = await readers.sari.issue(info=CITY_WIDE)
        assert (await refusal_of(approve(readers.sari, pending)))[:2] == SAME_PERSON
        # Nor is the same account with another token, or under another role as well.
        again = readers.sign_in("sari", "supervisor", "agency", "dispatcher", agency=ROOM)
        assert (await refusal_of(approve(again, pending)))[:2] == SAME_PERSON
        assert state(await readers.sari("GetWarning", name=pending.name)) == "PENDING"

    async def test_a_system_is_one_person_and_so_is_whom_it_names(self, readers: Readers) -> None:
        pending = await readers.machine.issue(info=CITY_WIDE, operator="sari")
        assert (await refusal_of(approve(readers.sari, pending)))[:2] == SAME_PERSON
        assert (await refusal_of(approve(readers.machine, pending)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        assert state(await approve(readers.tono, pending)) == "ISSUED"

    async def test_only_a_supervisor_of_the_agency_approves(self, readers: Readers) -> None:
        pending = await readers.sari.issue(info=CITY_WIDE)
        assert (await refusal_of(approve(readers.rina, pending)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        assert (await refusal_of(approve(readers.citra, pending)))[:2] == ("NOT_FOUND", "WARNING_NOT_FOUND")

    async def test_what_is_approved_is_what_was_read(self, readers: Readers) -> None:
        pending = await readers.sari.issue(info=CITY_WIDE)
        changed = await readers.sari("UpdateWarning", warning={"name": pending.name, "info": {"indonesian": texts("Tsunami")}})
        assert (await refusal_of(approve(readers.tono, pending)))[:2] == ("ABORTED", "WARNING_CHANGED")
        refused = await refusal_of(readers.tono("ApproveWarning", name=pending.name))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["etag"])
        assert (await approve(readers.tono, changed)).info.indonesian.event == "Tsunami"

    async def test_whoever_changes_it_is_its_author_from_then_on(self, readers: Readers) -> None:
        pending = await readers.sari.issue(info=CITY_WIDE)
        changed = await readers.tono("UpdateWarning", warning={"name": pending.name, "info": {"contact": "112"}})
        assert (state(changed), changed.author) == ("PENDING", "tono")
        assert (await refusal_of(approve(readers.tono, changed)))[:2] == SAME_PERSON
        assert state(await approve(readers.sari, changed)) == "ISSUED"

    async def test_made_smaller_it_is_sent_at_once(self, readers: Readers) -> None:
        pending = await readers.sari.issue(info=CITY_WIDE)
        sent = await readers.sari("UpdateWarning", warning={"name": pending.name, "info": {"area": {"areas": [WEST]}}})
        assert (state(sent), sent.message.number, sent.message.type) == ("ISSUED", 1, sent.message.ALERT)
        assert await readers.nobody.list_names(area=EAST) == []

    async def test_cancelled_before_it_is_never_sent(self, readers: Readers) -> None:
        pending = await readers.sari.issue(info=CITY_WIDE)
        cancelled = await readers.sari("CancelWarning", name=pending.name)
        assert (state(cancelled), cancelled.HasField("message")) == ("CANCELLED", False)
        assert (await refusal_of(readers.nobody("GetWarning", name=pending.name)))[:2] == ("NOT_FOUND", "WARNING_NOT_FOUND")
        assert (await refusal_of(approve(readers.tono, cancelled)))[:2] == ("FAILED_PRECONDITION", "WARNING_CLOSED")
        assert await readers.nobody.list_names(state=["CANCELLED"]) == []
        assert await readers.tono.list_names(state=["CANCELLED"]) == []
        assert await readers.tono.list_names(state=["PENDING", "CANCELLED"]) == [pending.name]

    async def test_a_repeated_approval_sends_no_second_message(self, readers: Readers) -> None:
        pending = await readers.sari.issue(info=CITY_WIDE)
        request = {"requestId": new_id(), "name": pending.name, "etag": pending.etag}
        first = await readers.tono("ApproveWarning", **request)
        assert [await readers.tono("ApproveWarning", **request) for _ in range(3)] == [first] * 3
        assert (await refusal_of(approve(readers.tono, first)))[:2] == NOT_PENDING

    async def test_without_a_directory_everything_is_wide(self, settings: Settings, issuer: Issuer) -> None:
        async with run_service(settings) as channel:
            readers = Readers(channel, issuer)
            pending = await readers.sari.issue()
            assert (state(pending), pending.time_zone) == ("PENDING", "UTC")
            assert state(await approve(readers.tono, pending)) == "ISSUED"


class TestAWideUpdate:
    async def test_the_warning_stays_as_it_is_until_it_is_approved(self, readers: Readers) -> None:
        first = await readers.sari.issue()
        watching = await readers.nobody.watch(cursor="now").begin()
        before = await readers.nobody("GetWarning", name=first.name)
        changes = {"area": {"areas": [CITY]}, "indonesian": texts("Tsunami")}
        proposed = await readers.sari("UpdateWarning", warning={"name": first.name, "info": changes})
        assert (state(proposed), proposed.message.number, proposed.info) == ("ISSUED", 1, first.info)
        assert (proposed.proposed_info.indonesian.event, proposed.proposed_info.severity) == ("Tsunami", first.info.severity)
        # To everybody else nothing has happened.
        assert await readers.nobody("GetWarning", name=first.name) == before
        assert await readers.nobody.list_names(area=FAR) == []
        assert (await refusal_of(approve(readers.sari, proposed)))[:2] == SAME_PERSON
        sent = await approve(readers.tono, proposed)
        assert (state(sent), sent.message.number, sent.info, sent.HasField("proposed_info")) == (
            "UPDATED",
            2,
            proposed.proposed_info,
            False,
        )
        assert (sent.author, sent.approver) == ("sari", "tono")
        assert await readers.nobody.list_names(area=FAR) == [first.name]
        assert await watching.read() == ("WarningUpdated", first.name)

    async def test_a_later_update_takes_its_place_and_is_of_what_is_in_force(self, readers: Readers) -> None:
        first = await readers.sari.issue()
        wide = {"area": {"areas": [CITY]}}
        await readers.sari("UpdateWarning", warning={"name": first.name, "info": {**wide, "contact": "1"}})
        again = await readers.tono("UpdateWarning", warning={"name": first.name, "info": {**wide, "web": "https://siaga.example"}})
        assert (again.author, again.proposed_info.contact, again.proposed_info.web) == ("tono", "", "https://siaga.example")
        small = await readers.tono("UpdateWarning", warning={"name": first.name, "info": {"contact": "2"}})
        assert (state(small), small.message.number, small.HasField("proposed_info")) == ("UPDATED", 2, False)
        assert (await refusal_of(approve(readers.sari, small)))[:2] == NOT_PENDING

    async def test_it_is_withdrawn_by_one_person(self, readers: Readers) -> None:
        first = await readers.sari.issue()
        assert (await refusal_of(readers.sari("CancelWarning", name=first.name, updateOnly=True)))[:2] == NOT_PENDING
        await readers.sari("UpdateWarning", warning={"name": first.name, "info": {"area": {"areas": [CITY]}}})
        left = await readers.tono("CancelWarning", name=first.name, updateOnly=True)
        assert (state(left), left.message.number, left.HasField("proposed_info"), left.info) == ("ISSUED", 1, False, first.info)

    async def test_a_cancellation_needs_one_person_and_ends_both(self, readers: Readers, settings: Settings) -> None:
        first = await readers.sari.issue(info=CITY_WIDE)
        issued = await approve(readers.tono, first)
        await readers.sari("UpdateWarning", warning={"name": issued.name, "info": {"contact": "112"}})
        ended = await readers.sari("CancelWarning", name=issued.name)
        assert (state(ended), ended.message.number, ended.HasField("proposed_info")) == ("CANCELLED", 2, False)
        assert await log_of(settings, issued.name) == [
            ("WarningProposed", "sari"),
            ("WarningIssued", "tono"),
            ("WarningProposed", "sari"),
            ("WarningCancelled", "sari"),
        ]

    async def test_its_time_may_have_passed_before_it_is_approved(self, readers: Readers) -> None:
        first = await readers.sari.issue()
        changes = {"area": {"areas": [CITY]}, "expireTime": in_hours(1.2 / 3600)}
        proposed = await readers.sari("UpdateWarning", warning={"name": first.name, "info": changes})
        short = await readers.sari.issue(info=info(expireTime=in_hours(2.5 / 3600)))
        watching = await readers.nobody.watch(cursor="now").begin()
        # The short warning's end is later than the update's.
        assert await watching.read() == ("WarningExpired", short.name)
        assert (await refusal_of(approve(readers.tono, proposed)))[:2] == ("FAILED_PRECONDITION", "WARNING_CLOSED")
        assert state(await readers.nobody("GetWarning", name=first.name)) == "ISSUED"


async def test_of_many_who_approve_at_once_one_does_and_it_is_sent_once(readers: Readers, settings: Settings) -> None:
    room = [readers.sign_in(f"supervisor-{number}", "supervisor", agency=ROOM) for number in range(SUPERVISORS)]
    for _ in range(ROUNDS):
        pending = await readers.sari.issue(info=CITY_WIDE)

        async def take(reader: Reader, pending: warning_pb2.Warning = pending) -> str:
            try:
                return (await approve(reader, pending)).approver
            except grpc.aio.AioRpcError as error:
                return read_refusal(error).reason

        answers = await asyncio.gather(*map(take, (readers.sari, *room)))
        winners = [each for each in answers if each.startswith("supervisor-")]
        assert len(winners) == 1
        assert set(answers) <= {*winners, "NOT_PENDING", "SECOND_PERSON_REQUIRED"}
        assert await log_of(settings, pending.name) == [("WarningProposed", "sari"), ("WarningIssued", winners[0])]


async def test_an_author_who_changes_it_while_another_approves_never_has_their_change_sent_unseen(readers: Readers) -> None:
    for number in range(ROUNDS):
        pending = await readers.sari.issue(info=CITY_WIDE)
        change = {"name": pending.name, "info": {"contact": f"unseen {number}"}}
        await asyncio.gather(approve(readers.tono, pending), readers.sari("UpdateWarning", warning=change), return_exceptions=True)
        assert (
            "unseen" not in (await readers.sari("GetWarning", name=pending.name)).info.contact
            or state(await readers.sari("GetWarning", name=pending.name)) == "PENDING"
        )


async def test_the_rule_is_what_keeps_an_author_from_approving(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: an author whom the rule does not know as the same person sends a city-wide warning alone."""
    monkeypatch.setattr(Author, "may_be", lambda *_: False)
    pending = await readers.sari.issue(info=CITY_WIDE)
    assert state(await approve(readers.sari, pending)) == "ISSUED"


async def test_the_etag_is_what_keeps_an_unseen_change_from_being_approved(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: a warning whose version never changes is approved unread."""
    monkeypatch.setattr(PublicWarning, "etag", property(lambda _: '"1"'))
    pending = await readers.sari.issue(info=CITY_WIDE)
    await readers.sari("UpdateWarning", warning={"name": pending.name, "info": {"contact": "unseen"}})
    assert (await approve(readers.tono, pending)).info.contact == "unseen"


def test_an_account_and_whom_it_names_are_the_same_person() -> None:
    assert Author("system", "wati").may_be("wati") and Author("system", "wati").may_be("system")
    assert not Author("system", "wati").may_be("sari")
