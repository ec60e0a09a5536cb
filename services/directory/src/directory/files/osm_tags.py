"""What OpenStreetMap's tags say of a facility, as a row of text, and the tags that say it of ours."""

import re
from collections.abc import Iterator, Mapping

from directory.files.facility_row import LANGUAGE, MAX_ENTRIES, MAX_LINE, MAX_TEXT, write_numbers
from directory.hours import find_fault_of_hours
from directory.model import Category, Facility, PhoneNumber, Use
from directory.phones import read_number, write_uri

# The first tag of a category is the one that is written. A lifeguard's tower is no place to call for help; a base is.
_CATEGORIES = {
    ("amenity", "police"): Category.POLICE,
    ("amenity", "fire_station"): Category.FIRE,
    ("emergency", "ambulance_station"): Category.AMBULANCE,
    ("amenity", "hospital"): Category.HOSPITAL,
    ("healthcare", "hospital"): Category.HOSPITAL,
    ("amenity", "clinic"): Category.HEALTH_CENTRE,
    ("amenity", "doctors"): Category.HEALTH_CENTRE,
    ("amenity", "health_post"): Category.HEALTH_CENTRE,
    ("healthcare", "centre"): Category.HEALTH_CENTRE,
    ("healthcare", "clinic"): Category.HEALTH_CENTRE,
    ("amenity", "rescue_station"): Category.SEARCH_AND_RESCUE,
    ("emergency", "mountain_rescue"): Category.SEARCH_AND_RESCUE,
    ("emergency", "water_rescue"): Category.SEARCH_AND_RESCUE,
    # What water_rescue replaced in 2023.
    ("emergency", "marine_rescue"): Category.SEARCH_AND_RESCUE,
    ("emergency", "lifeboat_station"): Category.SEARCH_AND_RESCUE,
    ("amenity", "lifeboat_station"): Category.SEARCH_AND_RESCUE,
    ("lifeguard", "base"): Category.SEARCH_AND_RESCUE,
}
# Of the social facilities alone those where nobody lives: the place of a shelter must not be published.
_COUNSELLING = {"amenity": "social_facility", "social_facility": "outreach", "social_facility:for": "woman;child"}
_PROTECTED = {"woman", "women", "child", "children", "juvenile", "abused", "victim"}
_GONE = ("disused", "abandoned", "demolished", "removed", "razed")
_NAMES = ("name", "name:id", "official_name")
# What a place without a name is called, before the name of who runs it.
_KINDS = {
    Category.POLICE: "Kantor Polisi",
    Category.FIRE: "Pos Pemadam Kebakaran",
    Category.AMBULANCE: "Pos Ambulans",
    Category.SEARCH_AND_RESCUE: "Pos SAR",
    Category.WOMEN_AND_CHILDREN: "Layanan Perempuan dan Anak",
    Category.HOSPITAL: "Rumah Sakit",
    Category.HEALTH_CENTRE: "Klinik",
}
_PHONES = {
    "emergency:phone": Use.CALL,
    "phone": Use.CALL,
    "contact:phone": Use.CALL,
    "mobile": Use.CALL,
    "contact:mobile": Use.CALL,
    "contact:whatsapp": Use.WHATSAPP,
}
_CHAT = re.compile(r"https?://(wa\.me/|api\.whatsapp\.com/send\?phone=)\+?")


def read_tags(tags: Mapping[str, str], country: str) -> dict[str, str]:
    """A row, in which a column is empty where the tags say nothing that can be used: anybody may have written them.

    Without categories where the element is none of our facilities.
    """
    categories = list(dict.fromkeys(_find_categories(tags)))
    hours = tags.get("opening_hours", "").strip()
    wheelchair = tags.get("wheelchair", "").replace("designated", "yes")
    return {
        "name": _clean(_find_name(tags, categories), MAX_LINE),
        "categories": " ".join(category.name for category in categories),
        "address": _clean(tags.get("addr:full") or _join_address(tags), MAX_TEXT),
        "numbers": write_numbers(list(_find_numbers(tags, country))[:MAX_ENTRIES]),
        "opening_hours": hours if len(hours) <= MAX_TEXT and hours.isprintable() and not find_fault_of_hours(hours) else "",
        "languages": " ".join(_find_languages(tags)[:MAX_ENTRIES]),
        "wheelchair": wheelchair if wheelchair in {"yes", "limited", "no"} else "",
    }


def write_tags(facility: Facility, row: Mapping[str, str], country: str) -> dict[str, str]:
    """As much as OpenStreetMap has tags for. Numbers are written as they are dialled from everywhere, where they can be."""
    tags = {"name": row["name"]}
    for category in facility.categories:
        written = dict([tag for tag, each in _CATEGORIES.items() if each == category][:1])
        if category == Category.WOMEN_AND_CHILDREN:
            written = _COUNSELLING
        if not written.keys() & tags.keys():
            tags |= written
    for key, use in (("phone", Use.CALL), ("contact:whatsapp", Use.WHATSAPP)):
        tags[key] = ";".join(_write_number(each["number"], country) for each in facility.numbers if each["use"] == use)
    tags |= {"addr:full": row["address"], "opening_hours": row["opening_hours"], "wheelchair": row["wheelchair"]}
    tags |= {f"language:{language}": "yes" for language in facility.languages}
    return {key: value for key, value in tags.items() if value}


def _find_categories(tags: Mapping[str, str]) -> Iterator[Category]:
    kinds = set(_split(tags.get("social_facility", "")))
    if kinds & {"shelter", "group_home"} or any(tags.get(state, "no") != "no" for state in _GONE):
        return
    said = {(key, value) for key in ("amenity", "emergency", "healthcare", "lifeguard") for value in _split(tags.get(key, ""))}
    yield from (category for tag, category in _CATEGORIES.items() if tag in said)
    if "outreach" in kinds and _PROTECTED & set(_split(tags.get("social_facility:for", ""))):
        yield Category.WOMEN_AND_CHILDREN


def _find_name(tags: Mapping[str, str], categories: list[Category]) -> str:
    if name := next((tags[key] for key in _NAMES if tags.get(key, "").strip()), ""):
        return name
    operator = tags.get("operator", "").strip()
    return f"{_KINDS[categories[0]]} {operator}" if operator and categories else ""


def _find_numbers(tags: Mapping[str, str], country: str) -> Iterator[PhoneNumber]:
    found = set[tuple[str, Use]]()
    for key, use in _PHONES.items():
        for text in re.split("[;,]", tags.get(key, "")):
            try:
                number = read_number(_CHAT.sub("+", text.strip()), country)
            except ValueError:
                continue
            if (number, use) not in found:
                found.add((number, use))
                yield {"number": number, "use": use}


def _write_number(number: str, country: str) -> str:
    uri = write_uri(number, country, whatsapp=False)
    return number if ";" in uri else uri.removeprefix("tel:")


def _find_languages(tags: Mapping[str, str]) -> list[str]:
    said = [key.removeprefix("language:") for key, value in tags.items() if key.startswith("language:") and value in {"yes", "main"}]
    return list({language.lower(): language for language in said if LANGUAGE.fullmatch(language)}.values())


def _join_address(tags: Mapping[str, str]) -> str:
    parts = (
        f"{tags.get('addr:street', '')} {tags.get('addr:housenumber', '')}",
        tags.get("addr:suburb", ""),
        f"{tags.get('addr:city', '')} {tags.get('addr:postcode', '')}",
    )
    return ", ".join(part.strip() for part in parts if part.strip())


def _clean(text: str, longest: int) -> str:
    """In one line that can be printed."""
    words = ("".join(filter(str.isprintable, word)) for word in text.split())
    return " ".join(word for word in words if word)[:longest].strip()


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(";")]
