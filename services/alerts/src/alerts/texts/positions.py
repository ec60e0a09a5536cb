"""The position in a text, in the forms that people and their apps send. What can be read in two ways is not read."""

import math
import re
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, unquote, urlsplit

from alerts.texts.fixes import Fix, make_fix, read_accuracy, read_degrees
from alerts.texts.words import fold

Found = Iterator[tuple[int, Fix | None]]

_NUMBER = r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,16})?"
# What is typed for the signs of degrees, minutes and seconds, and for the minus.
_SIGNS = str.maketrans(
    {
        "\N{MASCULINE ORDINAL INDICATOR}": "°",
        "\N{RING ABOVE}": "°",
        "\N{DEGREE CELSIUS}": " ",
        "\N{DEGREE FAHRENHEIT}": " ",
        "\N{PRIME}": "'",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{GRAVE ACCENT}": "'",
        "\N{DOUBLE PRIME}": '"',
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
    }
)
# Its last letter would be taken for the south.
_SPACED_SOS = re.compile(r"^\W*s\W{1,3}o\W{1,3}s(?![a-z])", re.IGNORECASE)

_GEO = re.compile(rf"(?<![a-z])geo:({_NUMBER}),({_NUMBER})(?![0-9])([^\s]*)", re.IGNORECASE)
_GEO_SYSTEM, _GEO_UNCERTAINTY = re.compile(r";crs=([^;]*)", re.IGNORECASE), re.compile(r";u=([^;]*)", re.IGNORECASE)
_PAIR = re.compile(rf"(?:loc:)?\s*({_NUMBER})\s*,\s*({_NUMBER})(?![0-9])", re.IGNORECASE)

_HOSTS = r"google(?:\.[a-z]{2,3}){1,2}|maps\.apple\.com|openstreetmap\.org|osm\.org|waze\.com"
_LINK = re.compile(rf"(?<![\w./@-])(?:https?://)?((?:[a-z0-9-]{{1,20}}\.){{0,2}}(?:{_HOSTS})/[^\s<>]*)", re.IGNORECASE)
_LINK_QUERIES = ("q", "query", "ll", "coordinate")
_LINK_PIN = re.compile(rf"!3d({_NUMBER})!4d({_NUMBER})")
_LINK_PATH = re.compile(rf"/(?:search|place)/({_NUMBER}),\s*({_NUMBER})(?![0-9])")
_LINK_CENTRE = re.compile(rf"/@({_NUMBER}),({_NUMBER}),")
_LINK_MAP = re.compile(rf"map=[0-9.]{{1,5}}/({_NUMBER})/({_NUMBER})")

_LATITUDE = re.compile(rf"(?<![a-z])(?:lat(?:itude)?|lintang)\s{{0,3}}[:=]?\s{{0,3}}({_NUMBER})(?![0-9])", re.IGNORECASE)
_LONGITUDE = re.compile(rf"(?<![a-z])(?:lon(?:g|gitude)?|lng|bujur)\s{{0,3}}[:=]?\s{{0,3}}({_NUMBER})(?![0-9])", re.IGNORECASE)

# English and Indonesian: LU LS lintang utara and selatan, BT BB bujur timur and barat.
_HALVES = {
    **dict.fromkeys(("n", "lu", "u"), "+lat"),
    **dict.fromkeys(("s", "ls"), "-lat"),
    **dict.fromkeys(("e", "bt", "t"), "+lon"),
    **dict.fromkeys(("w", "bb", "b"), "-lon"),
}
_HALF = r"lu|ls|bt|bb|n|s|e|w|u|t|b"
_ANGLE = re.compile(
    rf"""
    (?:(?<![a-z])(?P<before>{_HALF})\s{{0,2}})?
    (?<![0-9.,])(?P<degrees>[+-]?[0-9]{{1,3}}(?:[.,][0-9]{{1,16}})?)
    (?:\s?(?P<sign>°|deg|derajat))?
    (?:\s?(?P<minutes>[0-9]{{1,2}}(?:[.,][0-9]{{1,16}})?)\s?(?:'(?!')|menit|min))?
    (?:\s?(?P<seconds>[0-9]{{1,2}}(?:[.,][0-9]{{1,16}})?)\s?(?:"|''|detik|sec))?
    (?(before)|(?:\s{{0,2}}(?P<after>{_HALF})(?![a-z]))?)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LEAST_DECIMALS = 3
_LONE_HALF = re.compile(rf"\s?(?:{_HALF})(?![a-z])", re.IGNORECASE)
_BETWEEN_ANGLES = re.compile(r"[\s,;/|]{0,4}")

# Four digits after the point, because three of them are how thousands are written.
_DECIMAL = r"[+-]?[0-9]{1,3}\.[0-9]{4,16}"
_COMMA = r"[+-]?[0-9]{1,3},[0-9]{4,16}"
_ALONE = r"(?<![0-9.,+-])(?<![+-]\s)"
_DECIMALS = re.compile(rf"{_ALONE}({_DECIMAL})(?:\s{{0,3}}[,;/|]\s{{0,3}}|\s{{1,3}})({_DECIMAL})(?![0-9])")
_COMMAS = re.compile(rf"{_ALONE}({_COMMA})(?:\s{{0,3}}[;/|]\s{{0,3}}|,?\s{{1,3}})({_COMMA})(?![0-9])")

_PLUS_DIGITS = "23456789CFGHJMPQRVWX"
_PLUS_CODE = re.compile(rf"(?<![a-z0-9])([{_PLUS_DIGITS}]{{8}}\+[{_PLUS_DIGITS}]{{2,7}})(?![a-z0-9])", re.IGNORECASE)
_PLUS_PAIRS = 10


def find_fix(text: str) -> Fix | None:
    """The first position in the text, as it stands there: no sign is added and nothing is swapped."""
    plain = _SPACED_SOS.sub("", fold(text.translate(_SIGNS)))
    # What a link to a map or a URI holds beside the place is no place.
    bare = _GEO.sub(_blank, _LINK.sub(_blank, plain))
    readings: list[tuple[Callable[[str], Found], str]] = [
        (_read_geo_uris, plain),
        (_read_links, plain),
        (_read_labels, bare),
        (_read_angles, bare),
        (_read_decimals, bare),
        (_read_plus_codes, bare),
    ]
    found = [(begin, fix) for read, content in readings for begin, fix in read(content) if fix]
    return min(found, key=lambda each: each[0])[1] if found else None


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _read_geo_uris(text: str) -> Found:
    """RFC 5870, with Android's `?q=`, which holds the place where the path has none."""
    for match in _GEO.finditer(text):
        path, _, query = match[3].partition("?")
        system, uncertainty = _GEO_SYSTEM.search(path), _GEO_UNCERTAINTY.search(path)
        if system is None or system[1].lower() == "wgs84":
            place = _make(match[1], match[2], read_accuracy(uncertainty[1]) if uncertainty else None)
            yield match.start(), place or _read_pair(parse_qs(query).get("q", [""])[0])


def _read_links(text: str) -> Found:
    for match in _LINK.finditer(text):
        yield match.start(), _read_link(match[1])


def _read_link(link: str) -> Fix | None:
    """A marked place before the middle of the map. The end of a route is where somebody wants to go."""
    try:
        parts = urlsplit(f"https://{link}")
    except ValueError:
        return None
    path, queries = unquote(parts.path).replace("+", " "), parse_qs(parts.query)
    if "/dir/" in path:
        return None
    places = [
        _read_match(_LINK_PIN.search(path)),
        _read_match(_LINK_PATH.search(path)),
        _make(queries.get("mlat", [""])[0], queries.get("mlon", [""])[0]),
        *(_read_pair(queries.get(name, [""])[0]) for name in _LINK_QUERIES),
        _read_match(_LINK_CENTRE.search(path)),
        _read_match(_LINK_MAP.search(unquote(parts.fragment))),
    ]
    return next((place for place in places if place), None)


def _read_pair(text: str) -> Fix | None:
    return _read_match(_PAIR.match(text))


def _read_match(found: re.Match[str] | None) -> Fix | None:
    return _make(found[1], found[2]) if found else None


def _read_labels(text: str) -> Found:
    latitude, longitude = _LATITUDE.search(text), _LONGITUDE.search(text)
    if latitude and longitude:
        yield min(latitude.start(), longitude.start()), _make(latitude[1], longitude[1])


def _read_angles(text: str) -> Found:
    """Two angles beside each other, both with a hemisphere, or both with a sign of degrees, latitude first."""
    before: re.Match[str] | None = None
    for match in _ANGLE.finditer(text):
        if not (match["sign"] or match["before"] or match["after"]):
            continue
        if before is not None and _BETWEEN_ANGLES.fullmatch(text, before.end(), match.start()):
            yield before.start(), _join_angles(before, match)
        before = match


def _join_angles(first: re.Match[str], second: re.Match[str]) -> Fix | None:
    angles: dict[str, float] = {}
    for match, unnamed in ((first, "lat"), (second, "lon")):
        halves = [_HALVES[each.lower()] for each in (match["before"], match["after"]) if each]
        degrees = _measure(match)
        if len(halves) > 1 or (halves and match["degrees"][0] in "+-"):
            return None
        axis = halves[0][1:] if halves else unnamed
        angles[axis] = -degrees if halves and halves[0][0] == "-" else degrees
    named = [bool(each["before"] or each["after"]) for each in (first, second)]
    if len(angles) != len(named) or named[0] != named[1]:
        return None
    return make_fix(angles["lat"], angles["lon"])


def _measure(match: re.Match[str]) -> float:
    """In degrees. NaN for what is no angle, and for one as rough as a bearing or a temperature."""
    written = match["degrees"].replace(",", ".")
    minutes, seconds = (float((match[name] or "0").replace(",", ".")) for name in ("minutes", "seconds"))
    if match["minutes"]:
        exact = match["sign"] and "." not in written and minutes < 60 and seconds < 60  # noqa: PLR2004  # the clock's
    else:
        exact = not match["seconds"] and len(written.partition(".")[2]) >= _LEAST_DECIMALS
    degrees = abs(read_degrees(written)) + minutes / 60 + seconds / 3600
    return math.copysign(degrees, -1 if written.startswith("-") else 1) if exact else math.nan


def _read_decimals(text: str) -> Found:
    for match in _DECIMALS.finditer(text):
        # With one hemisphere of two, nobody knows what the other one is.
        if match[1][0] in "+-" or not _LONE_HALF.match(text, match.end()):
            yield match.start(), _make(match[1], match[2])
    for match in _COMMAS.finditer(text):
        yield match.start(), _make(match[1].replace(",", "."), match[2].replace(",", "."))


def _read_plus_codes(text: str) -> Found:
    """Whole Open Location Codes; of a short one only its town would tell where it is."""
    for match in _PLUS_CODE.finditer(text):
        yield match.start(), _decode_plus_code(match[1].upper())


def _decode_plus_code(code: str) -> Fix | None:
    """The middle of its cell. Ten digits in pairs, 20 to a degree's place; each one after them is a cell of four by five."""
    digits = [_PLUS_DIGITS.index(each) for each in code.replace("+", "")]
    latitude, longitude = -90.0, -180.0
    high, wide = 400.0, 400.0
    for latitude_digit, longitude_digit in zip(digits[:_PLUS_PAIRS:2], digits[1:_PLUS_PAIRS:2], strict=True):
        high, wide = high / 20, wide / 20
        latitude, longitude = latitude + latitude_digit * high, longitude + longitude_digit * wide
    for digit in digits[_PLUS_PAIRS:]:
        high, wide = high / 5, wide / 4
        latitude, longitude = latitude + digit // 4 * high, longitude + digit % 4 * wide
    return make_fix(latitude + high / 2, longitude + wide / 2)


def _make(latitude: str, longitude: str, accuracy_meters: float | None = None) -> Fix | None:
    return make_fix(read_degrees(latitude), read_degrees(longitude), accuracy_meters)
