"""Whether a text calls for help is told by how it begins and by the words in it, however people write them."""

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
URGENT = [
    "Kebakaran, tolong!",
    "ya allah tolong",
    "assalamualaikum tolong",
    "ada maling tolong",
    "selamat malam pak. ada yang jatuh, butuh bantuan",
    "rumah saya SOS",
    "batalyon 5 kebakaran",
    "saya di batalion polisi, tolong",
    "rumah saya S.O.S",
    "di sini \N{SQUARED SOS}",
    "my mother fell, help",
    "ini darurat pak",
    "jangan batalkan, tolong",
    "kebakaran",
    "KEBAKARANNN",
    "ada api di lantai 3",
    "Kecelakaan di tol km 12",
    "ibu saya pingsan",
    "suami saya dipukul",
    "suami saya memukul, saya dipukuli",
    "begal bawa celurit",
    "malingnya masih di dalam",
    "banjir sudah seleher, anak2 di atap",
    "anak hanyut di kali",
    "bau gas bocor",
    "dia mau bunuh diri",
    "istri mau melahirkan",
    "bapak sesak napas",
    "heart attack, jl sabang 12",
    "terima kasih, tapi tolong masih ada yang di dalam",
]
# What comes to a number of this kind besides: advertisements, thanks and chat.
TALK = [
    "Pulsa Darurat aktif. Bayar saat isi ulang",
    "Isi ulang habis? Pakai paket darurat 5rb",
    "Butuh modal? Pinjaman bantuan modal s.d. Rp50jt tanpa jaminan",
    "Anda terpilih penerima bantuan tunai Rp2.000.000",
    "Asuransi kecelakaan mulai 10rb/bln",
    "Asuransi kebakaran rumah, premi ringan",
    "Banjir promo akhir tahun! Diskon 70%",
    "Hari ini banjir hadiah di aplikasi",
    "Top up Free Fire 100 diamond cuma 15rb",
    "Info: simpan nomor darurat Anda di HP",
    "Kunjungi pusat bantuan di situs kami",
    "Visit our help center for details",
    "Add an emergency contact to your account",
    "BMKG: waspada banjir rob 3-5 Januari",
    "Obat stroke herbal, pesan sekarang",
    "terima kasih atas bantuannya pak",
    "terima kasih bantuan cepatnya",
    "thanks for your help",
    "makasih ya sudah ditolong",
    "sudah aman, terima kasih",
    "besok jadi ketemu jam 9?",
    "mama minta pulsa, kirim ke nomor ini",
    "Kode OTP Anda 481920. JANGAN berikan ke siapa pun",
    "Paket internet 10GB Rp25.000, balas YA",
    "tes",
    "halo selamat pagi",
    "lagi di mana bang",
    "menolong orang itu baik",
    "helmnya ketinggalan",
    "it is so s",
    "apinya enak, kopi api unggun",
]
# Not told from a call for help, and a dispatcher sees at once what they are.
MISTAKEN = [
    "Pinjam dulu, nanti tolong ingatkan saya",
    "Ada kendala? Butuh bantuan? Hubungi CS kami di 0800",
    "kemarin ada kebakaran di dekat pasar ya?",
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
    "pak batalyon infanteri 203",
    "112",
    "\u0405\u041e\u0405",
]
CANCEL = [
    "batalll",
    "batalkanlah",
    "dibatalin aja",
    "dibatalkan ya",
    "canceled",
    "BATAL",
    "batal",
    "Batalkan",
    "CANCEL",
    "cancelled",
    "*batal*",
    "\u202ebatal",
    "BATAL.",
    "maaf, batal",
    "mohon dibatalkan",
]
WITH_PIN = ["BATAL 1234", "batal pin 1234", "BATAL PIN: 1234", "cancel hunter2", "batal, 12 34", "batal pin saya 1234", "BATAL:1-2-3-4"]
WITH_PIN += ["pak batal 1234", "mohon dibatalkan, pin 1234", "1234 batal", "pin 1234 batal", "12 34 - batal"]
WITH_PIN += ["1234batal", "1 2 3 4 BATAL", "1-2-3-4-5-6-7-8 batal", "maaf pak, pin saya: 12 34 batal", "kode pin saya 1234 batal"]
WITH_WORDS = ["batal, salah kirim maaf", "BATAL dia memaksa saya", "cancel it was a mistake", "batal pintu sudah terbuka"]


@pytest.mark.parametrize("text", DISTRESS)
def test_a_word_of_distress_is_known_in_every_spelling(text: str) -> None:
    assert read_saying(text) == Saying(distress=True)


@pytest.mark.parametrize("text", [*URGENT, *MISTAKEN])
def test_a_word_of_distress_or_danger_counts_anywhere(text: str) -> None:
    assert read_saying(text) == Saying(urgent=True)


@pytest.mark.parametrize("text", [*OTHER, *TALK])
def test_another_word_that_begins_alike_or_is_meant_otherwise_is_none(text: str) -> None:
    assert read_saying(text)[:3] == (False, False, False)


@pytest.mark.parametrize("text", CANCEL + WITH_PIN)
def test_what_may_hold_a_pin_is_not_kept(text: str) -> None:
    assert read_saying(text) == Saying(cancel=True, kept=False)


@pytest.mark.parametrize("text", WITH_WORDS)
def test_what_a_cancel_says_beside_it_is_kept(text: str) -> None:
    assert read_saying(text) == Saying(cancel=True, kept=True)


def test_talk_is_hardly_taken_for_a_call_for_help() -> None:
    """Of the texts above that are none, no more than those that are marked as mistaken."""
    taken = [text for text in (*TALK, *MISTAKEN) if read_saying(text)[:2] != (False, False)]
    assert taken == MISTAKEN
    assert len(taken) / len([*TALK, *MISTAKEN]) < 0.1


@given(st.text())
def test_no_text_fails_the_reader(text: str) -> None:
    said = read_saying(text)
    assert [said.distress, said.urgent, said.cancel].count(True) <= 1


@given(st.binary(max_size=300))
def test_whatever_octets_came_the_text_can_be_kept(content: bytes) -> None:
    text = decode(content)
    assert "\0" not in text
    text.encode()


def test_a_text_is_kept_as_it_came_up_to_its_limit() -> None:
    assert decode("SOS\0 \u202e\N{SQUARED SOS} é\n".encode()) == "SOS \u202e\N{SQUARED SOS} é\n"
    assert decode(b"x" * 10_000) == "x" * MAX_CHARACTERS
    assert decode("SOS \ud800".encode(errors="surrogatepass")).startswith("SOS \ufffd")
