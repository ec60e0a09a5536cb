"""AML messages are read in each published form, and whatever is wrong with them costs no more than itself."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.texts.aml import Reading, read_message, read_text_message
from alerts.texts.fixes import Fix
from alerts.texts.numbers import find_dialled, read_number

# The published examples.
COMPUTED = 'A"ML=1;lt=+51.53321;lg=-0.12601;rd=14;top=20220131171748;lc=68;pm=W;si=234159000000000;ei=123456789012345;mcc=234;mnc=15;ml=126'
NO_LOCATION = (
    'A"ML=1;lt=+00.00000;lg=+000.00000;rd=N;top=20220131173734;lc=0;pm=N;si=234159000000000;ei=123456789012345;mcc=234;mnc=15;ml=127'
)
SECOND = (
    'A"ML=2;en=+15555555555;et=1593187189;lo=-37.42175,-122.08461,2000.1;lt=-9999;lc=68;lz=-100.1,100.1;ls=G;ei=358239059042542;'
    "nc=310260;hc=310260;lg=en-US"
)
PACKED = (
    "415193D98BEDD8F4DEECE6A2C962B7DA8E7DEEB56232990B86A3D9623B39B92783EDE86F784F068BD560B6D80C1683E568B81D7BDCB3E176F076EFB8"
    "9BA77B39DCCD56A3C966B15D39DD9BD570B2590E56CBC168B21A4DB66B8FC7BD590CB66BBBC73D990DB66BB37B31D90C"
)
HTTPS = (
    "v=1&device_number=%2B447477593102&location_latitude=55.85732&location_longitude=-4.26325&location_time=1476189444435"
    "&location_accuracy=10.4&location_source=GPS&location_certainty=83&location_altitude=0.0&location_floor=5"
    "&device_model=ABC+ABC+Detente+530&device_imei=354773072099116&cell_carrier=&cell_home_mcc=234&cell_id=0213454321"
)


def read(text: str) -> Reading:
    found = read_message(text.encode())
    assert found is not None
    return found


def make(**changed: str) -> str:
    usual = {"lt": "-6.17540", "lg": "+106.82720", "rd": "12", "top": "20261125120000", "lc": "68", "pm": "G", "si": "510100000000000"}
    fields = usual | {"ei": "123456789012345", "mcc": "510", "mnc": "10", "ml": "128"} | changed
    return 'A"ML=1;' + ";".join(f"{name}={value}" for name, value in fields.items())


def test_a_computed_location_is_read() -> None:
    found = read(COMPUTED)
    assert found.fix == Fix(51.53321, -0.12601, 14, datetime(2022, 1, 31, 17, 17, 48, tzinfo=UTC))
    # The published example itself is a character longer than it says.
    assert (found.told_length, found.length) == (126, 127)


def test_a_handset_that_does_not_know_where_it_is_is_read() -> None:
    assert read(NO_LOCATION) == Reading(None, "", 127, len(NO_LOCATION))
    assert read(make(pm="N")).fix is None
    assert read(make(lt="+00.00000", lg="+000.00000")).fix is None


def test_the_second_version_is_read() -> None:
    assert read(SECOND).fix == Fix(-37.42175, -122.08461, 2000.1, datetime.fromtimestamp(1593187189 - 9999, UTC))
    assert read('A"ML=2;et=1593187189;lo=1.5,2.5,0').fix == Fix(1.5, 2.5, None, datetime.fromtimestamp(1593187189, UTC))
    assert read('A"ML=2;lo=1.5').fix is None


@pytest.mark.parametrize(
    "content",
    [
        PACKED.encode(),
        PACKED.lower().encode(),
        bytes.fromhex(PACKED),
        bytes.fromhex(f"06050400003E81{PACKED}"),
        base64.b64encode(bytes.fromhex(PACKED)),
        b"  " + PACKED.encode() + b"\n",
    ],
)
def test_a_data_message_is_read_as_octets_or_in_digits(content: bytes) -> None:
    found = read_message(content)
    assert found == Reading(Fix(37.42175, -122.08461, 20, datetime(2015, 6, 13, 1, 9, 48, tzinfo=UTC)), "", 123, 123)


@pytest.mark.parametrize("encode", [lambda content: content.hex().encode(), base64.b64encode])
def test_a_data_message_of_eight_bits_is_read_in_digits(encode) -> None:  # noqa: ANN001  # a function of bytes
    found = read_message(encode(COMPUTED.encode()))
    assert found is not None
    assert found.fix == read(COMPUTED).fix


def test_the_form_for_https_is_read() -> None:
    found = read(HTTPS)
    assert found.number == "+447477593102"
    assert found.told_length is None
    assert found.fix == Fix(55.85732, -4.26325, 10.4, datetime.fromtimestamp(1476189444.435, UTC))
    assert read("location_latitude=55.8&device_number=%2B44").fix is None
    assert read(HTTPS + "&x=1" * 200).fix == found.fix


@pytest.mark.parametrize("name", ["emergency_number", "thunderbird_version", "device_imei", "cell_home_mcc", "location_source"])
def test_the_form_for_https_may_lack_any_field(name: str) -> None:
    # Its words are no cry for help, and name the handset and the SIM.
    found = read(f"v=3&source=CALL&{name}=112&time=1438101600123")
    assert (found.fix, found.number) == (None, "")


@pytest.mark.parametrize(
    ("changed", "fix"),
    [
        ({"rd": "N"}, Fix(-6.1754, 106.8272, None, datetime(2026, 11, 25, 12, tzinfo=UTC))),
        ({"rd": "0"}, Fix(-6.1754, 106.8272, None, datetime(2026, 11, 25, 12, tzinfo=UTC))),
        ({"rd": "-5"}, Fix(-6.1754, 106.8272, None, datetime(2026, 11, 25, 12, tzinfo=UTC))),
        ({"rd": "99999999"}, Fix(-6.1754, 106.8272, None, datetime(2026, 11, 25, 12, tzinfo=UTC))),
        ({"top": "20261325120000"}, Fix(-6.1754, 106.8272, 12)),
        ({"top": "2026"}, Fix(-6.1754, 106.8272, 12)),
        ({"lt": "91.0"}, None),
        ({"lg": "181"}, None),
        ({"lt": "NaN"}, None),
        ({"lt": "inf"}, None),
        ({"lt": "1e1"}, None),
        ({"lt": ""}, None),
        ({"lt": "\N{ARABIC-INDIC DIGIT SIX}"}, None),
        ({"zz": "new", "": "x"}, Fix(-6.1754, 106.8272, 12, datetime(2026, 11, 25, 12, tzinfo=UTC))),
        ({"pm": "Q"}, Fix(-6.1754, 106.8272, 12, datetime(2026, 11, 25, 12, tzinfo=UTC))),
    ],
)
def test_a_value_out_of_range_is_dropped_and_an_unknown_one_passed_over(changed: dict[str, str], fix: Fix | None) -> None:
    assert read(make(**changed)).fix == fix


@pytest.mark.parametrize("told", ["", "12x", "-1", "99999", "1" * 5000])
def test_a_length_that_is_none_is_not_told(told: str) -> None:
    assert read(make(ml=told)).told_length is None


def test_of_an_attribute_that_is_given_twice_the_first_counts() -> None:
    assert read(make() + ";lt=+10.0;lg=+20.0").fix == read(make()).fix


@pytest.mark.parametrize("text", ["SOS", "help", "", "A", "ML=1;lt=1;lg=2", "a=b&c=d", "0011", "AAAA", "AML=1;lt=+1.0;lg=+1.0", "tolong"])
def test_what_is_no_aml_message_is_none(text: str) -> None:
    assert read_message(text.encode()) is None
    assert read_text_message(text) is None


@given(st.binary(max_size=300))
def test_no_octets_fail_the_reader(content: bytes) -> None:
    read_message(content)


@given(st.text(st.sampled_from('A"ML=12;ltgrdopcsenmy+-.0123456789N&%'), max_size=200))
def test_no_message_fails_the_reader(text: str) -> None:
    for content in (f'A"ML=1;{text}', f'A"ML=2;lo={text}', f"device_number=1&location_latitude={text}&location_time={text}"):
        found = read(content)
        assert found.fix is None or (abs(found.fix.latitude) <= 90 and abs(found.fix.longitude) <= 180)


class TestNumbers:
    @pytest.mark.parametrize(
        "text",
        [
            "+6281234567890",
            "6281234567890",
            "081234567890",
            "0812-3456-7890",
            "(0812) 3456 7890",
            "006281234567890",
            "8123456789 0",
            " 0812.3456.7890 ",
            "tel:+6281234567890",
            "\u202a+6281234567890\u202c",
            "\uff0b\uff16\uff12 812-3456-7890",
            "TEL:+62-812-3456-7890;ext=1",
            "tel:0812-3456-7890;phone-context=+62",
        ],
    )
    def test_a_number_is_one_however_it_is_written(self, text: str) -> None:
        assert read_number(text, "ID") == "+6281234567890"

    @pytest.mark.parametrize("text", ["+447911123456", "447911123456", "00447911123456"])
    def test_a_number_of_another_country_stays_one(self, text: str) -> None:
        assert read_number(text, "ID") == "+447911123456"

    @pytest.mark.parametrize(
        "text", ["", "112", "TELKOMSEL", "SOS", "1" * 100, "+", "\N{ARABIC-INDIC DIGIT SIX}2812345678", "0812\0", "a@b"]
    )
    def test_what_is_none_is_none(self, text: str) -> None:
        assert read_number(text, "ID") == ""

    def test_what_can_be_dialled_all_the_same_is_called_back(self) -> None:
        assert find_dialled("0812-3456-7890", "ID") == "+6281234567890"
        assert find_dialled("112233", "ID") == find_dialled("tel:112233", "ID") == "112233"
        assert find_dialled("TELKOMSEL", "ID") == ""

    @given(st.text(max_size=50))
    def test_no_text_fails_the_reader(self, text: str) -> None:
        read_number(text, "ID")
