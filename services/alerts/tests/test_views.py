"""What crews, several agencies, and those who have given an alert away are shown of it."""

from dataclasses import replace

import pytest
from crews import (
    CHIEF,
    EKA,
    FIRE,
    JOKO,
    OKA,
    POLICE,
    PUTU,
    TONO,
    WATI,
    accept,
    ask,
    make_unit,
    move_on,
    offer,
    send,
    take,
)
from moments import BUDI, DEWI, RINA, ROOM, SARI, START, make_alert

from alerts.model.alerts import Alert
from alerts.model.enums import Audience, Status, View
from alerts.model.viewers import Viewer
from alerts.wire import alerts as wire
from siaga.alerts.v1 import alert_pb2

AGENCY, CREW, REDACTED, CALLER = View.AGENCY, View.CREW, View.REDACTED, View.CALLER
RESTRICTED = [{"kind": "VIOLENCE"}, {"silent": True}]


def views(alert: Alert, *viewers: Viewer) -> list[View | None]:
    return [each.view(alert) for each in viewers]


class TestACrew:
    @pytest.mark.parametrize("raised", [{}, *RESTRICTED])
    def test_it_sees_its_alert_while_it_is_at_work_for_it(self, raised: dict[str, object]) -> None:
        alert = take(make_alert(**raised))
        assert TONO.view(alert) is None
        send(alert, make_unit())
        for status in (None, Status.ACCEPTED, Status.EN_ROUTE, Status.ON_SCENE):
            move_on(alert, "amb-1", *([status] if status else []))
            assert views(alert, TONO, WATI, JOKO) == [CREW, None, None]
        move_on(alert, "amb-1", Status.DONE)
        assert TONO.view(alert) is None

    @pytest.mark.parametrize("end", [Status.DONE, Status.DECLINED])
    def test_its_work_for_another_one_of_them_does_not_open_it_again(self, end: Status) -> None:
        alert, other = send(take(make_alert()), make_unit()), send(take(make_alert()), make_unit())
        move_on(alert, "amb-1", end)
        assert [views(each, TONO) for each in (alert, other)] == [[None], [CREW]]

    def test_after_the_close_it_sees_nothing(self) -> None:
        alert = send(take(make_alert()), make_unit())
        alert.resolve(alert_pb2.Alert.HELPED, RINA, START)
        assert TONO.view(alert) is None

    def test_whoever_relieves_it_sees_it_and_the_relieved_no_more(self) -> None:
        alert = send(take(make_alert()), make_unit())
        alert.assignments[0].crew = ["wati"]
        assert views(alert, TONO, WATI) == [None, CREW]

    def test_an_account_of_the_same_name_in_another_agency_is_nobody(self) -> None:
        alert = send(take(make_alert()), make_unit())
        assert replace(TONO, crew_of=POLICE).view(alert) is None
        assert replace(TONO, crew_of="").view(alert) is None

    def test_it_sees_the_content_and_of_the_timeline_what_is_for_crews(self) -> None:
        alert = send(take(make_alert(kind="VIOLENCE", note="he is here")), make_unit())
        assert wire.to_message(alert, CREW) == wire.to_message(alert, AGENCY)
        assert (CREW.audience, REDACTED.audience, CALLER.audience) == (Audience.RESPONDER, Audience.AGENCY, Audience.CALLER)

    def test_who_rides_along_and_answers_for_the_agency_sees_the_more_of_both(self) -> None:
        budi = replace(BUDI, crew_of=ROOM)
        restricted, usual = (send(take(make_alert(**each)), make_unit("amb-1", ROOM, "budi")) for each in ({"kind": "VIOLENCE"}, {}))
        assert [views(each, budi) for each in (restricted, usual)] == [[CREW], [AGENCY]]
        assert budi.answers(restricted)
        move_on(restricted, "amb-1", Status.DONE)
        assert budi.view(restricted) is REDACTED

    def test_who_has_called_for_help_themselves_is_its_caller_all_the_time(self) -> None:
        dewi = replace(DEWI, crew_of=ROOM)
        alert = send(take(make_alert()), make_unit("amb-1", ROOM, "dewi"))
        assert dewi.view(alert) is CALLER
        move_on(alert, "amb-1", Status.DONE)
        assert dewi.view(alert) is CALLER

    def test_it_commands_its_own_unit_and_its_agency_all_of_its(self) -> None:
        alert = send(accept(ask(send(take(make_alert()), make_unit()))), make_unit("car-1", POLICE), by=OKA)
        ambulance, car = alert.assignments
        assert [each.commands(ambulance) for each in (TONO, RINA, BUDI, WATI, OKA, JOKO, DEWI)] == [True, True, True, *[False] * 4]
        assert [each.commands(car) for each in (JOKO, OKA, PUTU, TONO, RINA)] == [True, True, True, False, False]


class TestSeveralAgencies:
    def test_whoever_is_asked_or_helps_sees_it_as_the_lead_does(self) -> None:
        alert = ask(take(make_alert()))
        assert views(alert, RINA, OKA, EKA) == [AGENCY, AGENCY, None]
        accept(alert)
        assert views(alert, RINA, OKA, PUTU, EKA) == [AGENCY, AGENCY, AGENCY, None]

    @pytest.mark.parametrize("raised", RESTRICTED)
    def test_of_a_restricted_one_each_agencys_holder_and_supervisor_do(self, raised: dict[str, object]) -> None:
        alert = ask(take(make_alert(**raised)))
        assert views(alert, RINA, BUDI, SARI, OKA, CHIEF) == [AGENCY, REDACTED, AGENCY, REDACTED, AGENCY]
        accept(alert)
        assert views(alert, RINA, BUDI, SARI, OKA, PUTU, CHIEF) == [AGENCY, REDACTED, AGENCY, AGENCY, REDACTED, AGENCY]

    def test_to_hold_it_for_one_agency_opens_it_to_nobody_of_another(self) -> None:
        alert = ask(take(make_alert(kind="VIOLENCE")))
        assert replace(OKA, user="rina").view(alert) is REDACTED

    def test_an_agency_that_has_refused_sees_that_it_exists(self) -> None:
        alert = ask(take(make_alert()))
        alert.reject_request("no car", OKA, START)
        assert views(alert, OKA, CHIEF) == [REDACTED, REDACTED]
        ask(alert)
        assert OKA.view(alert) is AGENCY

    def test_an_agency_that_has_given_it_away_sees_that_it_exists(self) -> None:
        alert = accept(offer(take(make_alert())))
        assert views(alert, RINA, SARI, OKA) == [REDACTED, REDACTED, AGENCY]
        assert [alert.concerns(each) for each in (ROOM, POLICE, FIRE)] == [False, True, False]

    def test_to_the_end_and_after_it_whoever_had_a_part_sees_it(self) -> None:
        alert = accept(ask(take(make_alert())))
        alert.resolve(alert_pb2.Alert.HELPED, RINA, START)
        assert views(alert, RINA, BUDI, OKA) == [AGENCY, AGENCY, AGENCY]

    def test_what_exists_is_all_that_the_redacted_view_says(self) -> None:
        alert = make_alert(kind="FIRE", note="third floor", area="areas/31", location={"point": {"latitude": -6.1, "longitude": 106.8}})
        accept(offer(send(take(alert), make_unit("car-1", ROOM))))
        move_on(alert, "car-1", Status.ON_SCENE, Status.DONE)
        message = wire.to_message(alert, REDACTED)
        assert {field.name for field, _ in message.ListFields()} == {
            *("name", "state", "area", "agency", "revision", "etag"),
            *("create_time", "deliver_time", "acknowledge_time", "dispatch_time", "arrive_time", "update_time"),
        }
        # Hidden from this reader, and restricted for nobody else.
        assert not message.restricted

    def test_whoever_calls_for_help_from_their_own_room_is_its_caller_alone(self) -> None:
        alert = make_alert(user="rina")
        assert (RINA.view(alert), RINA.is_caller(alert), RINA.answers(alert)) == (CALLER, True, False)
        assert replace(OKA, user="rina").view(alert) is CALLER
        assert not replace(OKA, user="rina").answers(alert)
