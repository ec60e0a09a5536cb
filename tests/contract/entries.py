"""Entries of the directory to make, to change and to remove; each test has its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.rpcs import Answer, Services, new_id

HERE = {"latitude": -6.17, "longitude": 106.82}
AREA = "areas/31.71.01"
# With the address that it is told with, which is not read.
NUMBER = {"number": "112", "use": "CALL", "uri": "tel:112;phone-context=+62"}
_ASSURED = {"assuredBy": "The governor's office", "assuredTime": "2026-01-02T03:04:05Z"}
_ASSURED_AGAIN = {"assuredBy": "The mayor's office", "assuredTime": "2026-02-03T04:05:06Z"}


@dataclass(frozen=True)
class Kind:
    """What an entry of this kind has.

    `whole` is all that can be changed, `other` the same with other values, `needed` the names of what no entry can be
    without, `fixed` what never changes.
    """

    name: str
    collection: str
    whole: dict[str, Any]
    other: dict[str, Any]
    needed: set[str]
    fixed: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def word(self) -> str:
        """The entry's in requests."""
        return self.name.lower()

    @property
    def fewest(self) -> dict[str, Any]:
        return {name: self.whole[name] for name in self.needed}


_AREA = Kind(
    "Area",
    "areas",
    {"displayName": "An area", "point": HERE, "timeZone": "Asia/Jakarta", "emergencyNumber": "112"},
    {"displayName": "Another one", "point": {"latitude": -6.2, "longitude": 106.8}, "timeZone": "Asia/Makassar", "emergencyNumber": "113"},
    {"displayName", "point", "timeZone", "emergencyNumber"},
    {"level": "VILLAGE", "parent": AREA},
)
_POLICY = {"rollCallSeconds": 0, "limits": [{"kind": "FIRE", "state": "DISPATCHED", "warnSeconds": 300, "alertSeconds": 600}]}
_AGENCY = Kind(
    "Agency",
    "agencies",
    {
        "displayName": "An agency",
        "parent": "agencies/jakarta-112",
        "numbers": [NUMBER],
        "sipUri": "sip:a@b.example",
        "alertPolicy": {"acknowledgeSeconds": 20},
        **_ASSURED,
    },
    {
        "displayName": "Another one",
        "parent": "agencies/jakarta-fire",
        "numbers": [],
        "sipUri": "sips:c@d.example",
        "alertPolicy": _POLICY,
        **_ASSURED_AGAIN,
    },
    {"displayName"},
)
_HOTLINE = Kind(
    "Hotline",
    "hotlines",
    {"displayName": "A hotline", "categories": ["POLICE"], "numbers": [NUMBER], "area": AREA, **_ASSURED},
    {"displayName": "Another one", "categories": ["FIRE"], "numbers": [NUMBER, NUMBER], "area": "areas/31", **_ASSURED_AGAIN},
    {"displayName", "categories", "numbers"},
)
_FACILITY = Kind(
    "Facility",
    "facilities",
    {
        "displayName": "A facility",
        "categories": ["POLICE", "FIRE"],
        "agency": "agencies/jakarta-police",
        "area": AREA,
        "point": HERE,
        "address": "Jalan Medan Merdeka",
        "numbers": [NUMBER],
        "openingHours": "24/7",
        "languages": ["id"],
        "wheelchair": "YES",
        "status": "TEMPORARILY_CLOSED",
        "alertText": "Closed today",
        **_ASSURED,
    },
    {
        "displayName": "Another one",
        "categories": ["HOSPITAL"],
        "agency": "agencies/jakarta-fire",
        "area": "areas/31.71",
        "point": {"latitude": -6.2, "longitude": 106.8},
        "address": "Jalan Thamrin",
        "numbers": [NUMBER, NUMBER],
        "openingHours": "Mo-Fr 08:00-16:00; PH off",
        "languages": ["id", "en"],
        "wheelchair": "NO",
        "status": "CLOSED",
        "alertText": "Closed for good",
        **_ASSURED_AGAIN,
    },
    {"displayName", "categories", "area", "numbers"},
)
KINDS = {kind.name: kind for kind in (_AREA, _AGENCY, _HOTLINE, _FACILITY)}


class Entries:
    """Makes them and asks for them, as an administrator."""

    def __init__(self, services: Services, admin: str) -> None:
        self.services, self.admin = services, admin

    def ask(self, rpc: str, content: Mapping[str, Any], **more: Any) -> Answer:
        return self.services.call(f"directory.{rpc}", {**content, **more}, token=self.admin)

    def make(self, kind: Kind, **fields: Any) -> Any:
        """A fresh entry with all its fields."""
        return self.ask(f"Create{kind.name}", describe_creation(kind, **fields)).message

    def get(self, kind: Kind, name: str) -> Answer:
        return self.ask(f"Get{kind.name}", {"name": name})

    def update(self, kind: Kind, name: str, content: Mapping[str, Any], mask: str = "") -> Answer:
        return self.ask(f"Update{kind.name}", {kind.word: {"name": name, **content}, "updateMask": mask})

    def changes(self, name: str) -> list[Any]:
        return list(self.ask("ListDirectoryChanges", {"name": name, "pageSize": 1000}).message.changes)


def describe_creation(kind: Kind, **fields: Any) -> dict[str, Any]:
    """A request of the kind's Create RPC, for a name that no other entry has."""
    # The code of an area begins with its parent's.
    unique = f"{AREA.removeprefix('areas/')}.{new_id()}" if kind is _AREA else new_id()
    return {f"{kind.word}Id": unique, kind.word: {**kind.fixed, **kind.whole, **fields}}
