"""A position in a text is read in the forms that people and their apps send, as it stands there, and in no other way."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.texts.fixes import Fix
from alerts.texts.positions import find_fix

LATITUDE, LONGITUDE = -6.1754, 106.8272
NEAR = 0.0002

FORMS = [
    "-6.1754,106.8272",
    "-6.1754, 106.8272",
    "-6.1754 106.8272",
    "-6.1754/106.8272",
    "-6.1754;106.8272",
    "-6.1754,106.8272,12",
    "(-6.1754,106.8272).",
    "-6,1754 106,8272",
    "-6,1754;106,8272",
    "-6,1754, 106,8272",
    "\N{MINUS SIGN}6.1754,106.8272",
    "\N{EN DASH}6.1754,106.8272",
    "lat:-6.1754 lon:106.8272",
    "lat=-6.1754&lng=106.8272",
    "Latitude: -6.1754, Longitude: 106.8272",
    "lintang -6.1754 bujur 106.8272",
    "lon 106.8272 lat -6.1754",
    "geo:-6.1754,106.8272",
    "GEO:-6.1754,106.8272,15;crs=wgs84",
    "geo:0,0?q=-6.1754,106.8272(Monas)",
    "https://maps.google.com/?q=-6.1754,106.8272",
    "http://maps.google.com/maps?q=loc:-6.1754,106.8272",
    "https://www.google.com/maps?q=-6.1754%2C106.8272&z=17",
    "https://www.google.com/maps/search/?api=1&query=-6.1754,106.8272",
    "https://www.google.com/maps/search/-6.1754,+106.8272?entry=tts",
    "https://www.google.co.id/maps/@-6.1754,106.8272,17z",
    "https://www.google.com/maps/place/Monas/@-6.2001,106.9001,17z/data=!3d-6.1754!4d106.8272",
    "maps.google.com/?q=-6.1754,106.8272",
    "https://maps.apple.com/?ll=-6.1754,106.8272&q=Monas",
    "https://maps.apple.com/?q=-6.1754,106.8272",
    "https://maps.apple.com/place?coordinate=-6.1754,106.8272&name=x",
    "https://www.openstreetmap.org/?mlat=-6.1754&mlon=106.8272#map=17/-6.2001/106.9001",
    "https://www.openstreetmap.org/#map=17/-6.1754/106.8272",
    "https://waze.com/ul?ll=-6.1754,106.8272&navigate=yes",
    "6°10'31.4\"S 106°49'37.9\"E",
    "6\N{MASCULINE ORDINAL INDICATOR}10\N{PRIME}31\N{DOUBLE PRIME}S 106\N{MASCULINE ORDINAL INDICATOR}49\N{PRIME}38\N{DOUBLE PRIME}E",
    "6° 10' 31,4\" LS, 106° 49' 37,9\" BT",
    "6°10'31''S 106°49'38''E",
    "106°49'37.9\"E 6°10'31.4\"S",
    "-6°10'31.4\" 106°49'37.9\"",
    "6°10.523'S 106°49.632'E",
    "6.1754°S 106.8272°E",
    "6.1754 S, 106.8272 E",
    "6.1754S106.8272E",
    "S6.1754 E106.8272",
    "LS 6,1754 BT 106,8272",
    "6.1754 LS 106.8272 BT",
    "6 derajat 10 menit 31 detik LS, 106 derajat 49 menit 38 detik BT",
    "6P58RRFG+RV",
    "6p58rrfg+rvw",
]
AROUND = ["{}", "SOS {}", "SOS{}", "sos, kebakaran di {} tolong cepat", "S O S\n{}\nlantai 3", "\u202eSOS \u200b{}"]

# What is no position, or one in two ways, is not guessed.
NOWHERE = [
    "",
    "106.8272,-6.1754",
    "106.8272 -6.1754",
    "-6.1754S 106.8272E",
    "6.1754S, 106.8272",
    "6.1754, 106.8272E",
    "6.1754S 106.8272S",
    "6°70'00\"S 106°49'37\"E",
    "6°10'61\"S 106°49'37\"E",
    "6.5°10'S 106°49'E",
    "91.0000,106.8272",
    "-6.1754,181.0000",
    "0.0000,0.0000",
    "geo:0,0",
    "geo:-6.1754,106.8272;crs=moon",
    "geo:-6.1754",
    "geo:NaN,106.8272",
    "1.500, 2.750",
    "1,500 2,750",
    "-6.17,106.82",
    "SOS - 6.1754, 106.8272",
    "--6.1754,106.8272",
    "-6,1754,106,8272",
    "081234567890",
    "10.0.0.1 192.168.1.1",
    "2026-11-25 23:59:59.1234",
    "https://maps.app.goo.gl/AbCdEf123",
    "https://www.google.com/maps/dir/-6.2001,106.8001/-6.1754,106.8272",
    "https://www.google.com/maps/search/?api=1&query=Monas",
    "https://evil.example/google.com/maps?q=1,2",
    "https://[google.com/?q=-6.1754",
    "RRFG+RV Gambir",
    "6P58RR00+",
    "\N{ARABIC-INDIC DIGIT SIX}.\N{ARABIC-INDIC DIGIT ONE}754,106.8272",
    "-l.l754,l06.8272",
    "lantai 3 S 12 E",
    "suhu 38.5° lalu 39.2°",
    "38° 39°",
    "90°T 45°U",
    "6°S 106°E",
    "38.5\N{DEGREE CELSIUS} 39.5\N{DEGREE CELSIUS}",
    "1e2,1e2",
    "-6.1754",
    "blok B 12 no 3",
]


@pytest.mark.parametrize("text", [around.format(form) for around in AROUND for form in FORMS if around[3:] != "{}" or form[0] in "-+("])
def test_a_position_is_read_in_every_form(text: str) -> None:
    found = find_fix(text)
    assert found is not None
    assert math.isclose(found.latitude, LATITUDE, abs_tol=NEAR)
    assert math.isclose(found.longitude, LONGITUDE, abs_tol=NEAR)
    assert found.fix_time is None


@pytest.mark.parametrize("text", NOWHERE)
def test_what_is_none_or_one_in_two_ways_is_no_position(text: str) -> None:
    assert find_fix(text) is None
    assert find_fix(f"SOS {text}") is None


def test_a_geo_uri_says_how_exact_it_is() -> None:
    assert find_fix("geo:-6.1754,106.8272;crs=WGS84;u=35.5") == Fix(LATITUDE, LONGITUDE, 35.5)
    assert find_fix("geo:-6.1754,106.8272;u=-1") == Fix(LATITUDE, LONGITUDE)
    assert find_fix("geo:-6.1754,106.8272;u=1e9") == Fix(LATITUDE, LONGITUDE)


def test_of_several_positions_the_first_counts() -> None:
    assert find_fix("saya di -6.1754,106.8272, pelaku ke geo:-6.2,106.9") == Fix(LATITUDE, LONGITUDE)
    assert find_fix("geo:-6.2,106.9 lalu -6.1754,106.8272") == Fix(-6.2, 106.9)
    # One that is none does not hide the next.
    assert find_fix("106.8272,-6.1754 atau -6.1754,106.8272") == Fix(LATITUDE, LONGITUDE)


def test_a_wrong_hemisphere_stays_what_was_sent() -> None:
    assert find_fix("6.1754,106.8272") == Fix(6.1754, LONGITUDE)
    assert find_fix("6.1754N 106.8272W") == Fix(6.1754, -LONGITUDE)


@pytest.mark.parametrize(
    ("code", "latitude", "longitude"),
    [("8FVC2222+22", 47.0000625, 8.0000625), ("4VCPPQGP+Q9", -41.2730625, 174.7859375), ("6P58RRFG+RVW", -6.1753875, 106.82720313)],
)
def test_a_plus_code_is_the_middle_of_its_cell(code: str, latitude: float, longitude: float) -> None:
    found = find_fix(code)
    assert found is not None
    assert (round(found.latitude, 7), round(found.longitude, 7)) == (round(latitude, 7), round(longitude, 7))


latitudes = st.decimals(-90, 90, places=5).filter(lambda value: value != 0).map(float)
longitudes = st.decimals(-180, 180, places=5).filter(lambda value: value != 0).map(float)


def write_angle(value: float, halves: str) -> str:
    degrees, rest = divmod(abs(value), 1)
    minutes, rest = divmod(rest * 60, 1)
    return f"{degrees:.0f}°{minutes:02.0f}'{min(rest * 60, 59.999):06.3f}\"{halves[0] if value > 0 else halves[1]}"


@given(latitudes, longitudes)
def test_every_place_is_found_again(latitude: float, longitude: float) -> None:
    plain = f"{latitude:.5f},{longitude:.5f}"
    forms = [
        plain,
        plain.replace(",", " "),
        f"geo:{plain}",
        f"https://maps.google.com/?q={plain}",
        f"{latitude:.5f} {longitude:.5f}".replace(".", ","),
        f"{write_angle(latitude, 'NS')} {write_angle(longitude, 'EW')}",
    ]
    for form in forms:
        found = find_fix(f"tolong {form} cepat")
        assert found is not None, form
        assert math.isclose(found.latitude, latitude, abs_tol=1e-5), form
        assert math.isclose(found.longitude, longitude, abs_tol=1e-5), form


@given(st.text())
def test_no_text_fails_the_reader_or_gives_a_place_that_is_none(text: str) -> None:
    found = find_fix(text)
    assert found is None or (abs(found.latitude) <= 90 and abs(found.longitude) <= 180)


ODD = st.sampled_from([*"0123456789+-.,;:/°'\"NSEWLUBT() \n", "geo:", "https://google.com/maps?q=", "lat:", "lon:", "!3d", "\u202e", "\0"])


@given(st.lists(ODD, max_size=200).map("".join))
def test_no_heap_of_signs_fails_the_reader_or_gives_a_place_that_is_none(text: str) -> None:
    found = find_fix(text)
    assert found is None or (abs(found.latitude) <= 90 and abs(found.longitude) <= 180)


@pytest.mark.parametrize(
    "piece", ["S", "sos ", "1", "1.1 ", "°", "6°", "geo:", "google.com/", "a.", "lat ", "-6.1754,", "( ", "\ufdfa", "1 s "]
)
def test_no_long_text_holds_the_service_up(piece: str) -> None:
    began = time.process_time()
    find_fix(piece * (60_000 // len(piece)))
    assert time.process_time() - began < 0.5
