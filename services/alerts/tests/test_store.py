"""The questions that alerts asks its database, on both engines."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from crews import OKA, POLICE, accept, ask, offer, send, take
from moments import BUDI, CITRA, DEWI, RINA, ROOM, SARI, START, TOKEN_HASH, after, change, keep, make_alert, make_position
from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.enums import CancelClaim, Channel, State
from alerts.model.incidents import Doubt, assess
from alerts.model.responses import Response
from alerts.model.tables import log
from alerts.model.timeline import Note
from alerts.model.viewers import Viewer
from alerts.operations.incidents import form_incident
from alerts.settings import Settings
from alerts.store import alerts as store
from alerts.store import units as unit_store
from alerts.store.alerts import Filters
from alerts.store.incidents import Candidate, find_candidates, find_incident
from chassis.database import Database, open_database
from siaga.alerts.v1 import alert_pb2

FIRE, CRIME, VIOLENCE = alert_pb2.Alert.FIRE, alert_pb2.Alert.CRIME, alert_pb2.Alert.VIOLENCE
LOCATION = {"point": {"latitude": -6.1, "longitude": 106.7}}
ALL = Filters(
    states=[], kinds=[], areas=None, agency="", incident="", created_after=None, created_before=None, updated_after=None, drills=False
)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings.database_url.get_secret_value(), log.before_commit, lambda: None) as database:
        yield database


def resolve(alert: Alert, by: Viewer = RINA, now: datetime = START) -> None:
    alert.acknowledge(by.user, by, now)
    alert.resolve(alert_pb2.Alert.HELPED, by, now)


async def ask_agency(database: Database, filters: Filters = ALL, viewer: Viewer = RINA, before: str = "", limit: int = 100) -> list[str]:
    return names(await database.read(lambda session: store.list_alerts_of_agency(session, viewer, filters, before, limit)))


async def ask_user(database: Database, filters: Filters = ALL, user: str = "dewi", before: str = "", limit: int = 100) -> list[str]:
    return names(await database.read(lambda session: store.list_alerts_of_user(session, user, filters, before, limit)))


def names(alerts: Iterable[Alert]) -> list[str]:
    return [each.name for each in alerts]


def newest_first(*alerts: Alert) -> list[str]:
    return sorted(names(alerts), reverse=True)


async def test_an_alert_comes_back_as_it_was_raised(database: Database) -> None:
    raised = make_alert(
        kind="FIRE",
        note="asap di lantai 3 🔥",
        location={"point": {"latitude": -6.1754, "longitude": 106.8272}, "accuracyMeters": 12.5, "fixTime": "2026-03-01T11:59:58.123456Z"},
        target={"point": {"latitude": 0, "longitude": 0}, "addressText": "Jalan Merdeka 1"},
        externalIds={"jaki": "7"},
    )
    await keep(database, raised)
    found = await database.read(lambda session: store.find_alert(session, raised.name))
    assert found
    for column in Alert.__table__.columns:
        assert getattr(found, column.key) == getattr(raised, column.key), column.key
    for column in Response.__table__.columns:
        assert getattr(found.parts.lead, column.key) == getattr(raised.parts.lead, column.key), column.key


async def test_what_is_absent_is_not_found(database: Database) -> None:
    assert await database.read(lambda session: store.find_alert(session, "alerts/none")) is None
    assert await database.read(lambda session: store.find_alerts(session, {"alerts/none"})) == []


async def test_lists_begin_with_the_newest(database: Database) -> None:
    alerts = [make_alert(now=after(seconds=each)) for each in range(5)]
    await keep(database, *alerts)
    assert await ask_agency(database) == await ask_user(database) == newest_first(*alerts)


async def test_a_page_goes_on_where_the_one_before_ended(database: Database) -> None:
    alerts = [make_alert() for _ in range(5)]
    await keep(database, *alerts)
    for read in (ask_agency, ask_user):
        first = await read(database, limit=2)
        second = await read(database, before=first[-1], limit=2)
        third = await read(database, before=second[-1], limit=2)
        assert [*first, *second, *third] == newest_first(*alerts)
        assert await read(database, before=third[-1]) == []


async def test_an_agency_lists_its_own_and_a_user_theirs(database: Database) -> None:
    ours, theirs, adis = make_alert(), make_alert(agency=CITRA.agency), make_alert(user="adi")
    await keep(database, ours, theirs, adis)
    assert await ask_agency(database) == newest_first(ours, adis)
    assert await ask_agency(database, viewer=CITRA) == [theirs.name]
    assert await ask_user(database) == newest_first(ours, theirs)
    assert await ask_user(database, user="nobody") == []


async def test_the_account_that_raised_a_silent_alert_does_not_list_it(database: Database) -> None:
    silent, loud = make_alert(silent=True), make_alert()
    await keep(database, silent, loud)
    assert await ask_user(database) == [loud.name]
    assert await ask_agency(database) == newest_first(silent, loud)


async def test_drills_are_listed_to_those_alone_who_ask_for_them(database: Database) -> None:
    drill, real = make_alert(drill=True), make_alert()
    await keep(database, drill, real)
    asked = replace(ALL, drills=True)
    assert await ask_agency(database) == await ask_user(database) == [real.name]
    assert await ask_agency(database, asked) == await ask_user(database, asked) == newest_first(drill, real)


async def test_each_filter_leaves_out_what_it_does_not_name(database: Database) -> None:
    early = make_alert(kind="FIRE", area="areas/a", now=after(hours=1))
    middle = make_alert(kind="CRIME", area="areas/b", now=after(hours=2))
    late = make_alert(kind="OTHER", area="areas/c", now=after(hours=3))
    await keep(database, early, middle, late)
    await change(database, early, lambda alert: resolve(alert, now=after(hours=4)))
    await change(database, middle, lambda alert: alert.acknowledge("rina", RINA, after(hours=2)))
    answers: list[tuple[dict[str, object], Sequence[Alert]]] = [
        ({"states": [State.RAISED]}, [late]),
        ({"states": [State.RAISED, State.RESOLVED]}, [late, early]),
        ({"kinds": [FIRE]}, [early]),
        ({"kinds": [FIRE, CRIME]}, [middle, early]),
        ({"areas": ["areas/b", "areas/c"]}, [late, middle]),
        ({"areas": []}, []),
        ({"agency": ROOM}, [late, middle, early]),
        ({"agency": CITRA.agency}, []),
        ({"created_after": after(hours=2)}, [late, middle]),
        ({"created_before": after(hours=2)}, [early]),
        ({"created_after": after(hours=2), "created_before": after(hours=3)}, [middle]),
        ({"updated_after": after(hours=3)}, [late, early]),
        ({"updated_after": after(hours=5)}, []),
        # As early and as late as a time can be.
        ({"created_before": datetime.min.replace(tzinfo=UTC)}, []),
        ({"created_after": datetime.min.replace(tzinfo=UTC)}, [late, middle, early]),
        ({"created_after": datetime.max.replace(tzinfo=UTC)}, []),
        ({"created_before": datetime.max.replace(tzinfo=UTC)}, [late, middle, early]),
    ]
    for filters, expected in answers:
        asked = replace(ALL, **filters)
        assert await ask_agency(database, asked) == newest_first(*expected), filters
        assert await ask_user(database, asked) == newest_first(*expected), filters


async def test_filters_hold_together(database: Database) -> None:
    matching = make_alert(kind="FIRE", area="areas/a", now=after(hours=1))
    others = [
        make_alert(kind="CRIME", area="areas/a", now=after(hours=1)),
        make_alert(kind="FIRE", area="areas/b", now=after(hours=1)),
        make_alert(kind="FIRE", area="areas/a", now=after(hours=3)),
        make_alert(kind="FIRE", area="areas/a", now=after(hours=1), drill=True),
        make_alert(kind="FIRE", area="areas/a", now=after(hours=1), user="adi", agency=CITRA.agency),
    ]
    await keep(database, matching, *others)
    asked = Filters(
        states=[State.RAISED],
        kinds=[FIRE],
        areas=["areas/a"],
        agency=ROOM,
        incident="",
        created_after=after(hours=1),
        created_before=after(hours=2),
        updated_after=after(hours=1),
        drills=False,
    )
    assert await ask_agency(database, asked) == await ask_user(database, asked) == [matching.name]


async def test_a_user_filters_by_what_they_are_shown(database: Database) -> None:
    cancelled = make_alert()
    await keep(database, cancelled)
    await change(database, cancelled, lambda alert: alert.cancel(after(minutes=1)))
    await change(database, cancelled, lambda alert: resolve(alert, now=after(hours=1)))
    assert await ask_user(database, replace(ALL, states=[State.CANCELLED])) == [cancelled.name]
    assert await ask_user(database, replace(ALL, states=[State.RESOLVED])) == []
    assert await ask_agency(database, replace(ALL, states=[State.RESOLVED])) == [cancelled.name]
    # Else a list would tell whoever holds the phone that the agency went on.
    assert await ask_user(database, replace(ALL, updated_after=after(minutes=30))) == []
    assert await ask_agency(database, replace(ALL, updated_after=after(minutes=30))) == [cancelled.name]


async def test_the_kind_of_a_restricted_alert_is_found_by_those_who_may_see_it(database: Database) -> None:
    violence, silent_fire, fire = make_alert(kind="VIOLENCE"), make_alert(kind="FIRE", silent=True), make_alert(kind="FIRE")
    await keep(database, violence, silent_fire, fire)
    await change(database, violence, lambda alert: alert.acknowledge("rina", RINA, START))
    for viewer, violent, burning in (
        (RINA, [violence], [fire]),
        (BUDI, [], [fire]),
        (SARI, [violence], [silent_fire, fire]),
    ):
        assert await ask_agency(database, replace(ALL, kinds=[VIOLENCE]), viewer) == newest_first(*violent), viewer
        assert await ask_agency(database, replace(ALL, kinds=[FIRE]), viewer) == newest_first(*burning), viewer
        # Without the filter everybody of the agency is told that it exists.
        assert await ask_agency(database, viewer=viewer) == newest_first(violence, silent_fire, fire)


async def test_the_kind_of_a_restricted_alert_that_is_closed_is_found_by_nobody(database: Database) -> None:
    """Or it would be read without a reason, and without a trace."""
    violence, fire = make_alert(kind="VIOLENCE"), make_alert(kind="FIRE")
    await keep(database, violence, fire)
    for each in (violence, fire):
        await change(database, each, resolve)
    for viewer in (RINA, SARI):
        for states in ([], [State.RESOLVED]):
            asked = replace(ALL, kinds=[VIOLENCE, FIRE], states=states)
            assert await ask_agency(database, asked, viewer) == [fire.name]
        assert await ask_agency(database, replace(ALL, states=[State.RESOLVED]), viewer) == newest_first(violence, fire)


async def test_doubtful_open_alerts_come_last_but_for_restricted_ones_of_which_that_would_tell(database: Database) -> None:
    doubtful, restricted, fire, unknown = (make_alert(**each) for each in ({}, {"kind": "VIOLENCE"}, {}, {"silent": True, "user": ""}))
    await keep(database, doubtful, restricted, fire, unknown)
    for each in (doubtful, restricted):
        await change(database, each, lambda alert: assess(alert, [Doubt.PRANKS_BEFORE], None, START))
    found = await database.read(lambda session: names(store.find_open_alerts(session, ROOM, drills=False)))
    assert found == [restricted.name, fire.name, unknown.name, doubtful.name]


async def test_open_alerts_are_those_that_the_agency_has_not_closed_the_oldest_first(database: Database) -> None:
    alerts = sorted((make_alert() for _ in range(4)), key=lambda alert: alert.name)
    drill, theirs = make_alert(drill=True), make_alert(agency=CITRA.agency)
    await keep(database, *reversed(alerts), drill, theirs)
    await change(database, alerts[1], resolve)
    await change(database, alerts[2], lambda alert: alert.cancel(START))

    def ask(session: Session) -> list[list[str]]:
        return [names(store.find_open_alerts(session, ROOM, drills=drills)) for drills in (False, True)]

    open_alerts = [alerts[0].name, alerts[2].name, alerts[3].name]
    assert await database.read(ask) == [open_alerts, sorted([*open_alerts, drill.name])]


async def test_what_an_agency_has_refused_is_listed_to_it_and_neither_open_nor_found_by_its_kind(database: Database) -> None:
    asked, refused, given_away = (make_alert(kind="FIRE") for _ in range(3))
    await keep(database, asked, refused, given_away)
    await change(database, asked, lambda alert: ask(take(alert)))
    await change(database, refused, lambda alert: ask(take(alert)).reject_request("no", OKA, START))
    await change(database, given_away, lambda alert: accept(offer(take(alert))))

    def find_open(session: Session) -> list[list[str]]:
        return [names(store.find_open_alerts(session, each, drills=False)) for each in (ROOM, POLICE)]

    assert await database.read(find_open) == [sorted(names([asked, refused])), sorted(names([asked, given_away]))]
    for viewer, found in ((RINA, [asked, refused]), (OKA, [asked, given_away])):
        assert await ask_agency(database, replace(ALL, kinds=[FIRE]), viewer) == newest_first(*found)
        assert await ask_agency(database, viewer=viewer) == newest_first(asked, refused, given_away)


async def test_an_agency_is_found_by_what_it_leads(database: Database) -> None:
    ours, theirs = make_alert(), make_alert()
    await keep(database, ours, theirs)
    await change(database, theirs, lambda alert: accept(offer(take(alert))))
    assert await ask_agency(database, replace(ALL, agency=POLICE)) == [theirs.name]
    assert await ask_agency(database, replace(ALL, agency=ROOM), OKA) == []


async def test_a_unit_has_the_alert_that_it_is_at_work_for(database: Database) -> None:
    alert = make_alert()
    await keep(database, alert)
    columns = {"kind": 1, "display_name": "A", "crew": ["tono"], "duty": 2, "update_time": START, "agency": ROOM}

    def work(session: Session) -> None:
        for name in ("units/amb-1", "units/amb-2"):
            assert unit_store.add_unit(session, {**columns, "name": name, "alert": ""})
            assert not unit_store.add_unit(session, {**columns, "name": name, "alert": "", "agency": POLICE})
        found, units = store.find_alert(session, alert.name, for_update=True), unit_store.lock_units(session, ["units/amb-1", "units/none"])
        assert found
        assert list(units) == ["units/amb-1"]
        send(take(found), *units.values())

    await database.write(work)

    def read(session: Session) -> list[list[str]]:
        return [names(store.find_alerts_of_unit(session, each)) for each in ("units/amb-1", "units/amb-2", "units/none")]

    assert await database.read(read) == [[alert.name], [], []]
    found = await database.read(lambda session: store.find_alert(session, alert.name))
    assert found
    assert [(each.unit, each.crew, each.arrive_time) for each in found.assignments] == [("units/amb-1", ["tono"], None)]


async def test_an_alert_for_update_is_read_anew(database: Database) -> None:
    alert = make_alert()
    await keep(database, alert)

    def operation(session: Session) -> None:
        seen = store.find_alert(session, alert.name)
        assert seen
        session.connection().execute(Alert.__table__.update().values(note="newer"))
        assert store.find_alert(session, alert.name, for_update=True) is seen
        assert seen.note == "newer"

    await database.write(operation)


async def test_notes_are_found_by_their_ids(database: Database) -> None:
    alert = make_alert()
    await keep(database, alert)
    notes = {f"note-{each}": f"text {each}" for each in range(3)}

    def operation(session: Session) -> None:
        for key, text in notes.items():
            store.add_note(session, Note(id=key, alert=alert.name, text=text))

    await database.write(operation)
    assert await database.read(lambda session: store.find_notes(session, {"note-0", "note-2", "none"})) == {
        "note-0": "text 0",
        "note-2": "text 2",
    }
    assert await database.read(lambda session: store.find_notes(session, set())) == {}


async def test_positions_are_kept_as_they_came(database: Database) -> None:
    alert = make_alert()
    await keep(database, alert)
    fixes = [after(seconds=each) for each in (3, 1, 2)]
    await database.write(lambda session: store.add_positions(session, [make_position(alert, each) for each in fixes]))
    tables = type(make_position(alert, START))

    def read(session: Session) -> list[tuple[str, datetime, float]]:
        return [(each.alert, each.fix_time, each.latitude) for each in session.scalars(select(tables).order_by(tables.id))]

    assert await database.read(read) == [(alert.name, each, -6.2) for each in fixes]


async def test_a_user_who_answers_for_an_agency_is_listed_what_is_its_and_not_their_own(database: Database) -> None:
    own, others, written_down, drill = (make_alert(user=user) for user in (DEWI.user, "adi", "", DEWI.user))
    written_down.channel, drill.drill = Channel.VOICE, True
    await keep(database, own, others, written_down, drill)
    dewi, drills = replace(DEWI, agency=ROOM), replace(ALL, drills=True)
    assert await ask_agency(database, drills, dewi) == newest_first(others, written_down, drill)
    # Nobody stands behind a system.
    assert await ask_agency(database, drills, replace(dewi, is_system=True)) == newest_first(own, others, written_down, drill)
    # All of them have the same one here.
    assert await ask_agency(database, drills, replace(RINA, token_hash=TOKEN_HASH)) == newest_first(written_down, drill)


async def test_what_a_new_alert_may_join_is_the_same_whether_or_not_one_that_was_called_off_is_closed(database: Database) -> None:
    lead, other = (make_alert(kind="FIRE", location=LOCATION, now=after(minutes=minute)) for minute in (0, 10))
    await keep(database, lead, other)

    def put_together(session: Session) -> None:
        incident = form_incident(session, "incidents/fire", lead, START)
        for alert in find_alerts(session, (lead, other)):
            alert.incident, alert.merged_into = incident.name, "" if alert.name == lead.name else lead.name
        incident.admit(1, after(minutes=10))

    def find_alerts(session: Session, alerts: Iterable[Alert]) -> list[Alert]:
        return [found for each in alerts if (found := store.find_alert(session, each.name, for_update=True))]

    def find(session: Session) -> Sequence[Candidate]:
        return find_candidates(session, {lead.cell}, other.name)

    def cancel(session: Session) -> None:
        standing, called_off = find_alerts(session, (lead, other))
        called_off.cancel(after(minutes=20), CancelClaim.VERIFIED)
        incident = find_incident(session, "incidents/fire")
        assert incident
        assert incident.follow(standing, None, 2, 1, [place for each in [standing] if (place := each.place)], after(minutes=20))

    await database.write(put_together)
    [before] = await database.read(find)
    assert (before.name, before.latest_time, before.members) == (lead.name, after(minutes=10), 2)
    await database.write(cancel)
    assert await database.read(find) == [before]
