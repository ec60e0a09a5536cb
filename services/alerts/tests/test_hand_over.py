"""Who leads an alert after a hand-over, a refusal of one, and a change of the place that makes another agency responsible."""

from typing import Any

import pytest
from crews import CHIEF, EKA, FIRE, OKA, POLICE, PUTU, accept, ask, make_unit, offer, part_of, send, take
from moments import BUDI, RINA, ROOM, SARI, START, after, make_alert

from alerts.errors import AlertChanged, AlertClosed, AlreadyAcknowledged, NotAcknowledged, NotClaimant, NotRequested
from alerts.model.alerts import Alert
from alerts.model.enums import ContactPreference, Kind, Part, ResponseState, Routing, State, View
from alerts.model.viewers import Viewer
from alerts.wire import alerts as wire
from siaga.alerts.v1 import alert_pb2

HELPED = alert_pb2.Alert.HELPED
TARGET = {"target_latitude": -6.9, "target_longitude": 107.6, "target_address": "Jalan Braga 1"}


def leads(alert: Alert) -> tuple[str, str]:
    lead = alert.parts.lead
    assert alert.agency == lead.agency
    assert [each.agency for each in alert.responses if each.part == Part.LEAD] == [lead.agency]
    return lead.agency, lead.claimant


class TestHandingOver:
    def test_the_lead_stays_until_the_other_one_accepts_and_is_released_then(self) -> None:
        alert = offer(take(make_alert(), now=after(seconds=5)))
        assert leads(alert) == (ROOM, "rina")
        accept(alert, now=after(seconds=30))
        assert leads(alert) == (POLICE, "oka")
        former = part_of(alert, ROOM)
        assert (former.state, former.claimant, former.operator) == (ResponseState.RELEASED, "", "")
        assert (former.accept_time, former.end_time) == (None, after(seconds=30))
        assert (alert.state, alert.acknowledge_time) == (State.ACKNOWLEDGED, after(seconds=5))
        assert wire.to_message(alert, View.CALLER).agency == POLICE

    def test_the_new_lead_has_as_long_as_its_own_limits_say(self) -> None:
        alert = offer(take(make_alert(), now=after(seconds=5)))
        alert.limit_step = 2
        accept(alert, now=after(seconds=600))
        assert (alert.state_time, alert.limit_step) == (after(seconds=600), 0)

    def test_one_whose_units_are_at_work_goes_on_with_them_and_helps(self) -> None:
        alert = accept(offer(send(take(make_alert()), make_unit())))
        assert leads(alert) == (POLICE, "oka")
        former = part_of(alert, ROOM)
        assert (former.part, former.state, former.claimant) == (Part.SUPPORT, ResponseState.ACCEPTED, "rina")
        assert [RINA.view(alert), BUDI.view(alert)] == [View.AGENCY, View.AGENCY]

    def test_a_refusal_leaves_everything_as_it_was(self) -> None:
        alert = offer(take(make_alert()))
        alert.reject_request("not ours", OKA, START)
        assert leads(alert) == (ROOM, "rina")
        with pytest.raises(NotRequested):
            alert.accept_request("oka", OKA, START)

    def test_who_helps_accepts_it_and_leads(self) -> None:
        alert = offer(accept(ask(take(make_alert()))))
        assert part_of(alert, POLICE).state == ResponseState.ACCEPTED
        assert leads(accept(alert)) == (POLICE, "oka")

    def test_who_helps_refuses_it_and_goes_on_helping(self) -> None:
        alert = offer(accept(ask(take(make_alert()))))
        assert alert.reject_request("you do it", OKA, START)
        part = part_of(alert, POLICE)
        assert (part.state, part.claimant, part.hand_over, part.reason) == (ResponseState.ACCEPTED, "oka", False, "you do it")
        assert leads(alert) == (ROOM, "rina")

    def test_for_who_helps_a_colleague_does_not_answer_and_a_supervisor_does(self) -> None:
        alert = offer(accept(ask(take(make_alert()))))
        with pytest.raises(AlreadyAcknowledged):
            alert.accept_request("putu", PUTU, START)
        with pytest.raises(NotClaimant):
            alert.reject_request("no", PUTU, START)
        assert leads(accept(alert, CHIEF)) == (POLICE, "chief")

    def test_who_was_asked_to_help_is_asked_to_lead_instead(self) -> None:
        alert = offer(ask(take(make_alert())), now=after(seconds=40))
        asked = part_of(alert, POLICE)
        assert (asked.hand_over, asked.reason, asked.request_time) == (True, "yours", after(seconds=40))
        assert not alert.request_agency(POLICE, "help", RINA, START, hand_over=False)
        assert leads(accept(alert)) == (POLICE, "oka")

    def test_of_two_who_are_asked_the_first_leads_and_the_other_one_helps(self) -> None:
        alert = offer(offer(take(make_alert())), FIRE)
        assert leads(accept(alert)) == (POLICE, "oka")
        assert (part_of(alert, FIRE).hand_over, part_of(alert, FIRE).is_asked) == (False, True)
        assert leads(accept(alert, EKA)) == (POLICE, "oka")
        assert (part_of(alert, FIRE).part, part_of(alert, FIRE).claimant) == (Part.SUPPORT, "eka")

    def test_what_the_lead_offers_stands_while_the_same_agency_leads(self) -> None:
        alert = offer(take(make_alert()))
        alert.release(RINA, START)
        take(alert, BUDI)
        assert leads(accept(alert)) == (POLICE, "oka")

    def test_the_new_lead_gives_it_back_to_its_own_room(self) -> None:
        alert = accept(offer(take(make_alert())))
        alert.release(OKA, START)
        assert leads(alert) == (POLICE, "")
        # It has accepted: there is nothing to refuse any more, or nobody would lead.
        for refused in (lambda: alert.reject_request("no", PUTU, START), lambda: alert.accept_request("putu", PUTU, START)):
            with pytest.raises(NotRequested):
                refused()
        take(alert, PUTU)
        assert leads(alert) == (POLICE, "putu")

    def test_who_has_given_it_away_is_asked_again(self) -> None:
        alert = accept(offer(take(make_alert())))
        offer(alert, ROOM, OKA)
        assert leads(accept(alert, RINA)) == (ROOM, "rina")
        assert part_of(alert, POLICE).state == ResponseState.RELEASED

    def test_what_was_offered_and_answered_is_not_asked_again_when_another_one_leads(self) -> None:
        alert = accept(ask(accept(offer(take(make_alert()))), FIRE, OKA), EKA)
        alert.release(OKA, START)
        alert.release(EKA, START)
        take(alert, EKA)
        assert leads(alert) == (FIRE, "eka")
        assert (part_of(alert, POLICE).is_asked, alert.parts.find_awaited()) == (False, [])

    @pytest.mark.parametrize(("by", "refusal"), [(BUDI, NotClaimant), (OKA, NotClaimant), (EKA, NotClaimant)])
    def test_only_who_holds_the_lead_hands_over(self, by: Viewer, refusal: type[Exception]) -> None:
        alert = accept(ask(take(make_alert())))
        with pytest.raises(refusal):
            alert.request_agency(FIRE, "", by, START, hand_over=True)
        assert alert.request_agency(FIRE, "", SARI, START, hand_over=True)

    def test_to_oneself_nothing_is_handed_over(self) -> None:
        assert not take(make_alert()).request_agency(ROOM, "", RINA, START, hand_over=True)

    def test_what_nobody_holds_is_not_handed_over(self) -> None:
        with pytest.raises(NotAcknowledged):
            make_alert().request_agency(POLICE, "", SARI, START, hand_over=True)


def reroute(alert: Alert, agency: str = POLICE) -> bool:
    return alert.reroute("areas/32", Routing.AREA, agency, after(minutes=1))


class TestRerouting:
    def test_what_nobody_holds_has_a_new_lead_at_once(self) -> None:
        alert = make_alert(area="areas/31")
        assert reroute(alert)
        assert leads(alert) == (POLICE, "")
        assert part_of(alert, ROOM).state == ResponseState.RELEASED
        assert (alert.area, alert.routing, alert.state) == ("areas/32", Routing.AREA, State.RAISED)
        assert part_of(alert, POLICE).clock_time == after(minutes=1)
        assert [RINA.view(alert), OKA.view(alert)] == [View.REDACTED, View.AGENCY]

    def test_what_somebody_holds_is_offered(self) -> None:
        alert = take(make_alert(area="areas/31"))
        assert reroute(alert)
        assert leads(alert) == (ROOM, "rina")
        offered = part_of(alert, POLICE)
        assert (offered.requester, offered.hand_over, alert.area) == (ROOM, True, "areas/32")
        assert leads(accept(alert)) == (POLICE, "oka")

    def test_where_the_same_agency_is_responsible_nothing_but_the_area_changes(self) -> None:
        alert = make_alert(area="areas/31")
        assert not reroute(alert, ROOM)
        assert (leads(alert), alert.area) == ((ROOM, ""), "areas/32")

    def test_who_helps_already_leads_with_whoever_holds_its_part(self) -> None:
        alert = accept(ask(take(make_alert())))
        alert.release(RINA, START)
        assert reroute(alert)
        assert (leads(alert), alert.state) == ((POLICE, "oka"), State.ACKNOWLEDGED)

    def test_who_has_refused_leads_when_it_is_responsible(self) -> None:
        alert = ask(take(make_alert()))
        alert.reject_request("no", OKA, START)
        alert.release(RINA, START)
        assert reroute(alert)
        assert (leads(alert), OKA.view(alert)) == ((POLICE, ""), View.AGENCY)

    def test_the_room_whose_units_are_at_work_keeps_seeing_it(self) -> None:
        alert = send(take(make_alert()), make_unit())
        alert.release(RINA, START)
        assert reroute(alert)
        assert leads(alert) == (POLICE, "")
        assert part_of(alert, ROOM).is_live
        assert RINA.view(alert) is View.AGENCY


class TestUpdating:
    def test_what_was_said_is_shown_to_all_sides(self) -> None:
        alert = take(make_alert(kind="FIRE"))
        alert.update({"kind": Kind.MEDICAL, **TARGET}, "", RINA, after(minutes=1))
        for view in (View.AGENCY, View.CALLER):
            message = wire.to_message(alert, view)
            assert (message.kind, message.target.address_text) == (Kind.MEDICAL, "Jalan Braga 1")
        assert alert.place == (-6.9, 107.6)

    def test_violence_is_restricted_from_then_on(self) -> None:
        alert = take(make_alert(kind="FIRE"))
        alert.update({"kind": Kind.VIOLENCE}, "", RINA, START)
        assert BUDI.view(alert) is View.REDACTED
        alert.update({"kind": Kind.FIRE}, "", RINA, START)
        assert BUDI.view(alert) is View.REDACTED

    def test_a_silent_callers_wish_not_to_be_reached_is_not_changed(self) -> None:
        alert = take(make_alert(silent=True))
        alert.update({"contact_preference": 1, "callback_phone": "+628123"}, "", RINA, START)
        assert (alert.contact_preference, alert.callback_phone) == (ContactPreference.DO_NOT_CONTACT, "+628123")

    def test_while_nobody_holds_it_anybody_of_the_lead_may(self) -> None:
        alert = make_alert()
        alert.update({"kind": Kind.FIRE}, "", BUDI, START)
        with pytest.raises(NotClaimant):
            alert.update({"kind": Kind.FIRE}, "", OKA, START)

    @pytest.mark.parametrize(("by", "allowed"), [(RINA, True), (SARI, True), (BUDI, False), (OKA, False), (CHIEF, False)])
    def test_who_holds_the_lead_may_or_their_supervisor(self, by: Viewer, *, allowed: bool) -> None:
        alert = accept(ask(take(make_alert())))
        if allowed:
            alert.update({"kind": Kind.FIRE}, "", by, START)
        else:
            with pytest.raises(NotClaimant):
                alert.update({"kind": Kind.FIRE}, "", by, START)

    def test_an_older_version_is_refused(self) -> None:
        alert = take(make_alert())
        read = alert.etag
        alert.touch(START, shown=False)
        with pytest.raises(AlertChanged):
            alert.update({"kind": Kind.FIRE}, read, RINA, START)
        alert.update({"kind": Kind.FIRE}, alert.etag, RINA, START)

    def test_a_closed_alert_stays_as_it_is(self) -> None:
        alert = take(make_alert())
        alert.resolve(HELPED, RINA, START)
        with pytest.raises(AlertClosed):
            alert.update({"kind": Kind.FIRE}, "", RINA, START)


class TestWhatIsWithheld:
    @pytest.mark.parametrize(("raised", "cancelled"), [({"silent": True}, False), ({}, True), ({"silent": True}, True)])
    def test_the_caller_who_is_shown_nothing_is_not_shown_what_the_agency_changes(self, raised: dict[str, Any], *, cancelled: bool) -> None:
        target = {"addressText": "Jalan Merdeka 1", "point": {"latitude": -6.1, "longitude": 106.8}}
        caller = {"displayName": "Dewi", "callbackPhone": "+62811"}
        alert = take(make_alert(kind="FIRE", area="areas/31", target=target, caller=caller, **raised))
        if cancelled:
            alert.cancel(START)
        shown = wire.to_message(alert, View.CALLER)
        changed = {"kind": Kind.VIOLENCE, **TARGET, "display_name": "D", "callback_phone": "+62899", "contact_preference": 2}
        alert.update(changed, "", RINA, after(minutes=1))
        reroute(alert)
        accept(alert)
        alert.update({"kind": Kind.MEDICAL, "target_address": "Jalan Asia 2"}, "", OKA, after(minutes=2))
        assert wire.to_message(alert, View.CALLER) == shown
        seen = wire.to_message(alert, View.AGENCY)
        assert (seen.kind, seen.agency, seen.area, seen.restricted) == (Kind.MEDICAL, POLICE, "areas/32", True)
        assert (seen.target.address_text, seen.caller.callback_phone) == ("Jalan Asia 2", "+62899")

    def test_what_they_were_shown_before_their_cancel_stays_shown(self) -> None:
        alert = take(make_alert(kind="FIRE"))
        alert.update({"kind": Kind.CRIME}, "", RINA, START)
        alert.cancel(START)
        alert.update({"kind": Kind.MEDICAL}, "", RINA, START)
        assert wire.to_message(alert, View.CALLER).kind == Kind.CRIME
