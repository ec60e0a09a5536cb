"""Whether a text calls for help is told by how it begins, however people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.texts.words import MAX_CHARACTERS, Saying, decode, read_saying

DISTRESS = [
    "SOS",
    "sos",
    "Sos!!!",
    "S O S",
    "s.o.s.",
    "S-O-S",
    "s\no\ns",
    "sosss",
    "SOOOS",
    "SOSSOSSOS",
    "S\u0301O\u0301S\u0301",
    "S\u0336O\u0336S\u0336",
    "s0s",
    "#SOS#",
    "*SOS*",
    '"SOS"',
    "  \n\tSOS",
    "SOS-6.1754,106.8272",
    "SOS6.1754",
    "SOS, ada maling",
    "\uff33\uff2f\uff33",
    "\u202eSOS",
    "\u200bS\u200bO\u200bS",
    "\ufeffSOS",
    "\N{SQUARED SOS}",
    "\N{SQUARED SOS} kebakaran",
    "\N{POLICE CARS REVOLVING LIGHT}\N{POLICE CARS REVOLVING LIGHT} sos",
    "TOLONG",
    "tolong saya",
    "Tolonggg",
    "toloong!",
    "tlg",
    "tlng pak",
    "tolonglah",
    "tolongin dong",
    "minta tolong",
    "Pak tolong!",
    "mohon bantuan",
    "saya butuh bantuan",
    "halo pak, tolong",
    "BANTU",
    "bantuin",
    "darurat di rumah",
    "help",
    "HELP ME",
    "please help",
    "i need help",
    "helppp",
    "emergency!!",
    "mayday mayday",
    "SOS BATAL",
]
OTHER = [
    "",
    "   ",
    "!!!",
    "SOSIALISASI 112",
    "sosok itu",
    "sosis",
    "so sorry",
    "so so",
    "soso",
    "tolok ukur",
    "helper",
    "helm saya",
    "bantul",
    "daruratan",
    "emergencyexit",
    "saya baik saja",
    "jangan batalkan",
    "kebakaran",
    "112",
    "\u0405\u041e\u0405",
]
CANCEL = ["BATAL", "batal", "Batalkan", "CANCEL", "cancelled", "*batal*", "\u202ebatal", "BATAL."]
WITH_PIN = ["BATAL 1234", "batal pin 1234", "BATAL PIN: 1234", "cancel hunter2", "batal, 12 34", "batal pin saya 1234", "BATAL:1-2-3-4"]
WITH_WORDS = ["batal, salah kirim maaf", "BATAL dia memaksa saya", "cancel it was a mistake", "batal pintu sudah terbuka"]


@pytest.mark.parametrize("text", DISTRESS)
def test_a_word_of_distress_is_known_in_every_spelling(text: str) -> None:
    assert read_saying(text) == Saying(distress=True)


@pytest.mark.parametrize("text", OTHER)
def test_another_word_that_begins_alike_is_none(text: str) -> None:
    assert read_saying(text)[:2] == (False, False)


@pytest.mark.parametrize("text", CANCEL + WITH_PIN)
def test_what_may_hold_a_pin_is_not_kept(text: str) -> None:
    assert read_saying(text) == Saying(cancel=True, kept=False)


@pytest.mark.parametrize("text", WITH_WORDS)
def test_what_a_cancel_says_beside_it_is_kept(text: str) -> None:
    assert read_saying(text) == Saying(cancel=True, kept=True)


@given(st.text())
def test_no_text_fails_the_reader(text: str) -> None:
    said = read_saying(text)
    assert not (said.distress and said.cancel)


@given(st.binary(max_size=300))
def test_whatever_octets_came_the_text_can_be_kept(content: bytes) -> None:
    text = decode(content)
    assert "\0" not in text
    text.encode()


def test_a_text_is_kept_as_it_came_up_to_its_limit() -> None:
    assert decode("SOS\0 \u202e\N{SQUARED SOS} é\n".encode()) == "SOS \u202e\N{SQUARED SOS} é\n"
    assert decode(b"x" * 10_000) == "x" * MAX_CHARACTERS
    assert decode("SOS \ud800".encode(errors="surrogatepass")).startswith("SOS \ufffd")
