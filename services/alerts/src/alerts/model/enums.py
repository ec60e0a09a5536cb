"""The contract's words as numbers."""

from enum import Enum, IntEnum


class Kind(IntEnum):
    """What help is needed for; 0 where the caller did not say."""

    MEDICAL = 1
    FIRE = 2
    CRIME = 3
    VIOLENCE = 4
    ACCIDENT = 5
    DISASTER = 6
    OTHER = 7


class State(IntEnum):
    RAISED = 1
    ACKNOWLEDGED = 2
    DISPATCHED = 3
    ON_SCENE = 4
    RESOLVED = 5
    CANCELLED = 6


class Channel(IntEnum):
    APP = 1
    SMS = 2
    VOICE = 3


class Source(IntEnum):
    """Where a position comes from that is not a caller's own app's."""

    AML = 3
    SMS = 4


class ContactPreference(IntEnum):
    DO_NOT_CONTACT = 3


class Routing(IntEnum):
    AREA = 1
    NEAREST = 2
    DEFAULT = 3


class CancelClaim(IntEnum):
    NONE = 0
    UNVERIFIED = 1
    VERIFIED = 2
    DURESS = 3


class Part(IntEnum):
    LEAD = 1
    SUPPORT = 2


class ResponseState(IntEnum):
    REQUESTED = 1
    ACCEPTED = 2
    REJECTED = 3
    RELEASED = 4
    DONE = 5


class Escalation(IntEnum):
    """Who is called when nobody answers."""

    NONE = 0
    EVERYONE = 1
    SUPERVISOR = 2
    PARENT = 3


class Outcome(IntEnum):
    """How an alert ended; 0 while it has not."""

    FALSE_ALARM = 2
    PRANK = 3
    DUPLICATE = 4


class RollCall(Enum):
    """What became of a call of the roll."""

    DUE = "due"
    MISSED = "missed"
    # So many in a row that the crew may itself need help.
    MAYDAY = "mayday"


class Status(IntEnum):
    """How far a unit has come."""

    ACCEPTED = 1
    EN_ROUTE = 2
    ON_SCENE = 3
    DONE = 4
    DECLINED = 5
    ASSIGNED = 6


class UnitKind(IntEnum):
    AMBULANCE = 1
    FIRE_ENGINE = 2
    PATROL_CAR = 3
    MOTORCYCLE = 4
    RESCUE = 5
    BOAT = 6
    TEAM = 7


class Duty(IntEnum):
    OFF_DUTY = 1
    ON_DUTY = 2


class Grouping(IntEnum):
    """Whether an alert was looked at for what it belongs to."""

    WAITING = 0
    DONE = 1
    # Somebody took it out, and nothing puts it back.
    APART = 2


class Sender(IntEnum):
    CALLER = 1
    AGENCY = 2


class Audience(IntEnum):
    """Each sees its own events and those of the ones before it."""

    # Everybody.
    PUBLIC = 0
    CALLER = 1
    CONTACT = 2
    RESPONDER = 3
    AGENCY = 4


class View(Enum):
    """How much of an alert somebody is shown, and of its timeline."""

    CALLER = "caller"
    CREW = "crew"
    AGENCY = "agency"
    # That it exists, and no more.
    REDACTED = "redacted"

    @property
    def audience(self) -> Audience:
        return {View.CALLER: Audience.CALLER, View.CREW: Audience.RESPONDER}.get(self, Audience.AGENCY)


class WarningState(IntEnum):
    """What has become of a public warning."""

    PENDING = 1
    ISSUED = 2
    UPDATED = 3
    CANCELLED = 4
    EXPIRED = 5


class WarningStatus(IntEnum):
    """Whom a public warning is for."""

    ACTUAL = 1
    EXERCISE = 2
    TEST = 3


class MessageType(IntEnum):
    """What a message of a public warning does."""

    ALERT = 1
    UPDATE = 2
    CANCEL = 3
