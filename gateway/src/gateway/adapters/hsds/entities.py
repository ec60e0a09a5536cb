"""Entries of the directory as objects of HSDS. What the directory does not know is left out."""

from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any, TypeAlias
from uuid import UUID, uuid5

from gateway.adapters.hsds.schedules import write_schedules
from siaga.directory.v1.agency_pb2 import Agency, Category, Hotline, PhoneNumber
from siaga.directory.v1.area_pb2 import Area
from siaga.directory.v1.facility_pb2 import Facility

Json = dict[str, Any]
# What somebody can turn to: a service.
Entry: TypeAlias = Facility | Hotline

STATUS = {Facility.ACTIVE: "active", Facility.TEMPORARILY_CLOSED: "temporarily closed", Facility.CLOSED: "defunct"}
WHEELCHAIR = {
    Facility.YES: "Accessible by wheelchair.",
    Facility.LIMITED: "Accessible by wheelchair in a part of it.",
    Facility.NO: "Not accessible by wheelchair.",
}


class Writer:
    """Writes entries together with what they name: the terms of categories, and agencies and areas by name.

    The UUID of a facility is also that of its location and of its service at this location: no other entry of their
    kind has it, and each is found again by it. Ids of parts are made from the owner's and from what the part says.
    """

    def __init__(self, terms: Mapping[Category.ValueType, Json], agencies: Mapping[str, Agency], areas: Mapping[str, Area]) -> None:
        self._terms = terms
        self._agencies = agencies
        self._areas = areas

    def write_organization(self, agency: Agency) -> Json:
        parent = self._agencies.get(agency.parent)
        # A description is required, and nothing but the name is known.
        written: Json = {"id": agency.uid, "name": agency.display_name, "description": agency.display_name}
        if parent:
            written["parent_organization_id"] = parent.uid
        return written

    def write_full_organization(self, agency: Agency, services: Iterable[Json]) -> Json:
        """Its services come as they are written, in brief or in full."""
        phones = write_phones(agency.uid, "organization_id", agency.numbers)
        return self.write_organization(agency) | {"phones": phones, "services": list(services)}

    def write_minimal_service(self, entry: Entry) -> Json:
        """What a harvester needs to see what is new, with the name and status that the standard's schema requires."""
        written = self.write_service(entry)
        return {key: written[key] for key in ("id", "name", "status", "last_modified") if key in written}

    def write_service(self, entry: Entry) -> Json:
        written: Json = {"id": entry.uid, "name": entry.display_name, "status": "active"}
        if entry.HasField("assured_time"):
            written["assured_date"] = entry.assured_time.ToDatetime(UTC).date().isoformat()
        if entry.HasField("update_time"):
            time = entry.update_time.ToDatetime(UTC).isoformat(timespec="milliseconds")
            written["last_modified"] = time.replace("+00:00", "Z")
        if isinstance(entry, Facility):
            written["status"] = STATUS[entry.status]
            if entry.alert_text:
                written["alert"] = entry.alert_text
            if agency := self._agencies.get(entry.agency):
                written |= {"organization_id": agency.uid, "organization": self.write_organization(agency)}
        return written

    def write_full_service(self, entry: Entry) -> Json:
        written = self._write_whole_service(entry)
        if isinstance(entry, Facility):
            written["service_at_locations"] = [self._write_link(entry) | {"location": self._write_location(entry)}]
        return written

    def write_service_at_location(self, facility: Facility) -> Json:
        return self._write_link(facility) | {"location": write_place(facility), "service": self.write_service(facility)}

    def write_full_service_at_location(self, facility: Facility) -> Json:
        return self._write_link(facility) | {"location": self._write_location(facility), "service": self._write_whole_service(facility)}

    def _write_whole_service(self, entry: Entry) -> Json:
        """Write the service with all that it has but its places."""
        written = self.write_service(entry) | {
            "phones": write_phones(entry.uid, "service_id", entry.numbers),
            "service_areas": self._write_service_areas(entry),
            "attributes": [self._write_attribute(entry, category) for category in entry.categories],
        }
        if isinstance(entry, Facility):
            area = self._areas.get(entry.area)
            written["schedules"] = write_schedules(entry.uid, entry.opening_hours, area.time_zone if area else "")
            written["languages"] = [write_language(entry, tag) for tag in entry.languages]
        return written

    def _write_attribute(self, entry: Entry, category: Category.ValueType) -> Json:
        term = self._terms[category]
        return {
            "id": make_id(entry.uid, "attribute", term["code"]),
            "link_id": entry.uid,
            "link_entity": "service",
            "taxonomy_term_id": term["id"],
            "taxonomy_term": term,
        }

    def _write_service_areas(self, entry: Entry) -> list[Json]:
        """Write whom it serves, where the contract says so: of a hotline, and of a facility without a place."""
        if isinstance(entry, Facility) and entry.HasField("point"):
            return []
        area = self._areas.get(entry.area)
        name = area.display_name if area else "The whole country"
        written: Json = {"id": make_id(entry.uid, "service_area", entry.area), "service_id": entry.uid, "name": name}
        return [written]

    @staticmethod
    def _write_link(facility: Facility) -> Json:
        return {"id": facility.uid, "service_id": facility.uid, "location_id": facility.uid}

    @staticmethod
    def _write_location(facility: Facility) -> Json:
        written = write_place(facility)
        if words := WHEELCHAIR.get(facility.wheelchair):
            accessibility = {"id": make_id(facility.uid, "accessibility"), "location_id": facility.uid, "description": words}
            written["accessibility"] = [accessibility]
        return written


def write_place(facility: Facility) -> Json:
    has_place = facility.HasField("point") or bool(facility.address)
    written: Json = {"id": facility.uid, "location_type": "physical" if has_place else "virtual", "name": facility.display_name}
    # An address of HSDS has parts that must be there, such as the postal code; the directory has one text.
    if facility.address:
        written["description"] = facility.address
    if facility.HasField("point"):
        written |= {"latitude": facility.point.latitude, "longitude": facility.point.longitude}
    return written


def write_phones(owner: str, link: str, numbers: Iterable[PhoneNumber]) -> list[Json]:
    return [write_phone(owner, link, number) for number in numbers]


def write_phone(owner: str, link: str, number: PhoneNumber) -> Json:
    use = PhoneNumber.Use.Name(number.use)
    written: Json = {"id": make_id(owner, "phone", use, number.number), link: owner}
    if number.use == PhoneNumber.WHATSAPP:
        # RFC 6350, whose words the type has, knows SMS alone.
        return written | {"number": number.uri.replace("https://wa.me/", "+"), "description": "WhatsApp"}
    # Readers may be in another country; a short number such as 112 stays as it is.
    return written | {"number": number.uri.removeprefix("tel:").partition(";")[0], "type": "voice"}


def write_language(entry: Entry, tag: str) -> Json:
    language: Json = {"id": make_id(entry.uid, "language", tag), "service_id": entry.uid, "code": tag.partition("-")[0]}
    return language | ({"note": tag} if "-" in tag else {})


def make_id(owner: str, *part: str) -> str:
    """Make the same id for the same part of an owner, whatever else it has."""
    return str(uuid5(UUID(owner), " ".join(part)))
