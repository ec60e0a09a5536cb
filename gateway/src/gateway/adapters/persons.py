"""The demo persons of the development issuer."""

from dataclasses import dataclass

ROOM = "agencies/jakarta-112"
POLICE = "agencies/jakarta-police"
FIRE_BRIGADE = "agencies/jakarta-fire"
TEST_CONSOLE = "agencies/sentinel"


@dataclass(frozen=True)
class Person:
    """Somebody to sign in as. `agency` and `areas` scope the roles, where they need it. A `client` is a machine, which signs in
    with client credentials.
    """

    person: str
    name: str
    roles: tuple[str, ...]
    purpose: str
    agency: str = ""
    areas: tuple[str, ...] = ()
    client: bool = False


PERSONS = {
    person.person: person
    for person in (
        Person("citizen-1", "Ayu", ("citizen",), "raises an SOS and follows it"),
        Person("citizen-2", "Bagus", ("citizen",), "somebody else, who must not see it"),
        Person("citizen-3", "Citra", ("citizen",), "one more citizen"),
        Person("dispatcher-112", "Dewi", ("citizen", "dispatcher"), "answers alerts in Jakarta's 112 room", ROOM),
        Person("supervisor-112", "Eko", ("citizen", "supervisor"), "leads Jakarta's 112 room", ROOM),
        Person("supervisor-112-night", "Lestari", ("citizen", "supervisor"), "leads it at night: second person for a wide warning", ROOM),
        Person("crew-ambulance", "Joko", ("citizen", "responder"), "goes to the scene with a unit of Jakarta's 112 room", ROOM),
        Person("dispatcher-police", "Fajar", ("citizen", "dispatcher"), "answers alerts in the police's room", POLICE),
        Person("dispatcher-fire", "Kartika", ("citizen", "dispatcher"), "answers alerts in the fire brigade's room", FIRE_BRIGADE),
        Person("agency-112", "System of Jakarta's 112 room", ("agency",), "a machine: the 112 room's own system", ROOM, client=True),
        Person("sentinel", "Sentinel", ("agency",), "a machine: raises drills at the test console, and alarms", TEST_CONSOLE),
        Person("sms-gateway", "SMS gateway", ("adapter",), "a machine: hands over texts and AML messages"),
        Person("official-gambir", "Gita", ("citizen", "official"), "reads statistics of Gambir", areas=("areas/31.71.01",)),
        Person("official-dki", "Hadi", ("citizen", "official"), "reads statistics of the whole province", areas=("areas/31",)),
        Person("admin", "Indra", ("citizen", "admin"), "administers the platform's own data"),
    )
}
