"""How several agencies work together on one alert: who leads, who helps, who is asked, and who is responsible meanwhile."""

import pytest
from crews import CHIEF, EKA, FIRE, OKA, POLICE, PUTU, accept, ask, make_unit, move_on, offer, part_of, send, take
from moments import BUDI, CITRA, RINA, ROOM, SARI, START, after, make_alert

from alerts.errors import AlertClosed, AlreadyAcknowledged, NotAcknowledged, NotClaimant, NotRequested, UnitBusy
from alerts.model.alerts import Alert
from alerts.model.clocks import ANSWER, find_clocks
from alerts.model.enums import Escalation, Part, ResponseState, State, Status, View
from alerts.model.policies import Policy
from alerts.model.viewers import Viewer
from alerts.wire import alerts as wire
from siaga.alerts.v1 import alert_pb2

HELPED = alert_pb2.Alert.HELPED


def awaited(alert: Alert) -> dict[str, float]:
    """The agencies whose answer is waited for, with the seconds after the start at which their clock runs out."""
    clocks = find_clocks(alert, lambda _: Policy())
    return {each.subject: (each.due_time - START).total_seconds() for each in clocks if each.kind == ANSWER}


def parts(alert: Alert) -> dict[str, tuple[Part, ResponseState, str]]:
    return {each.agency: (Part(each.part), ResponseState(each.state), each.claimant) for each in alert.responses}


def bring_in(alert: Alert, agency: str) -> Alert:
    """As an escalation does."""
    for _ in range(4):
        alert.escalate(ROOM, agency, START)
    assert part_of(alert, agency).requester == ""
    return alert


class TestTakingWhatNobodyHolds:
    def test_an_agency_that_was_brought_in_takes_it_and_leads(self) -> None:
        alert = bring_in(make_alert(), POLICE)
        assert take(alert, OKA).agency == POLICE
        assert parts(alert) == {ROOM: (Part.SUPPORT, ResponseState.REQUESTED, ""), POLICE: (Part.LEAD, ResponseState.ACCEPTED, "oka")}
        assert (alert.state, alert.caller_state, awaited(alert)) == (State.ACKNOWLEDGED, State.ACKNOWLEDGED, {})

    def test_an_agency_that_was_asked_takes_what_the_lead_has_given_back_and_leads(self) -> None:
        alert = ask(take(make_alert()))
        alert.release(RINA, START)
        take(alert, OKA)
        assert (alert.agency, parts(alert)[POLICE]) == (POLICE, (Part.LEAD, ResponseState.ACCEPTED, "oka"))

    def test_who_helps_already_takes_it_over_and_leads(self) -> None:
        alert = accept(ask(take(make_alert())))
        alert.release(RINA, START)
        take(alert, OKA)
        assert parts(alert)[POLICE] == (Part.LEAD, ResponseState.ACCEPTED, "oka")

    def test_what_a_colleague_holds_is_not_taken_from_them(self) -> None:
        alert = accept(ask(take(make_alert())))
        alert.release(RINA, START)
        with pytest.raises(AlreadyAcknowledged) as refused:
            take(alert, PUTU)
        assert refused.value.metadata == {"operator": "oka", "agency": POLICE}
        assert parts(alert)[POLICE] == (Part.SUPPORT, ResponseState.ACCEPTED, "oka")

    def test_who_helps_is_told_who_leads(self) -> None:
        alert = accept(ask(take(make_alert())))
        with pytest.raises(AlreadyAcknowledged) as refused:
            take(alert, OKA)
        assert refused.value.metadata == {"operator": "rina", "agency": ROOM}

    def test_an_agency_that_has_refused_does_not(self) -> None:
        alert = ask(take(make_alert()))
        alert.reject_request("no car", OKA, START)
        alert.release(RINA, START)
        for refused in (lambda: take(alert, OKA), lambda: alert.assign("oka", CHIEF, START), lambda: alert.confirm_receipt(OKA, START)):
            with pytest.raises(NotClaimant):
                refused()

    def test_that_another_one_of_the_agency_has_it_again_is_no_news_to_the_caller(self) -> None:
        alert = take(make_alert())
        shown = wire.to_message(alert, View.CALLER)
        alert.release(RINA, after(seconds=5))
        take(alert, BUDI, after(seconds=9))
        assert wire.to_message(alert, View.CALLER) == shown
        alert.release(BUDI, after(seconds=10))
        bring_in(alert, POLICE)
        take(alert, OKA, after(seconds=12))
        assert wire.to_message(alert, View.CALLER).agency == POLICE


class TestAssigning:
    def test_what_nobody_holds_is_acknowledged_with_it(self) -> None:
        alert = make_alert()
        assert alert.assign("budi", SARI, after(seconds=4))
        assert parts(alert) == {ROOM: (Part.LEAD, ResponseState.ACCEPTED, "budi")}
        assert (alert.state, alert.caller_state, alert.acknowledge_time) == (State.ACKNOWLEDGED, State.ACKNOWLEDGED, after(seconds=4))

    def test_it_passes_from_one_to_another_and_the_caller_is_not_told(self) -> None:
        alert = take(make_alert(kind="VIOLENCE"), now=after(seconds=1))
        shown = wire.to_message(alert, View.CALLER)
        assert alert.assign("budi", SARI, after(seconds=4))
        assert [each.view(alert) for each in (RINA, BUDI)] == [View.REDACTED, View.AGENCY]
        assert (part_of(alert, ROOM).operator, alert.acknowledge_time) == ("budi", after(seconds=1))
        assert wire.to_message(alert, View.CALLER) == shown

    def test_to_the_one_who_holds_it_nothing_changes(self) -> None:
        alert = take(make_alert())
        revision = alert.revision
        assert not alert.assign("rina", SARI, START)
        assert alert.revision == revision

    def test_a_supervisor_of_an_agency_that_was_brought_in_makes_it_lead(self) -> None:
        alert = bring_in(make_alert(), POLICE)
        assert alert.assign("oka", CHIEF, START)
        assert (alert.agency, parts(alert)[POLICE]) == (POLICE, (Part.LEAD, ResponseState.ACCEPTED, "oka"))

    @pytest.mark.parametrize("asked", [False, True])
    def test_what_another_agency_holds_is_not_given_away(self, *, asked: bool) -> None:
        alert = bring_in(make_alert(), POLICE)
        take(alert)
        if asked:
            ask(alert)
        with pytest.raises(AlreadyAcknowledged) as refused:
            alert.assign("oka", CHIEF, START)
        assert refused.value.metadata == {"operator": "rina", "agency": ROOM}

    def test_the_part_of_an_agency_that_helps_passes_on_and_it_goes_on_helping(self) -> None:
        alert = accept(ask(take(make_alert())))
        assert alert.assign("putu", CHIEF, START)
        assert parts(alert) == {
            ROOM: (Part.LEAD, ResponseState.ACCEPTED, "rina"),
            POLICE: (Part.SUPPORT, ResponseState.ACCEPTED, "putu"),
        }

    def test_it_answers_no_request_to_lead(self) -> None:
        alert = offer(accept(ask(take(make_alert()))))
        alert.assign("putu", CHIEF, START)
        assert part_of(alert, POLICE).is_asked
        assert alert.agency == ROOM

    def test_a_closed_alert_is_given_to_nobody(self) -> None:
        alert = take(make_alert())
        alert.resolve(HELPED, RINA, START)
        with pytest.raises(AlertClosed):
            alert.assign("budi", SARI, START)


class TestReleasing:
    def test_the_leads_clocks_begin_anew(self) -> None:
        alert = take(make_alert(), now=after(seconds=5))
        assert awaited(alert) == {}
        alert.release(RINA, after(seconds=100))
        # It was on a screen before: what is awaited is that somebody takes it.
        assert awaited(alert) == {ROOM: 115.0}
        assert part_of(alert, ROOM).escalation == Escalation.NONE

    def test_an_agency_that_helps_is_asked_again_and_the_lead_stays(self) -> None:
        alert = accept(ask(take(make_alert())), now=after(seconds=5))
        alert.release(OKA, after(seconds=30))
        assert parts(alert) == {
            ROOM: (Part.LEAD, ResponseState.ACCEPTED, "rina"),
            POLICE: (Part.SUPPORT, ResponseState.REQUESTED, ""),
        }
        assert (alert.state, awaited(alert)) == (State.ACKNOWLEDGED, {POLICE: 45.0})
        accept(alert, PUTU)
        assert awaited(alert) == {}


class TestAskingForHelp:
    def test_whoever_asks_stays_responsible_and_the_others_clocks_run(self) -> None:
        alert = ask(take(make_alert()), now=after(seconds=60))
        assert parts(alert) == {
            ROOM: (Part.LEAD, ResponseState.ACCEPTED, "rina"),
            POLICE: (Part.SUPPORT, ResponseState.REQUESTED, ""),
        }
        asked = part_of(alert, POLICE)
        assert (asked.requester, asked.reason, asked.hand_over, asked.request_time) == (ROOM, "a knife", False, after(seconds=60))
        assert (alert.state, awaited(alert)) == (State.ACKNOWLEDGED, {POLICE: 75.0})

    def test_the_other_one_helps_when_it_accepts(self) -> None:
        alert = accept(ask(take(make_alert())), now=after(seconds=9))
        assert parts(alert) == {
            ROOM: (Part.LEAD, ResponseState.ACCEPTED, "rina"),
            POLICE: (Part.SUPPORT, ResponseState.ACCEPTED, "oka"),
        }
        assert (alert.agency, part_of(alert, POLICE).accept_time, awaited(alert)) == (ROOM, after(seconds=9), {})

    def test_a_refusal_returns_and_ends_nothing(self) -> None:
        alert = ask(take(make_alert()))
        assert alert.reject_request("no car", OKA, after(seconds=9))
        refused = part_of(alert, POLICE)
        assert parts(alert) == {
            ROOM: (Part.LEAD, ResponseState.ACCEPTED, "rina"),
            POLICE: (Part.SUPPORT, ResponseState.REJECTED, ""),
        }
        assert (refused.reason, refused.end_time) == ("no car", after(seconds=9))
        assert (alert.state, alert.close_time, awaited(alert)) == (State.ACKNOWLEDGED, None, {})
        assert not alert.reject_request("no car", PUTU, after(seconds=10))

    def test_who_has_refused_is_asked_again(self) -> None:
        alert = ask(take(make_alert()))
        alert.reject_request("no car", OKA, START)
        with pytest.raises(NotRequested):
            alert.accept_request("oka", OKA, START)
        ask(alert, now=after(seconds=60))
        asked = part_of(alert, POLICE)
        assert (asked.state, asked.end_time, asked.reason, asked.is_asked) == (ResponseState.REQUESTED, None, "a knife", True)
        assert awaited(alert) == {POLICE: 75.0}
        accept(alert)

    def test_to_ask_again_who_was_asked_or_helps_changes_nothing(self) -> None:
        alert = ask(take(make_alert()))
        for prepare in (lambda: None, lambda: accept(alert)):
            prepare()
            revision = alert.revision
            assert not alert.request_agency(POLICE, "again", RINA, after(seconds=9), hand_over=False)
            assert (alert.revision, part_of(alert, POLICE).reason) == (revision, "a knife")

    def test_who_helps_asks_others_and_never_the_lead(self) -> None:
        alert = ask(accept(ask(take(make_alert()))), FIRE, OKA)
        assert (part_of(alert, FIRE).requester, alert.agency) == (POLICE, ROOM)
        assert not alert.request_agency(ROOM, "you", OKA, START, hand_over=False)

    def test_who_was_brought_in_by_an_escalation_is_asked_by_whoever_took_it(self) -> None:
        alert = take(bring_in(make_alert(), POLICE))
        assert awaited(alert) == {}
        assert list(awaited(ask(alert))) == [POLICE]
        accept(alert)

    @pytest.mark.parametrize(("by", "refusal"), [(BUDI, NotClaimant), (OKA, NotAcknowledged), (CITRA, NotClaimant), (EKA, NotClaimant)])
    def test_only_who_holds_a_part_asks(self, by: Viewer, refusal: type[Exception]) -> None:
        alert = ask(take(make_alert()))
        with pytest.raises(refusal):
            alert.request_agency(FIRE, "", by, START, hand_over=False)

    def test_what_nobody_holds_is_taken_before_others_are_asked(self) -> None:
        with pytest.raises(NotAcknowledged):
            make_alert().request_agency(POLICE, "", SARI, START, hand_over=False)

    @pytest.mark.parametrize("by", [RINA, EKA])
    def test_who_was_not_asked_answers_nothing(self, by: Viewer) -> None:
        alert = ask(take(make_alert()))
        with pytest.raises(NotRequested):
            alert.accept_request(by.user, by, START)
        with pytest.raises(NotRequested):
            alert.reject_request("no", by, START)

    def test_the_first_one_of_the_agency_has_accepted_it_and_the_second_is_told_who(self) -> None:
        alert = accept(ask(take(make_alert())))
        assert not alert.accept_request("oka", OKA, after(seconds=5))
        with pytest.raises(AlreadyAcknowledged) as refused:
            alert.accept_request("putu", PUTU, START)
        assert refused.value.metadata == {"operator": "oka", "agency": POLICE}

    def test_a_closed_alert_asks_and_answers_nothing(self) -> None:
        alert = ask(take(make_alert()))
        alert.resolve(HELPED, RINA, START)
        for refused in (
            lambda: alert.request_agency(FIRE, "", RINA, START, hand_over=False),
            lambda: alert.accept_request("oka", OKA, START),
            lambda: alert.reject_request("no", OKA, START),
        ):
            with pytest.raises(AlertClosed):
                refused()

    def test_who_helps_does_not_close_it_and_the_leads_close_ends_every_part(self) -> None:
        alert = ask(accept(ask(take(make_alert()))), FIRE)
        with pytest.raises(NotClaimant):
            alert.resolve(HELPED, OKA, START)
        alert.resolve(HELPED, RINA, after(minutes=9))
        assert {each.state for each in alert.responses} == {ResponseState.DONE}
        assert {each.end_time for each in alert.responses} == {after(minutes=9)}
        assert awaited(alert) == {}


class TestRefusingWithUnitsAtWork:
    def test_they_come_home_first(self) -> None:
        alert = accept(ask(take(make_alert())))
        car = make_unit("car-1", POLICE)
        send(alert, car, by=OKA)
        alert.release(OKA, START)
        with pytest.raises(UnitBusy) as refused:
            alert.reject_request("night shift", PUTU, START)
        assert refused.value.metadata == {"unit": "units/car-1"}
        move_on(alert, "car-1", Status.DONE)
        assert alert.reject_request("night shift", PUTU, START)
