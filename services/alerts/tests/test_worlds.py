"""Whatever is done before and after, the callers of an incident's other alerts cannot tell how its first one was called off."""

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import pytest
from cities import write_snapshot
from worlds import CALLED_OFF, Course, Step, World, draw_course, run

from alerts.model.enums import Kind
from alerts.model.tables import log
from alerts.operations import answering, incidents
from alerts.routing import Router
from alerts.settings import Settings
from chassis.database import open_database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NIGHTLY = "SIAGA_NIGHTLY" in os.environ
DRAWN = 1000 if NIGHTLY else 40
# A place for each world, with nothing that another one has left.
_places = count()
TAKEN: Step = ("acknowledge", "rina", ("lead", 1))
SENT: Step = ("send", "rina", ("lead", 1), 0)
PUT_TO_OTHERS: Step = ("merge", "rina", ("lead", 3), ("lead", 1))
OTHERS_TAKEN: Step = ("acknowledge", "rina", ("lead", 3))
TO_THE_NEXT: Step = ("send", "rina", 1, 0)
UNDERSTOOD: Step = ("understand", "sari", 0, Kind.VIOLENCE)
ARRIVED: Step = ("move", 0, "ON_SCENE")
COURSES: dict[str, Course] = {
    "put to others, whom somebody has taken": [OTHERS_TAKEN, CALLED_OFF, PUT_TO_OTHERS],
    "put to others, and all of them taken": [CALLED_OFF, PUT_TO_OTHERS, OTHERS_TAKEN],
    "put to others with a unit": [TAKEN, SENT, CALLED_OFF, PUT_TO_OTHERS, ("raise", 2), ("raise", 3), ARRIVED, ("close", "rina", 3)],
    "put to others who end": [TAKEN, SENT, OTHERS_TAKEN, CALLED_OFF, PUT_TO_OTHERS, ARRIVED, ("resolve", "rina", 3), ("raise", 2)],
    "a unit for the next one, who calls off": [TAKEN, TO_THE_NEXT, CALLED_OFF, ("cancel", 1, "pin"), ("raise", 2), ARRIVED],
    "a unit for the next one, who is made to": [TAKEN, TO_THE_NEXT, CALLED_OFF, ("cancel", 1, None), ("raise", 2), ARRIVED],
    "a unit for the next one, who ends": [TAKEN, CALLED_OFF, TO_THE_NEXT, ("resolve", "rina", 1), ("raise", 2), ARRIVED],
    "a unit at the scene for the next one, who ends": [TAKEN, TO_THE_NEXT, CALLED_OFF, ARRIVED, ("resolve", "rina", 1), ("raise", 2)],
    "put to others of another kind": [
        *(TAKEN, SENT, ("correct", "rina", 3, Kind.ACCIDENT), ("correct", "rina", 4, Kind.ACCIDENT), OTHERS_TAKEN),
        *(CALLED_OFF, PUT_TO_OTHERS, ARRIVED, ("raise", 2)),
    ],
    "two that were made to, put to others": [
        *(TAKEN, SENT, ("send", "rina", 1, 1), OTHERS_TAKEN),
        *(CALLED_OFF, ("cancel", 1, None), PUT_TO_OTHERS, ("move", 1, "ON_SCENE"), ARRIVED),
    ],
    "two that were made to, and the next one put to others": [
        *(TAKEN, SENT, ("send", "rina", 1, 1), OTHERS_TAKEN),
        *(CALLED_OFF, ("cancel", 1, None), ("merge", "rina", ("lead", 3), 2), ("move", 1, "ON_SCENE"), ARRIVED),
    ],
    "what is understood to be violence, put to others": [TAKEN, SENT, CALLED_OFF, UNDERSTOOD, PUT_TO_OTHERS, ARRIVED],
    "the next one of what is understood to be violence, put to others": [
        *(TAKEN, SENT, CALLED_OFF, UNDERSTOOD, ("merge", "rina", ("lead", 3), 1), ARRIVED),
    ],
    "what is understood to be violence, beside an older one of another kind": [
        *(("correct", "rina", 3, Kind.ACCIDENT), CALLED_OFF, UNDERSTOOD, ("merge", "rina", 2, 3), ("raise", 2), TAKEN, SENT, ARRIVED),
    ],
    "the next one is understood to be violence, and put to others": [
        *(TAKEN, SENT, CALLED_OFF, ("correct", "rina", 1, Kind.VIOLENCE), ("merge", "rina", ("lead", 3), 1), ARRIVED),
    ],
    "the next one is understood to be violence, and the one after it put to others": [
        *(TAKEN, SENT, CALLED_OFF, ("correct", "rina", 1, Kind.VIOLENCE), ("merge", "rina", ("lead", 3), 2), ARRIVED),
    ],
    "the next one is understood to be violence, and who leads instead put to others": [
        *(TAKEN, SENT, CALLED_OFF, ("correct", "rina", 1, Kind.VIOLENCE), ("merge", "rina", ("lead", 3), ("lead", 2))),
    ],
    "put to others, where it ends": [OTHERS_TAKEN, TAKEN, SENT, CALLED_OFF, PUT_TO_OTHERS, ("end", "rina", 0), ARRIVED],
    "a unit that had been at the scene, where it ends": [
        *(TAKEN, SENT, ARRIVED, CALLED_OFF, ("move", 0, "DONE"), ("end", "sari", 0), ("merge", "sari", ("lead", 1), ("lead", 4))),
    ],
    "another kind of the next two": [
        *(("raise", 2), ("correct", "rina", 5, Kind.ACCIDENT), TAKEN, SENT, CALLED_OFF),
        *(("correct", "rina", 1, Kind.ACCIDENT), ("cancel", 1, "pin"), ARRIVED),
    ],
    "another kind of it, which one that stands for itself has": [
        *(("correct", "rina", 2, Kind.ACCIDENT), CALLED_OFF, ("understand", "rina", 0, Kind.ACCIDENT), ("acknowledge", "rina", 1)),
    ],
    "the next one is understood to be violence, beside one that stands for itself": [
        ("correct", "rina", 1, Kind.ACCIDENT),
        *(("acknowledge", "rina", ("lead", 2)), CALLED_OFF, ("correct", "rina", 2, Kind.VIOLENCE)),
    ],
    "another kind of the next one": [TAKEN, CALLED_OFF, ("correct", "rina", 1, Kind.ACCIDENT), SENT, ARRIVED],
}


@pytest.fixture
async def compare(settings: Settings) -> AsyncIterator[Callable[[Course], Awaitable[None]]]:
    """The callers are shown the same after the right PIN and after the one of duress, as long as the room is answered the same: it is
    shown which one it was.
    """
    write_snapshot(settings.snapshot_file)
    router = Router("127.0.0.1:1", settings.snapshot_file, settings.default_agency)
    async with open_database(settings.database_url.get_secret_value(), log.before_commit, lambda: None) as database:

        async def compare(course: Course) -> None:
            verified, forced = [await run(World(database, router, next(_places), pin), course) for pin in ("pin", "duress")]
            for one, other in zip(verified, forced, strict=True):
                if one.refused != other.refused:
                    break
                assert one.shown == other.shown, course

        yield compare


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
async def test_the_others_cannot_tell_in_what_was_found_once(compare: Callable[[Course], Awaitable[None]], course: Course) -> None:
    await compare(course)


async def test_the_others_cannot_tell_in_any_course(compare: Callable[[Course], Awaitable[None]]) -> None:
    # Other ones each night; of a pull request the same, so that it is judged by what it changes.
    seed = random.randrange(10**9) if NIGHTLY else 112
    print(f"the courses of {seed}")
    draw = random.Random(seed)
    for _ in range(DRAWN):
        await compare(draw_course(draw.choice, draw.randint(0, 3), draw.randint(2, 9)))


def part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "find_bound", lambda *_: {})


def owe_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "list_due", lambda _: {})


def give_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "hand_on", lambda *_, **__: ([], []))


@pytest.mark.parametrize("mutant", [part, owe_nothing, give_nothing])
async def test_what_they_could_tell_is_found(
    compare: Callable[[Course], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, mutant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mutant(monkeypatch)
    found = 0
    for course in COURSES.values():
        try:
            await compare(course)
        except AssertionError:
            found += 1
    assert found
