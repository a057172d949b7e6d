"""Languages by tag or English name: whose text is compared by character, and the code that recognisers know."""

from __future__ import annotations

import re
from functools import cache

CHARACTER_LANGUAGES = frozenset({"zh", "yue", "ja", "ko", "th", "lo", "km", "my"})
"""Languages whose words are not the unit of an error rate: Chinese, Cantonese, Japanese, Korean; Thai, Lao, Khmer,
Burmese."""
_CHARACTERS = "cjk"
"""A hint that names scripts, not a language."""

_CODES = """
af afrikaans, am amharic, ar arabic, as assamese, az azerbaijani, ba bashkir, be belarusian, bg bulgarian, bn bengali,
bo tibetan, br breton, bs bosnian, ca catalan, cs czech, cy welsh, da danish, de german, el greek, en english,
eo esperanto, es spanish, et estonian, eu basque, fa persian, fi finnish, fo faroese, fr french, ga irish, gd gaelic,
gl galician, gu gujarati, ha hausa, haw hawaiian, he hebrew, hi hindi, hr croatian, ht haitian, hu hungarian,
hy armenian, id indonesian, ig igbo, is icelandic, it italian, ja japanese, jv javanese, ka georgian, kk kazakh,
km khmer, kn kannada, ko korean, ku kurdish, ky kyrgyz, la latin, lb luxembourgish, ln lingala, lo lao, lt lithuanian,
lv latvian, mg malagasy, mi maori, mk macedonian, ml malayalam, mn mongolian, mr marathi, ms malay, mt maltese,
my burmese, nb bokmal, ne nepali, nl dutch, nn nynorsk, no norwegian, oc occitan, or odia, pa punjabi, pl polish,
ps pashto, pt portuguese, ro romanian, ru russian, rw kinyarwanda, sa sanskrit, sd sindhi, si sinhala, sk slovak,
sl slovenian, sn shona, so somali, sq albanian, sr serbian, st sotho, su sundanese, sv swedish, sw swahili, ta tamil,
te telugu, tg tajik, th thai, tk turkmen, tl tagalog, tr turkish, tt tatar, ug uyghur, uk ukrainian, ur urdu,
uz uzbek, vi vietnamese, xh xhosa, yi yiddish, yo yoruba, yue cantonese, zh chinese, zu zulu
"""
_OTHER_NAMES = {
    "cmn": "zh",
    "zho": "zh",
    "chi": "zh",
    "wuu": "zh",
    "hak": "zh",
    "nan": "zh",
    "mandarin": "zh",
    "taiwanese": "zh",
    "hokkien": "zh",
    "jp": "ja",
    "jpn": "ja",
    "kr": "ko",
    "kor": "ko",
    "eng": "en",
    "deu": "de",
    "ger": "de",
    "fra": "fr",
    "fre": "fr",
    "spa": "es",
    "ita": "it",
    "por": "pt",
    "rus": "ru",
    "castilian": "es",
    "farsi": "fa",
    "filipino": "tl",
    "jw": "jv",
}
_SEPARATOR = re.compile(r"[-_]")

# What FastVideo looks for anywhere in the hint, in this order: "Chinese" holds "es", "Javanese" holds "ja".
_FASTVIDEO_CHARACTERS = ("zh", "cn", "ja", "jp", "ko", "cjk", "yue", "cantonese")
_FASTVIDEO_WORDS = ("en", "fr", "de", "es", "it", "pt")


def language_code(hint: object) -> str | None:
    """Return the code of a BCP 47 tag or an English language name; ``None`` for an unknown one and what is not text."""
    if not isinstance(hint, str):
        return None
    text = hint.strip().lower()
    # The whole tag first, then the language at its start: "en-US".
    return _known().get(text) or _known().get(_SEPARATOR.split(text, maxsplit=1)[0])


def by_character(hint: object) -> bool | None:
    """Whether text in the hinted language is compared by character; ``None`` when the hint does not tell."""
    if isinstance(hint, str) and hint.strip().lower() == _CHARACTERS:
        return True
    code = language_code(hint)
    return None if code is None else code in CHARACTER_LANGUAGES


def by_character_in_fastvideo(hint: object) -> bool | None:
    """Whether FastVideo compares by character under this hint: it looks for codes anywhere in it."""
    text = hint.lower() if isinstance(hint, str) else ""
    if any(part in text for part in _FASTVIDEO_CHARACTERS):
        return True
    return False if any(part in text for part in _FASTVIDEO_WORDS) else None


@cache
def _known() -> dict[str, str]:
    found = dict(_OTHER_NAMES)
    for pair in _CODES.replace("\n", " ").split(","):
        code, name = pair.split()
        found[code] = found[name] = code
    return found
