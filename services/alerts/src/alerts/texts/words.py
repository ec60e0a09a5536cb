"""What a text message asks for, by how it begins and by the words in it."""

import re
import unicodedata
from typing import NamedTuple

# As much as is kept of a text; no network delivers longer ones.
MAX_CHARACTERS = 4000
_SOS_SIGN = "\N{SQUARED SOS}"
# Any letter of the word before or after would make another word of it.
_BEGIN, _END = r"(?<![^\W\d_])", r"(?![^\W\d_])"
# Drawn out, set apart, with a zero for the letter; shortened as people do on a phone.
_SOS = r"s+[\W_]{0,3}[o0]+[\W_]{0,3}s(?:[so0]*s)?"
# Amid other words each letter stands alone, or none does: `so S` is none.
_SOS_ANYWHERE = r"s+[o0]+s(?:[so0]*s)?|s[\W_]{1,3}[o0][\W_]{1,3}s"
_DISTRESS_WORDS = (
    r"t+o*l+o*n*g+(?:lah|in|kan|an|i|ya|dong|donk|k)?",
    r"h+e+l+p+",
    r"bantu(?:an|in|lah)?",
    r"darurat",
    r"emergency",
    r"mayday",
)
_POLITE = r"pak|bapak|bu|ibu|mas|mbak|bang|kak|halo|hallo|hello|hi|mohon|minta|butuh|perlu|please|pls|saya|kami|i|we|need"
_DISTRESS = re.compile(rf"(?:(?:{_POLITE})[\W_]{{1,5}}){{0,3}}(?:{'|'.join((_SOS, *_DISTRESS_WORDS))}){_END}")
# What people say of a danger that is there, in one word or in two.
_DANGERS = (
    "kebakaran|terbakar|kecelakaan|tabrakan|ditabrak|tertabrak|ketabrak|banjir|longsor|gempa|tsunami|tenggelam|hanyut|meledak|ledakan"
    "|runtuh|roboh|tertimbun|tertimpa|terjebak|kesetrum|tersetrum|tersengat|keracunan|pingsan|sekarat|sesak|kejang|stroke|pendarahan"
    "|perdarahan|berdarah|melahirkan|maling|pencuri|copet|kecopetan|dicopet|jambret|dijambret|begal|dibegal|rampok|perampok|perampokan"
    "|dirampok|kemalingan|penculik|diculik|disandera|dipukul|dipukuli|dikeroyok|dianiaya|ditusuk|ditikam|dibacok|ditembak|dibunuh"
    "|pembunuhan|diperkosa|pelecehan|dilecehkan|kdrt|diancam|tawuran"
    "|fire|flood|accident|drowning|bleeding|unconscious|robbery|robbed|stabbed|shot|murder|kidnapped|raped"
)
_IN_TWO = (
    r"(?:ada[\W_]+api|api[\W_]+besar|bunuh[\W_]+diri|gas[\W_]+bocor|bocor[\W_]+gas|tabrak[\W_]+lari"
    r"|serangan[\W_]+jantung|heart[\W_]+attack)"
)
_DRAWN_OUT = re.sub("([a-z])", r"\1+", _DANGERS)
_CALLS = "|".join((_SOS_ANYWHERE, *_DISTRESS_WORDS))
_URGENT = re.compile(rf"{_BEGIN}(?:{_CALLS}|(?:{_DRAWN_OUT}|{_IN_TWO})(?:nya)?){_END}|{_SOS_SIGN}")
# In advertisements, forecasts and thanks the same words mean something else, after one of these or before one of those.
_BEFORE = (
    "asuransi|obat|terapi|cegah|pencegahan|simulasi|pelatihan|waspada|free|pulsa|paket|kuota|kredit|kontak|nomor|nomer|dana|modal"
    "|pinjaman|program|pusat|layanan|penerima|atas|kasih|makasih|thanks|your"
)
_AFTER = "diskon|promo|hadiah|bonus|cashback|modal|tunai|sosial|dana|pinjaman|pulsa|kuota|contact|credit|center|centre|desk|insurance|sale"
_TALKED_OF = f"(?:bantu|bantuan|darurat|emergency|help|{_DANGERS})"
_OTHERWISE = re.compile(rf"{_BEGIN}(?:(?:{_BEFORE})\s{{1,3}}{_TALKED_OF}|{_TALKED_OF}\s{{1,3}}(?:{_AFTER})){_END}")
# After courtesies, or after the PIN, digit by digit, too. A battalion (batalyon) is something else.
_TO_CANCEL = r"(?:di)?(?:batal+|cancel+)(?:kan|in|ed|ing|nya|lah|ah|aja|saja|deh|dong|ya)*(?![^\W\d_])"
_CANCEL = re.compile(rf"(?:(?:{_POLITE}|maaf|sorry|pin|kode)[\W_]{{1,5}}|\d++[\W_]{{0,5}}){{0,12}}{_TO_CANCEL}")
# One word, digits in groups, or whatever follows the word itself.
_PIN = re.compile(r"pin\b.*|[\d\W]*|\S{1,64}", re.DOTALL)
# As many as a PIN has, whatever signs stand between them.
_DIGITS = re.compile(r"\d(?:[\W_]*\d){3,}")
_UNSEEN = frozenset({"Cf", "Cc", "Cs", "Co", "Mn", "Me"})
_LETTER = re.compile(r"[^\W_]")


class Saying(NamedTuple):
    """`distress` is a call for help that begins so, `urgent` another text with words of distress or danger. `kept` is whether the
    text may be kept: what may hold a PIN is not.
    """

    distress: bool = False
    urgent: bool = False
    cancel: bool = False
    kept: bool = True


def decode(content: bytes) -> str:
    """The text as it may be kept, on both databases."""
    return content.decode(errors="replace").replace("\0", "")[:MAX_CHARACTERS]


def read_saying(text: str) -> Saying:
    """A word counts in any case, and after whatever signs and courtesies stand before it."""
    plain = fold(text).casefold()
    first = _LETTER.search(plain)
    begin = first.start() if first else len(plain)
    if _SOS_SIGN in plain[:begin]:
        return Saying(distress=True)
    if cancel := _CANCEL.match(plain, begin):
        rest = plain[cancel.end() :].strip(" \t\r\n.,;:!?-_/")
        return Saying(cancel=True, kept=bool(rest) and not _PIN.fullmatch(rest))
    distress = _DISTRESS.match(plain, begin) is not None
    urgent = not distress and _URGENT.search(_OTHERWISE.sub(" ", plain)) is not None
    return Saying(distress=distress, urgent=urgent, kept=bool(plain.strip()))


def hide_digits(text: str) -> str:
    """For a sentence that calls an alert off: among its words may be a PIN."""
    # Those in circles, too.
    plain = "".join(str(unicodedata.digit(each, each)) for each in fold(text))
    return _DIGITS.sub("****", plain) if _DIGITS.search(plain) else text


def fold(text: str) -> str:
    """With the plain forms of letters and digits, without accents, and without what nobody sees: marks of direction, joiners,
    controls.
    """
    # A single character may stand for a whole phrase.
    plain = unicodedata.normalize("NFKD", text[:MAX_CHARACTERS])[:MAX_CHARACTERS]
    return "".join(each for each in plain if each.isspace() or unicodedata.category(each) not in _UNSEEN)
