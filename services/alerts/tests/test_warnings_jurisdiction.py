"""Where an agency may warn: its own areas and those of the agencies below it, and a little beyond a border that it has."""

from collections.abc import Mapping
from typing import Any

import pytest
from people import OTHER_ROOM, ROOM, refusal_of
from shapely import box
from test_warnings_reach import make_regions, ring
from warned import (
    ACROSS,
    CITY,
    DISTRICT,
    EAST,
    FAR,
    ISLAND,
    ISLANDS,
    JAYAPURA,
    OTHER_CITY,
    PROVINCE,
    SQUARES,
    WEST,
    Readers,
    circle,
    info,
    square,
    state,
)

from alerts.errors import OutsideJurisdiction
from alerts.model.enums import WarningState
from alerts.model.jurisdiction import Covered, Jurisdiction
from alerts.routing import Router

EMERGENCY, POLICE_MATTERS, FIRES = 1, 2, 3
CAPITAL, NEIGHBOUR, PROVINCIAL, POLICE, BRIGADE, DEFAULT = (
    f"agencies/{name}" for name in ("capital", "neighbour", "provincial", "police", "brigade", "default")
)
LAST = f"{OTHER_CITY}.01.1002"
# Each city has a room; that of the first one is below the province's, that of the other is not.
COVERAGE = [
    Covered(PROVINCE, EMERGENCY, PROVINCIAL),
    Covered(CITY, EMERGENCY, CAPITAL),
    Covered(OTHER_CITY, EMERGENCY, NEIGHBOUR),
    Covered(PROVINCE, POLICE_MATTERS, POLICE),
    Covered(DISTRICT, FIRES, BRIGADE),
]
ROOMS = {PROVINCE: PROVINCIAL, ISLANDS: PROVINCIAL, ISLAND: PROVINCIAL, CITY: CAPITAL, EAST: CAPITAL, ACROSS: NEIGHBOUR, LAST: NEIGHBOUR}
PARENTS = {CAPITAL: PROVINCIAL, BRIGADE: CAPITAL}
# On the line between two cities, and far over it.
ON_THE_BORDER = ring(106.815, -6.199, 106.825, -6.191)
FAR_OVER_IT = ring(106.815, -6.199, 106.835, -6.191)


def find_crossed(
    agency: str, areas: list[str], *shapes: Any, parents: Mapping[str, str] = PARENTS, squares: dict[str, Any] = SQUARES
) -> list[str]:
    regions = make_regions(squares)
    reach = regions.measure(areas, shapes, [])
    jurisdiction = Jurisdiction(regions, COVERAGE, parents, lambda area: ROOMS.get(area, DEFAULT))
    return jurisdiction.find_crossed(agency, areas, reach.areas[len(areas) :])


def find_outside(agency: str, areas: list[str], *shapes: Any) -> dict[str, str]:
    with pytest.raises(OutsideJurisdiction) as refused:
        find_crossed(agency, areas, *shapes)
    return refused.value.metadata


class TestANamedArea:
    @pytest.mark.parametrize(
        ("agency", "areas"),
        [
            (CAPITAL, [CITY]),
            (CAPITAL, [WEST, DISTRICT]),
            (NEIGHBOUR, [OTHER_CITY, ACROSS]),
            # Of an agency below.
            (PROVINCIAL, [CITY, WEST]),
            (PROVINCIAL, [ISLAND]),
            (CAPITAL, [WEST]),
            # By any category: the police answer in all of the province, whoever takes its calls for help.
            (POLICE, [PROVINCE, CITY, ACROSS]),
            (BRIGADE, [DISTRICT, EAST]),
            # Of no room but the one that takes what cannot be routed.
            (DEFAULT, [JAYAPURA]),
        ],
    )
    def test_of_its_own_or_of_an_agency_below_it_may_be_warned(self, agency: str, areas: list[str]) -> None:
        assert find_crossed(agency, areas) == []

    @pytest.mark.parametrize(
        ("agency", "areas", "area", "room"),
        [
            (NEIGHBOUR, [WEST], WEST, DEFAULT),
            (NEIGHBOUR, [ACROSS, CITY], CITY, CAPITAL),
            # An agency above it answers there, and it does not.
            (CAPITAL, [ISLAND], ISLAND, PROVINCIAL),
            (BRIGADE, [CITY], CITY, CAPITAL),
            # A part of the whole is somebody else's.
            (PROVINCIAL, [PROVINCE], PROVINCE, PROVINCIAL),
            (PROVINCIAL, [ACROSS], ACROSS, NEIGHBOUR),
            (CAPITAL, [PROVINCE], PROVINCE, PROVINCIAL),
            # Beside its own is not its own, where it is named.
            (CAPITAL, [EAST, ACROSS], ACROSS, NEIGHBOUR),
            ("agencies/unknown", [JAYAPURA], JAYAPURA, DEFAULT),
        ],
    )
    def test_of_others_may_not(self, agency: str, areas: list[str], area: str, room: str) -> None:
        assert find_outside(agency, areas) == {"area": area, "agency": room}


class TestAShape:
    def test_within_its_own_areas_crosses_nothing(self) -> None:
        assert find_crossed(CAPITAL, [], ring(106.801, -6.199, 106.819, -6.191)) == []
        assert find_crossed(POLICE, [], FAR_OVER_IT) == []
        assert find_crossed(PROVINCIAL, [], ON_THE_BORDER) == [ACROSS]
        assert find_crossed(PROVINCIAL, [], ON_THE_BORDER, parents={**PARENTS, NEIGHBOUR: PROVINCIAL}) == []

    def test_may_cross_its_border_into_what_lies_beside_it(self) -> None:
        assert find_crossed(CAPITAL, [], ON_THE_BORDER) == [ACROSS]
        assert find_crossed(NEIGHBOUR, [], ON_THE_BORDER) == [EAST]
        # Its own part may be named as well as drawn.
        over_it = ring(106.821, -6.199, 106.825, -6.191)
        assert find_crossed(CAPITAL, [EAST], over_it) == [ACROSS]
        assert find_crossed(CAPITAL, [CITY], over_it) == [ACROSS]

    @pytest.mark.parametrize(
        ("areas", "shape", "area"),
        [
            ([], FAR_OVER_IT, LAST),
            # It does not cross the border: it is all on the other side.
            ([], ring(106.821, -6.199, 106.825, -6.191), ACROSS),
            # Its own part lies elsewhere.
            ([WEST], ring(106.821, -6.199, 106.825, -6.191), ACROSS),
            # Nobody knows where an island without a boundary ends, and so not what lies beside it.
            ([WEST], ring(106.60, -5.75, 106.62, -5.73), ISLAND),
        ],
    )
    def test_reaches_no_further(self, areas: list[str], shape: Any, area: str) -> None:
        assert find_outside(CAPITAL, areas, shape) == {"area": area, "agency": ROOMS[area]}

    def test_that_meets_a_larger_area_is_where_the_smaller_ones_are(self) -> None:
        squares = SQUARES | {PROVINCE: box(106.5, -6.5, 107.0, -6.0), OTHER_CITY: box(106.82, -6.20, 106.84, -6.19)}
        assert find_crossed(CAPITAL, [], ring(106.801, -6.199, 106.819, -6.191), squares=squares) == []
        assert find_crossed(CAPITAL, [], ON_THE_BORDER, squares=squares) == [ACROSS]

    def test_out_at_sea_is_in_nobodys_area(self) -> None:
        assert find_crossed(NEIGHBOUR, [], ring(100.0, -10.0, 101.0, -9.0)) == []


def test_before_any_directory_is_known_only_the_default_room_warns(tmp_path: Any) -> None:
    router = Router("127.0.0.1:1", tmp_path / "none", DEFAULT)
    assert router.jurisdiction.find_crossed(DEFAULT, [WEST], []) == []
    with pytest.raises(OutsideJurisdiction):
        router.jurisdiction.find_crossed(NEIGHBOUR, [WEST], [])


class TestTheService:
    @pytest.mark.parametrize(
        "area",
        [
            {"areas": [WEST]},
            {"areas": [ACROSS, EAST]},
            {"areas": [PROVINCE]},
            {"areas": [ACROSS], "circles": [circle(-6.195, 106.805, 100)]},
            {"polygons": [square(106.805, -6.199, 106.825, -6.191)]},
            {"circles": [circle(-6.195, 106.905, 10)]},
        ],
    )
    async def test_nobody_warns_where_another_agency_answers(self, readers: Readers, area: dict[str, Any]) -> None:
        own = await readers.citra.issue(info=info(area={"areas": [ACROSS]}))
        system = readers.sign_in("bandung-system", "agency", agency=OTHER_ROOM)
        changed = {"name": own.name, "info": {"area": area}}
        for asked in (
            readers.citra.issue(info=info(area=area)),
            readers.citra.issue(info=info(area=area), status="EXERCISE"),
            system.issue(info=info(area=area), operator="Ibu Wati"),
            readers.citra("UpdateWarning", warning=changed),
            system("UpdateWarning", warning=changed, operator="Ibu Wati"),
        ):
            refused = await refusal_of(asked)
            assert refused[:2] == ("PERMISSION_DENIED", "OUTSIDE_JURISDICTION")
            assert refused.metadata["agency"] == ROOM
        every = list(WarningState.__members__)
        assert await readers.citra.list_names(state=every, includeExercises=True) == [own.name]
        assert (await readers.citra("GetWarning", name=own.name)) == own

    async def test_the_room_above_warns_every_city_below_it(self, readers: Readers) -> None:
        assert state(await readers.sari.issue(info=info(area={"areas": [ACROSS]}))) == "ISSUED"
        assert state(await readers.sari.issue(info=info(area={"areas": [CITY, OTHER_CITY, FAR]}))) == "PENDING"

    async def test_a_flood_on_the_border_is_told_on_both_sides_of_it_by_two_persons(self, readers: Readers) -> None:
        # The villages of a city are told by name, at once and by one.
        own = await readers.citra.issue(info=info(area={"areas": [ACROSS]}))
        assert state(own) == "ISSUED"
        across = {"circles": [circle(-6.195, 106.8201, 50)]}
        updated = await readers.citra("UpdateWarning", warning={"name": own.name, "info": {"area": across}})
        assert (state(updated), len(updated.proposed_info.area.circles)) == ("ISSUED", 1)
        assert await readers.nobody.list_names(area=EAST) == []
        await readers.cecep("ApproveWarning", name=own.name, etag=updated.etag)
        assert await readers.nobody.list_names(area=EAST) == [own.name]
