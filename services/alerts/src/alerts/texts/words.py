"""What a text message asks for, by how it begins."""

import re
import unicodedata
from typing import NamedTuple

# As much as is kept of a text; no network delivers longer ones.
MAX_CHARACTERS = 4000
_SOS_SIGN = "\N{SQUARED SOS}"
# Any letter of the next word would make another word of it.
_END = r"(?![^\W\d_])"
# Drawn out, set apart, with a zero for the letter; shortened as people do on a phone.
_DISTRESS_WORDS = (
    r"s+[\W_]{0,3}[o0]+[\W_]{0,3}s(?:[so0]*s)?",
    r"t+o*l+o*n*g+(?:lah|in|kan|an|i|ya|dong|donk|k)?",
    r"h+e+l+p+",
    r"bantu(?:an|in|lah)?",
    r"darurat",
    r"emergency",
    r"mayday",
)
_POLITE = r"pak|bapak|bu|ibu|mas|mbak|bang|kak|halo|hallo|hello|hi|mohon|minta|butuh|perlu|please|pls|saya|kami|i|we|need"
_DISTRESS = re.compile(rf"(?:(?:{_POLITE})[\W_]{{1,5}}){{0,3}}(?:{'|'.join(_DISTRESS_WORDS)}){_END}")
_CANCEL = re.compile(r"(?:batal|cancel)[^\W\d_]*")
# One word, digits in groups, or whatever follows the word itself.
_PIN = re.compile(r"pin\b.*|[\d\W]*|\S{1,64}", re.DOTALL)
_UNSEEN = frozenset({"Cf", "Cc", "Cs", "Co", "Mn", "Me"})
_LETTER = re.compile(r"[^\W_]")


class Saying(NamedTuple):
    """`kept` is whether the text may be kept: what may hold a PIN is not."""

    distress: bool = False
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
    return Saying(distress=_DISTRESS.match(plain, begin) is not None, kept=bool(plain.strip()))


def fold(text: str) -> str:
    """With the plain forms of letters and digits, without accents, and without what nobody sees: marks of direction, joiners,
    controls.
    """
    # A single character may stand for a whole phrase.
    plain = unicodedata.normalize("NFKD", text[:MAX_CHARACTERS])[:MAX_CHARACTERS]
    return "".join(each for each in plain if each.isspace() or unicodedata.category(each) not in _UNSEEN)
