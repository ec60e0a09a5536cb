"""Whatever a text holds, it is taken: what calls for help raises an alert, and what is kept is what was written."""

from typing import Any

import pytest
from people import People
from texting import SmsGateway, write_aml

from alerts.texts.words import MAX_CHARACTERS

HOSTILE: list[str | bytes] = [
    "Z\u0351\u036b\u0343 SOS",
    "\0SOS\0",
    "S\0OS",
    "SOS\0-6.1754,106.8272",
    b"SOS \xff\xfe\xfd",
    b"SOS \xed\xa0\x80",
    b"\xff\xfeS\0O\0S\0",
    b"SOS \xc0\xaf\xe0\x80\xaf",
    "\u202eSOS\u202c",
    "SOS \u202e4571.6-,2728.601",
    "\u2066SOS\u2069 -6.1754,106.8272",
    "\u200bSOS\u200b",
    "\ufeffSOS",
    "SOS \u0336a\u0336",
    "S\u0301O\u0301S\u0301",
    "S\u0351\u036b\u0343O\u036a\u0302\u036b\u033dS\u034f\u0334\u0319\u0324 tolong",
    "SOS \N{ARABIC-INDIC DIGIT SIX}.\N{ARABIC-INDIC DIGIT ONE}754,106.8272",
    "SOS \uff16.\uff11754,\uff11\uff106.8272",
    "SOS -\U0001d7d4.1754,106.8272",
    "SOS -\u0431.1754,1O6.8272",
    "SOS -l.l754,lO6.8272",
    "\N{SQUARED SOS}" * 500,
    "SOS " + "\N{POLICE CARS REVOLVING LIGHT}" * 2000,
    "SOS \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "SOS \U000e0041\U000e0042",
    "SOS " + "x" * 10_000,
    "SOS " + "-6.1754,106.8272 " * 600,
    "SOS" * 3_400,
    "S O " * 2_500,
    "\n" * 500 + "SOS",
    "SOS\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "SOS'; DROP TABLE alerts; --",
    'SOS" OR "1"="1',
    "SOS <script>alert(1)</script>",
    "SOS <!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>&a;",
    "SOS ${jndi:ldap://127.0.0.1/a}",
    "SOS {{7*7}} %s %n %(x)s {0}",
    "SOS $(reboot) `reboot` | reboot",
    "SOS ../../../../etc/passwd",
    'SOS {"note": "x", "state": "RESOLVED"}',
    "SOS =cmd|' /C calc'!A0",
    "SOS \x1b[2J\x07",
    "SOS \x08\x08\x08",
    "SOS 6.1754,106.8272",
    "SOS -6.1754,-106.8272",
    "SOS 106.8272,-6.1754",
    "SOS -106.8272,6.1754",
    "SOS 91.0000,181.0000",
    "SOS -91.0000,-181.0000",
    "SOS 0.0000,0.0000",
    "SOS NaN,NaN",
    "SOS inf,-inf",
    "SOS 1e309,1e309",
    "SOS geo:NaN,Infinity;u=NaN",
    "SOS geo:-6.1754,106.8272;u=" + "9" * 400,
    "SOS geo:-6.1754,106.8272;crs=" + "x" * 5_000,
    "SOS https://maps.google.com/?q=" + "9" * 5_000,
    "SOS https://maps.google.com/?" + "q=1&" * 2_000,
    "SOS https://maps.google.com/?q=%00%ff%fe",
    "SOS https://[::1/?q=-6.1754,106.8272",
    "SOS https://google.com:99999999/maps?q=-6.1754,106.8272",
    "SOS " + "6°" * 3_000,
    "SOS " + "(" * 5_000,
    "SOS " + ";" * 5_000,
    "SOS 6P58RRFG+RV" + "V" * 5_000,
    "TOLONG BATAL 1234",
    'SOS A"ML=1;lt=+1.00000;lg=+2.00000',
]
# The positions that are read in them, as they stand there, wrong hemispheres included.
MONAS = (-6.1754, 106.8272)
PLACES: dict[str | bytes, tuple[float, float]] = {
    "SOS\0-6.1754,106.8272": MONAS,
    "\u2066SOS\u2069 -6.1754,106.8272": MONAS,
    "SOS \uff16.\uff11754,\uff11\uff106.8272": (6.1754, 106.8272),
    "SOS -\U0001d7d4.1754,106.8272": MONAS,
    "SOS " + "-6.1754,106.8272 " * 600: MONAS,
    "SOS 6.1754,106.8272": (6.1754, 106.8272),
    "SOS -6.1754,-106.8272": (-6.1754, -106.8272),
    "SOS geo:-6.1754,106.8272;u=" + "9" * 400: MONAS,
    "SOS https://[::1/?q=-6.1754,106.8272": MONAS,
    "SOS https://google.com:99999999/maps?q=-6.1754,106.8272": MONAS,
}
# Not of distress, and no less hostile.
OTHER: list[str | bytes] = [
    b"",
    b"\0\0\0",
    "S" * 10_000,
    " " * 10_000 + "SOS",
    "so so sorry " * 900,
    b"\xff" * 1000,
    "\u202e",
    "BATAL " + "9" * 10_000,
    "S\0\0\0",
    'A"ML=',
    'A"ML=1',
    'A"ML=1;' + ";" * 5_000,
    'A"ML=1;' + "a=b;" * 2_000,
    'A"ML=1;lt=' + "9" * 5_000 + ";lg=1",
    'A"ML=1;lt=NaN;lg=inf;rd=-1;top=99999999999999;ml=' + "9" * 4_000,
    'A"ML=2;lo=,,,,,;et=99999999999;lt=-99999999999',
    'A"ML=2;lo=1,2;et=99999999999;lt=99999999999',
    "41" * 3_000,
    "QQ" * 3_000,
    "location_latitude=1&" * 200,
    "device_number=%2B6281234567890&location_latitude=1e400&location_longitude=x&location_time=" + "9" * 14,
    "device_number=%00&location_latitude=1.5&location_longitude=2.5",
]


@pytest.fixture
def sms(people: People) -> SmsGateway:
    return SmsGateway(people)


def number_of(n: int) -> str:
    return f"+62812{n:08}"


async def test_every_hostile_sos_raises_an_alert_with_what_was_written(people: People, sms: SmsGateway) -> None:
    assert len(HOSTILE) >= 60
    for n, content in enumerate(HOSTILE):
        name = await sms.send(content, number_of(n))
        alert: Any = await people.sari("GetAlert", name=name)
        written = content.decode(errors="replace") if isinstance(content, bytes) else content
        assert alert.note == written.replace("\0", "")[:MAX_CHARACTERS]
        point = alert.location.point
        found = (point.latitude, point.longitude) if alert.HasField("location") else None
        assert found == PLACES.get(content), content[:60]


async def test_hostile_texts_that_call_for_no_help_are_taken_and_raise_nothing(people: People, sms: SmsGateway) -> None:
    for n, content in enumerate(OTHER):
        assert await sms.send(content, number_of(n)) == ""
        assert await sms.send_aml(content, number_of(n)) == ""
    assert await people.sari.list_names() == []


async def test_every_hostile_text_is_a_message_of_an_open_alert(people: People, sms: SmsGateway) -> None:
    name = await sms.send("SOS")
    for content in (*HOSTILE, *OTHER):
        assert await sms.send(content) in {name, ""}
    assert await people.sari.list_names() == [name]
    texts = [each.text for each in (await people.sari("ListMessages", name=name, pageSize=1000)).messages]
    assert all(len(each) <= MAX_CHARACTERS and "\0" not in each for each in texts)


@pytest.mark.parametrize(
    "sender", ["x" * 5000, "\u202e", "'; DROP TABLE numbers; --", "+" * 100, "0" * 5000, "+6281\n234", "\N{SQUARED SOS}"]
)
async def test_a_hostile_sender_has_an_alert_of_its_own(people: People, sms: SmsGateway, sender: str) -> None:
    name = await sms.send("SOS", sender)
    assert await sms.send("lagi", sender) == name
    assert (await people.sari("GetAlert", name=name)).caller.callback_phone == ""
    assert await sms.send_aml(write_aml(), sender) == name
