"""Public warnings from their issue to their end, as agencies and everybody else see them."""

from typing import Any

import pytest
from people import OTHER_ROOM, ROOM, new_id, refusal_of
from warned import (
    ACROSS,
    CITY,
    DISTRICT,
    EAST,
    IN_WEST,
    ISLAND,
    JAYAPURA,
    OTHER_CITY,
    OTHER_DISTRICT,
    PROVINCE,
    WEST,
    Reader,
    Readers,
    circle,
    in_hours,
    info,
    square,
    state,
    texts,
)

from siaga.alerts.v1 import warning_pb2

CLOSED = ("FAILED_PRECONDITION", "WARNING_CLOSED")
# Around the middle of the west village, within it.
SMALL = circle(-6.195, 106.805, 100)


async def age(readers: Readers, name: str, seconds: float) -> None:
    """The warning expires in so many seconds."""
    await readers.sari("UpdateWarning", warning={"name": name, "info": {"expireTime": in_hours(seconds / 3600)}})


class TestAnIssue:
    async def test_everybody_reads_what_was_issued(self, readers: Readers) -> None:
        said = info(
            english=texts("Flood"),
            categories=["MET", "SAFETY"],
            responseTypes=["SHELTER", "MONITOR"],
            area={"areas": [WEST], "polygons": [square(106.801, -6.199, 106.802, -6.198)], "circles": [SMALL]},
            onsetTime=in_hours(0.2),
            effectiveTime=in_hours(0.1),
            contact="112",
            web="https://siaga.example/banjir?x=1&y=2",
        )
        issued = await readers.sari.issue(info=said)
        for reader in (readers.nobody, readers.dewi, readers.citra):
            shown = await reader("GetWarning", name=issued.name)
            assert (state(shown), shown.agency, shown.time_zone) == ("ISSUED", ROOM, "Asia/Jakarta")
            assert shown.info == issued.info
            assert shown.info.area.polygons[0].points[2].latitude == -6.198
            assert shown.info.english.event == "Flood"
            message = shown.message
            assert (message.number, message.type, message.identifier) == (1, message.ALERT, f"{issued.name.removeprefix('warnings/')}.1")
            assert (message.sender, message.sender_name) == ("jakarta-112@siaga.localhost", "Jakarta Siaga 112")
            assert message.sent_time.nanos == shown.info.expire_time.nanos == shown.info.onset_time.nanos == 0
            assert not message.references
            # What the agency alone knows is not there.
            assert (shown.author, shown.approver, shown.HasField("proposed_info")) == ("", "", False)
            assert shown.etag != issued.etag
        assert issued.author == "sari"

    async def test_an_agency_without_a_name_in_the_directory_is_called_as_it_is_identified(self, readers: Readers) -> None:
        message = (await readers.citra.issue(info=info(area={"areas": [ACROSS]}))).message
        assert (message.sender, message.sender_name) == ("bandung-112@siaga.localhost", "bandung-112")

    async def test_times_are_told_by_the_zone_of_the_place(self, readers: Readers) -> None:
        assert (await readers.sari.issue(info=info(area={"areas": [JAYAPURA]}))).time_zone == "Asia/Jayapura"
        by_shape = info(area={"circles": [circle(-2.595, 140.705, 50)]})
        assert (await readers.sari.issue(info=by_shape)).time_zone == "Asia/Jayapura"

    @pytest.mark.parametrize("who", ["nobody", "dewi", "rina"])
    async def test_nobody_else_may(self, readers: Readers, who: str) -> None:
        reader: Reader = getattr(readers, who)
        code = "UNAUTHENTICATED" if who == "nobody" else "PERMISSION_DENIED"
        assert (await refusal_of(reader.issue())).code == code
        name = (await readers.sari.issue()).name
        for rpc, fields in (
            ("UpdateWarning", {"warning": {"name": name, "info": {"contact": "x"}}}),
            ("CancelWarning", {"name": name}),
            ("ApproveWarning", {"name": name, "etag": "x"}),
        ):
            assert (await refusal_of(reader(rpc, **fields))).code == code

    async def test_a_system_says_who_acts(self, readers: Readers) -> None:
        refused = await refusal_of(readers.machine.issue())
        assert (refused[:2], refused.fields) == (("INVALID_ARGUMENT", "OPERATOR_REQUIRED"), ["operator"])
        issued = await readers.machine.issue(operator="Ibu Wati")
        assert (state(issued), issued.author) == ("ISSUED", "Ibu Wati")

    async def test_an_agency_of_another_form_is_none(self, readers: Readers) -> None:
        stranger = readers.sign_in("x", "supervisor", agency="agencies/a b,c&<d>")
        assert (await refusal_of(stranger.issue()))[:2] == ("NOT_FOUND", "AGENCY_NOT_FOUND")

    async def test_a_repetition_is_the_same_warning_and_another_body_is_refused(self, readers: Readers) -> None:
        request = {"requestId": new_id(), "status": "ACTUAL", "info": info()}
        first = await readers.sari("IssueWarning", **request)
        assert await readers.sari("IssueWarning", **request) == first
        assert await readers.nobody.list_names() == [first.name]
        other = await refusal_of(readers.sari("IssueWarning", **request | {"status": "EXERCISE"}))
        assert other[:2] == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
        # Somebody else's id is their own.
        assert (await readers.tono("IssueWarning", **request)).name != first.name

    @pytest.mark.parametrize("missing", ["categories", "urgency", "severity", "certainty", "indonesian", "area", "expireTime"])
    async def test_what_cap_requires_is_required(self, readers: Readers, missing: str) -> None:
        said = info()
        del said[missing]
        refused = await refusal_of(readers.sari.issue(info=said))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", [f"info.{missing}"])

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"expireTime": "2020-01-01T00:00:00Z"}, "info.expireTime"),
            ({"expireTime": in_hours(30 * 24 + 1)}, "info.expireTime"),
            *(({each: in_hours(24)}, "info.expireTime") for each in ("onsetTime", "effectiveTime")),
            # Of a machine that knows none.
            *(({each: "0001-01-01T00:00:00Z"}, f"info.{each}") for each in ("onsetTime", "effectiveTime")),
            ({"area": {}}, "info.area"),
            ({"area": {"polygons": [{"points": [IN_WEST, IN_WEST]}]}}, "info.area.polygons[0].points"),
            ({"area": {"areas": [f"areas/{number}" for number in range(101)]}}, "info.area.areas"),
            ({"area": {"circles": [SMALL] * 11}}, "info.area.circles"),
            ({"area": {"circles": [circle(-6, 106, 0)]}}, "info.area.circles[0].radiusMeters"),
            ({"area": {"circles": [circle(-6, 106, 1_000_001)]}}, "info.area.circles[0].radiusMeters"),
            *(({"indonesian": texts() | {"headline": each}}, "info.indonesian.headline") for each in ("x" * 161, "two\nlines", " ")),
            *(({"indonesian": texts() | {"instruction": each}}, "info.indonesian.instruction") for each in ("", "\n", "\u3000")),
            ({"indonesian": texts() | {"description": "a bell \x07"}}, "info.indonesian.description"),
            ({"english": texts() | {"event": "no character: \ufffe"}}, "info.english.event"),
            ({"english": {"event": "Flood"}}, "info.english.headline"),
            *(({"contact": each}, "info.contact") for each in ("call\nme", " ")),
            ({"web": "javascript:alert(1)"}, "info.web"),
            ({"web": "https://"}, "info.web"),
            # No URI by RFC 3986, and so none by CAP's schema.
            *(
                ({"web": f"https://{rest}"}, "info.web")
                for rest in ("a/?q=100%", "a/[x]", "a#b#c", "a:b", "a:99999999999", "me@a/", "a/ b", "a/é")
            ),
            ({"categories": ["MET", "MET"]}, "info.categories"),
        ],
    )
    async def test_what_no_reader_could_use_is_refused(self, readers: Readers, wrong: dict[str, Any], field: str) -> None:
        refused = await refusal_of(readers.sari.issue(info=info(**wrong)))
        assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_REQUEST")
        assert field in refused.fields

    async def test_an_area_that_the_directory_does_not_have_is_named(self, readers: Readers) -> None:
        refused = await refusal_of(readers.sari.issue(info=info(area={"areas": [WEST, "areas/99"]})))
        assert (refused[:2], refused.metadata) == (("NOT_FOUND", "AREA_NOT_FOUND"), {"area": "areas/99"})


class TestAnUpdate:
    async def test_it_takes_the_place_of_what_was_said_and_names_it(self, readers: Readers) -> None:
        first = await readers.sari.issue(info=info(web="https://siaga.example"))
        changed = {"indonesian": texts("Banjir besar"), "severity": "EXTREME"}
        second = await readers.tono("UpdateWarning", warning={"name": first.name, "etag": first.etag, "info": changed})
        assert (state(second), second.author, second.info.indonesian.event) == ("UPDATED", "tono", "Banjir besar")
        # What the update does not name stays.
        assert (second.info.web, second.info.area, second.info.expire_time) == (
            "https://siaga.example",
            first.info.area,
            first.info.expire_time,
        )
        third = await readers.sari("UpdateWarning", warning={"name": first.name, "info": {"contact": "112"}})
        assert (third.message.number, third.message.type) == (3, third.message.UPDATE)
        named = [(each.sender, each.identifier, each.sent_time) for each in third.message.references]
        assert named == [(each.message.sender, each.message.identifier, each.message.sent_time) for each in (first, second)]
        # By the zone of each one's own place.
        moved = {"name": first.name, "info": {"area": {"areas": [JAYAPURA]}}}
        fourth = await readers.sari("UpdateWarning", warning=moved)
        fifth = await readers.sari("UpdateWarning", warning={"name": first.name, "info": {"contact": "113"}})
        assert fourth.time_zone == fifth.time_zone == "Asia/Jayapura"
        assert [each.time_zone for each in fifth.message.references] == ["Asia/Jakarta"] * 3 + ["Asia/Jayapura"]
        # Each message can be read as it was.
        for number, sent in enumerate((first, second, third, fourth, fifth), 1):
            kept = await readers.nobody("GetWarning", name=first.name, message=number)
            assert (kept.info, kept.message) == (sent.info, sent.message)
            assert state(kept) == "UPDATED"
        for number in (6, 2**31 - 1):
            assert (await refusal_of(readers.nobody("GetWarning", name=first.name, message=number))).reason == "WARNING_NOT_FOUND"

    async def test_a_mask_says_what_changes(self, readers: Readers) -> None:
        first = await readers.sari.issue(info=info(contact="112", web="https://siaga.example"))
        new = {"name": first.name, "info": {"contact": "113"}}
        second = await readers.sari("UpdateWarning", warning=new, updateMask="info.web,info.contact")
        assert (second.info.contact, second.info.web) == ("113", "")
        whole = {"name": first.name, "info": info(severity="MINOR")}
        third = await readers.sari("UpdateWarning", warning=whole, updateMask="info")
        assert (third.info.contact, third.info.severity) == ("", third.info.MINOR)

    @pytest.mark.parametrize(
        ("mask", "fields"),
        [
            ("status", ["updateMask"]),
            ("info.nothing", ["updateMask"]),
            ("info.urgency,info.area", ["warning.info.urgency", "warning.info.area"]),
            ("*", ["warning.info.categories"]),
        ],
    )
    async def test_nothing_required_goes(self, readers: Readers, mask: str, fields: list[str]) -> None:
        first = await readers.sari.issue()
        refused = await refusal_of(readers.sari("UpdateWarning", warning={"name": first.name, "info": {"contact": "x"}}, updateMask=mask))
        assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_REQUEST")
        assert set(fields) <= set(refused.fields)

    async def test_the_times_of_the_whole_count(self, readers: Readers) -> None:
        first = await readers.sari.issue(info=info(onsetTime=in_hours(0.5)))
        refused = await refusal_of(readers.sari("UpdateWarning", warning={"name": first.name, "info": {"expireTime": in_hours(0.4)}}))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["warning.info.expireTime"])

    async def test_a_stale_etag_is_refused_and_changes_nothing(self, readers: Readers) -> None:
        first = await readers.sari.issue()
        await readers.sari("UpdateWarning", warning={"name": first.name, "info": {"contact": "1"}})
        for rpc, fields in (
            ("UpdateWarning", {"warning": {"name": first.name, "etag": first.etag, "info": {"contact": "2"}}}),
            ("CancelWarning", {"name": first.name, "etag": first.etag}),
        ):
            assert (await refusal_of(readers.tono(rpc, **fields)))[:2] == ("ABORTED", "WARNING_CHANGED")
        assert (await readers.sari("GetWarning", name=first.name)).info.contact == "1"

    async def test_a_repetition_sends_no_second_message(self, readers: Readers) -> None:
        first = await readers.sari.issue()
        request = {"requestId": new_id(), "warning": {"name": first.name, "info": {"contact": "1"}}}
        assert [(await readers.sari("UpdateWarning", **request)).message.number for _ in range(3)] == [2, 2, 2]

    async def test_another_agency_may_not(self, readers: Readers) -> None:
        name = (await readers.sari.issue()).name
        for rpc, fields in (
            ("UpdateWarning", {"warning": {"name": name, "info": {"contact": "x"}}}),
            ("CancelWarning", {"name": name}),
            ("ApproveWarning", {"name": name, "etag": "x"}),
        ):
            assert (await refusal_of(readers.citra(rpc, **fields)))[:2] == ("PERMISSION_DENIED", "NOT_ISSUER")
            absent = {**fields, "name": f"warnings/{new_id()}"} if "name" in fields else {"warning": {"name": f"warnings/{new_id()}"}}
            assert (await refusal_of(readers.citra(rpc, **absent)))[:2] == ("NOT_FOUND", "WARNING_NOT_FOUND")


class TestTheEnd:
    async def test_a_cancelled_warning_is_a_message_of_its_own_and_takes_no_more(self, readers: Readers) -> None:
        first = await readers.sari.issue()
        ended = await readers.tono("CancelWarning", name=first.name, note="Air surut.")
        assert (state(ended), ended.message.type, ended.message.note) == ("CANCELLED", ended.message.CANCEL, "Air surut.")
        assert [each.identifier for each in ended.message.references] == [first.message.identifier]
        assert ended.info == first.info
        # Once more changes nothing.
        assert await readers.sari("CancelWarning", name=first.name) == ended
        refused = await refusal_of(readers.sari("UpdateWarning", warning={"name": first.name, "info": {"contact": "x"}}))
        assert refused[:2] == CLOSED
        assert await readers.nobody.list_names() == []
        assert await readers.nobody.list_names(state=["CANCELLED"]) == [first.name]

    async def test_a_note_is_one_line(self, readers: Readers) -> None:
        name = (await readers.sari.issue()).name
        refused = await refusal_of(readers.sari("CancelWarning", name=name, note="a\nb"))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["note"])

    async def test_an_expired_warning_is_history(self, readers: Readers) -> None:
        name = (await readers.sari.issue()).name
        await age(readers, name, 1.2)
        watching = await readers.nobody.watch(cursor="now").begin()
        assert await watching.read() == ("WarningExpired", name)
        assert await watching.read() == ("left", name)
        assert state(await readers.nobody("GetWarning", name=name)) == "EXPIRED"
        assert await readers.nobody.list_names() == []
        assert await readers.nobody.list_names(state=["ISSUED", "UPDATED", "PENDING", "CANCELLED"]) == []
        assert await readers.nobody.list_names(state=["EXPIRED"]) == [name]
        for rpc, fields in (
            ("UpdateWarning", {"warning": {"name": name, "info": {"expireTime": in_hours(1)}}}),
            ("CancelWarning", {"name": name}),
        ):
            assert (await refusal_of(readers.sari(rpc, **fields)))[:2] == CLOSED


class TestAList:
    async def test_the_newest_comes_first_and_pages_hold_everything_once(self, readers: Readers) -> None:
        names = [(await readers.sari.issue()).name for _ in range(5)]
        assert await readers.nobody.list_names() == names[::-1]
        found: list[str] = []
        token = ""
        for _ in range(3):
            page = await readers.nobody("ListWarnings", pageSize=2, pageToken=token)
            found += [each.name for each in page.warnings]
            token = page.next_page_token
        assert (found, token) == (names[::-1], "")

    async def test_exercises_and_tests_are_found_by_those_who_ask_for_them(self, readers: Readers) -> None:
        drill, test = [(await readers.sari.issue(status=status)).name for status in ("EXERCISE", "TEST")]
        assert await readers.nobody.list_names() == []
        assert await readers.nobody.list_names(includeExercises=True) == [test, drill]

    @pytest.mark.parametrize(
        ("area", "found"),
        [
            (WEST, {"village", "shape", "city"}),
            (EAST, {"city"}),
            (DISTRICT, {"village", "shape", "city"}),
            (CITY, {"village", "shape", "city", "far"}),
            (PROVINCE, {"village", "shape", "city", "far", "across", "island"}),
            (OTHER_CITY, {"across"}),
            ("areas/99", set[str]()),
        ],
    )
    async def test_by_area_what_is_around_it_and_within_it_is_found(self, readers: Readers, area: str, found: set[str]) -> None:
        areas = {
            "village": {"areas": [WEST]},
            "shape": {"circles": [SMALL]},
            "city": {"areas": [CITY]},
            "far": {"areas": [OTHER_DISTRICT]},
            "across": {"polygons": [square(106.821, -6.199, 106.829, -6.191)]},
            "island": {"circles": [circle(-5.741, 106.611, 500)]},
        }
        names = {await approve(readers, await readers.sari.issue(info=info(area=area))): label for label, area in areas.items()}
        assert {names[name] for name in await readers.nobody.list_names(area=area)} == found

    @pytest.mark.parametrize(
        ("point", "found"),
        [
            ((-6.195, 106.805), {"village", "circle", "polygon", "city"}),
            ((-6.191, 106.801), {"village", "city"}),
            ((-6.195, 106.815), {"city"}),
            # In the corner of the box around the triangle, and of the other one.
            ((-6.1901, 106.9001), {"city", "triangle"}),
            ((-6.1999, 106.9099), {"city"}),
            # Out at sea.
            ((-5.0, 105.0), {"sea"}),
            ((-4.0, 104.0), set[str]()),
        ],
    )
    async def test_by_point_what_holds_there_is_found(self, readers: Readers, point: tuple[float, float], found: set[str]) -> None:
        triangle = {"points": [{"latitude": y, "longitude": x} for y, x in ((-6.19, 106.90), (-6.20, 106.90), (-6.19, 106.91))]}
        areas = {
            "village": {"areas": [WEST]},
            "circle": {"circles": [SMALL]},
            "polygon": {"polygons": [square(106.804, -6.196, 106.806, -6.194)]},
            "city": {"areas": [CITY]},
            "triangle": {"polygons": [triangle]},
            "sea": {"circles": [circle(-5.0, 105.0, 20_000)]},
            "elsewhere": {"areas": [ACROSS, ISLAND]},
        }
        names = {await approve(readers, await readers.sari.issue(info=info(area=area))): label for label, area in areas.items()}
        there = {"latitude": point[0], "longitude": point[1]}
        assert {names[name] for name in await readers.nobody.list_names(point=there)} == found
        # Whatever the size of a page, the boxes that are larger than their shapes cost nothing.
        page = await readers.nobody("ListWarnings", point=there, pageSize=1)
        paged = [each.name for each in page.warnings]
        while page.next_page_token:
            page = await readers.nobody("ListWarnings", point=there, pageSize=1, pageToken=page.next_page_token)
            paged += [each.name for each in page.warnings]
        assert {names[name] for name in paged} == found

    async def test_filters_hold_together(self, readers: Readers) -> None:
        ours = (await readers.sari.issue()).name
        theirs = (await readers.citra.issue(info=info(area={"areas": [ACROSS]}))).name
        assert await readers.nobody.list_names(agency=ROOM) == [ours]
        assert await readers.nobody.list_names(agency=OTHER_ROOM, area=EAST) == []
        await readers.citra("CancelWarning", name=theirs)
        ended = {"state": ["ISSUED", "CANCELLED", "EXPIRED"]}
        assert await readers.nobody.list_names(**ended, unexpired=True) == [theirs, ours]
        await age(readers, ours, 1.2)
        watching = await readers.nobody.watch(cursor="now").begin()
        assert await watching.read() == ("WarningExpired", ours)
        assert await readers.nobody.list_names(**ended, unexpired=True) == [theirs]
        assert await readers.nobody.list_names(**ended) == [theirs, ours]

    async def test_it_tells_when_anything_changed_for_everybody(self, readers: Readers) -> None:
        assert not (await readers.nobody("ListWarnings")).HasField("update_time")
        first = await readers.sari.issue(info=info(area={"areas": [CITY]}))
        # Nobody else knows of what awaits approval.
        assert not (await readers.nobody("ListWarnings")).HasField("update_time")
        await approve(readers, first)
        second = await readers.sari.issue()
        listed = await readers.nobody("ListWarnings", agency=OTHER_ROOM)
        assert listed.update_time == second.message.sent_time
        await age(readers, second.name, 1.2)
        watching = await readers.nobody.watch(cursor="now").begin()
        assert await watching.read() == ("WarningExpired", second.name)
        expired = await readers.nobody("GetWarning", name=second.name)
        assert (await readers.nobody("ListWarnings")).update_time == expired.info.expire_time

    async def test_a_page_token_of_another_question_is_refused(self, readers: Readers) -> None:
        for _ in range(3):
            await readers.sari.issue()
        token = (await readers.nobody("ListWarnings", pageSize=1)).next_page_token
        for reader, fields in ((readers.nobody, {"area": WEST}), (readers.sari, {})):
            refused = await refusal_of(reader("ListWarnings", pageToken=token, **fields))
            assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")


async def approve(readers: Readers, warning: warning_pb2.Warning) -> str:
    """The warning's name; where it needs a second person, Tono is the one."""
    if state(warning) == "PENDING":
        await readers.tono("ApproveWarning", name=warning.name, etag=warning.etag)
    return warning.name
