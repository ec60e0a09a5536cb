"""Which units are recommended for an alert, in which order and why, and what is missing."""

from datetime import timedelta
from typing import Any

import pytest
from cities import POSITION_SECONDS
from crews import make_unit
from moments import START, make_alert
from people import MONAS, refusal_of
from responders import Responders, report

from alerts.model.alerts import Alert
from alerts.model.enums import Duty, Kind, UnitKind
from alerts.model.policies import Policy
from alerts.model.recommending import Lack, Reason, recommend_units
from alerts.model.units import Unit
from siaga.alerts.v1.alert_service_pb2 import RecommendUnitsResponse

POLICY = Policy()
OLD = START - POLICY.position_age - timedelta(seconds=1)
NEAREST, SUITABLE, OTHER_KIND = Reason.NEAREST, Reason.SUITABLE, Reason.OTHER_KIND
PLACE_UNKNOWN, POSITION_OLD, ALERT_PLACE_UNKNOWN = Reason.PLACE_UNKNOWN, Reason.POSITION_OLD, Reason.ALERT_PLACE_UNKNOWN


def here(kind: str = "MEDICAL") -> Alert:
    return make_alert(kind=kind, location={"point": {"latitude": -6.2, "longitude": 106.8}})


def at(name: str, longitude: float | None = None, *, fix_time: Any = START, kind: UnitKind = UnitKind.AMBULANCE, **columns: Any) -> Unit:
    """So many degrees east of 106.8; nobody knows where, when that is absent."""
    if longitude is None:
        return make_unit(name, kind=kind, **columns)
    return make_unit(name, kind=kind, latitude=-6.2, longitude=106.8 + longitude, fix_time=fix_time, **columns)


def recommend(alert: Alert, *units: Unit) -> list[tuple[str, list[Reason]]]:
    found, _ = recommend_units(alert, units, POLICY, START)
    return [(each.unit.name.removeprefix("units/"), list(each.reasons)) for each in found]


def missing(alert: Alert, *units: Unit) -> list[tuple[UnitKind, Lack]]:
    return [(each.kind, each.reason) for each in recommend_units(alert, units, POLICY, START)[1]]


class TestTheRanking:
    def test_suitable_ones_come_first_then_known_and_fresh_places_then_the_near(self) -> None:
        units = [
            at("far", 0.3),
            at("other-near", 0.01, kind=UnitKind.PATROL_CAR),
            at("nobody-knows"),
            at("near", 0.1),
            at("near-and-old", 0.05, fix_time=OLD),
            at("other-far", 0.2, kind=UnitKind.PATROL_CAR),
        ]
        assert recommend(here(), *units) == [
            ("near", [NEAREST, SUITABLE]),
            ("far", [SUITABLE]),
            ("near-and-old", [SUITABLE, POSITION_OLD]),
            ("nobody-knows", [SUITABLE, PLACE_UNKNOWN]),
            ("other-near", [NEAREST, OTHER_KIND]),
            ("other-far", [OTHER_KIND]),
        ]

    def test_those_alone_who_can_be_sent(self) -> None:
        units = [at("away", 0.1, duty=Duty.OFF_DUTY), at("busy", 0.1, alert="alerts/another"), at("ready", 0.2)]
        assert recommend(here(), *units) == [("ready", [NEAREST, SUITABLE])]

    def test_of_several_kinds_the_nearest_of_each_is_named(self) -> None:
        units = [at("engine-far", 0.2, kind=UnitKind.FIRE_ENGINE), at("engine-near", 0.1, kind=UnitKind.FIRE_ENGINE), at("amb", 0.3)]
        assert recommend(here("FIRE"), *units) == [
            ("engine-near", [NEAREST, SUITABLE]),
            ("engine-far", [SUITABLE]),
            ("amb", [NEAREST, SUITABLE]),
        ]

    @pytest.mark.parametrize("kind", ["OTHER", "KIND_UNSPECIFIED"])
    def test_where_nothing_is_known_to_be_needed_any_will_do(self, kind: str) -> None:
        units = [at("boat", 0.2, kind=UnitKind.BOAT), at("amb", 0.3)]
        assert recommend(here(kind), *units) == [("boat", [NEAREST, SUITABLE]), ("amb", [NEAREST, SUITABLE])]
        assert missing(here(kind)) == []

    def test_of_an_alert_without_a_place_the_fresh_come_first(self) -> None:
        assert recommend(make_alert(kind="MEDICAL"), at("b", 0.1), at("a", 0.2, fix_time=OLD)) == [
            ("b", [SUITABLE, ALERT_PLACE_UNKNOWN]),
            ("a", [SUITABLE, POSITION_OLD, ALERT_PLACE_UNKNOWN]),
        ]

    def test_distances_are_to_where_help_is_needed(self) -> None:
        alert = make_alert(
            kind="MEDICAL",
            location={"point": {"latitude": -6.2, "longitude": 106.8}},
            target={"point": {"latitude": -6.2, "longitude": 107.0}},
        )
        found, _ = recommend_units(alert, [at("east", 0.2), at("west", 0.0)], POLICY, START)
        assert [(each.unit.name, round(each.distance_meters or 0)) for each in found] == [("units/east", 0), ("units/west", 22109)]

    @pytest.mark.parametrize("kind", Kind)
    def test_whatever_is_needed_is_suitable(self, kind: Kind) -> None:
        units = [at(each.name, 0.1, kind=each) for each in UnitKind]
        reasons = dict(recommend(here(kind.name), *units))
        needed = {each.name for each, _ in missing(here(kind.name))} or set(reasons)
        assert {name for name, each in reasons.items() if SUITABLE in each} == needed


class TestWhatIsMissing:
    def test_each_kind_that_is_needed_has_its_reason(self) -> None:
        engine, ambulance = UnitKind.FIRE_ENGINE, UnitKind.AMBULANCE
        fire = here("FIRE")
        assert missing(fire) == [(engine, Lack.NONE_OF_THE_KIND), (ambulance, Lack.NONE_OF_THE_KIND)]
        away = at("e", kind=engine, duty=Duty.OFF_DUTY)
        assert missing(fire, away, at("a", alert="alerts/x")) == [(engine, Lack.OFF_DUTY), (ambulance, Lack.BUSY)]
        # One that is at work says more than one that is at home.
        assert missing(fire, away, at("e2", kind=engine, alert="alerts/x"), at("a")) == [(engine, Lack.BUSY)]
        assert missing(fire, at("e", kind=engine), at("a")) == []


class TestOverTheWire:
    async def test_it_is_of_the_agencys_own_units_and_changes_nothing(self, responders: Responders) -> None:
        near, far = await responders.make_unit("amb-1"), await responders.make_unit("amb-2")
        car = await responders.make_car()
        where = [report(near, -6.18), report(far, -6.19, seconds_ago=POSITION_SECONDS + 5)]
        await responders.rina("ReportUnitPositions", reports=where)
        name, _ = await responders.take(kind="ACCIDENT")
        before = await responders.rina("GetAlert", name=name)
        reply = await responders.budi("RecommendUnits", name=name)
        words = RecommendUnitsResponse.Reason.Name
        found = [(each.unit.name, [words(reason) for reason in each.reasons]) for each in reply.recommendations]
        assert found == [(near, ["NEAREST", "SUITABLE"]), (far, ["SUITABLE", "POSITION_OLD"])]
        assert reply.recommendations[0].distance_meters == pytest.approx(598, abs=2)
        assert reply.recommendations[0].unit.position.point.latitude == -6.18
        assert [(each.kind, each.reason) for each in reply.shortfalls] == [(UnitKind.PATROL_CAR, Lack.NONE_OF_THE_KIND)]
        assert [each.unit.name for each in (await responders.rina("RecommendUnits", name=name, maxUnits=1)).recommendations] == [near]
        assert await responders.rina("GetAlert", name=name) == before
        await responders.ask_police(name)
        assert [each.unit.name for each in (await responders.oka("RecommendUnits", name=name)).recommendations] == [car]

    async def test_whom_it_refuses(self, responders: Responders) -> None:
        name, _ = await responders.take(responders.rina, kind="VIOLENCE")
        assert (await refusal_of(responders.budi("RecommendUnits", name=name)))[:2] == ("PERMISSION_DENIED", "NOT_CLAIMANT")
        for party in (responders.dewi, responders.tono):
            assert (await refusal_of(party("RecommendUnits", name=name)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        # Whoever has called for help is not told by distances where the agency looks for them.
        own, _ = await responders.raise_alert(responders.oka, location={"point": MONAS})
        assert (await responders.oka("GetAlert", name=own)).name == own
        for asked in (own, name):
            assert (await refusal_of(responders.oka("RecommendUnits", name=asked)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
        refused = await refusal_of(responders.rina("RecommendUnits", name=name, maxUnits=101))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["maxUnits"])
