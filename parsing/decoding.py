"""Turns bytes into text: finds their encoding, and whether they are text at all.

The encoding is the first of these that applies: that of a byte order mark; UTF-8; the one declared in an HTML or XML
head; UTF-16 if every second byte is zero; the guess of charset-normalizer; Windows-1252. Bytes that cannot be decoded
become U+FFFD.
"""

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,80}\sencoding\s*=\s*["']([\w.:-]+)|<meta[^>]{0,200}charset\s*=\s*["']?([\w.:-]+)""", re.I
)
_MULTIBYTE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]+")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\ufffd]")
# The encodings of DOS and mainframes are left out: short texts fit them by chance.
_GUESSED = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "iso8859_5"),
    *("iso8859_7", "koi8_r", "mac_roman", "cp874", "cp932", "euc_jp", "gb18030"),
    *("big5", "cp949", "euc_kr"),
]
_WRITING = ("iso8859", "iso2022", "cp", "koi8", "mac", "gb", "big5", "euc", "shift_jis", "hz", "tis", "johab", "ptcp")
_HEAD = 4_096
_SAMPLE = 65_536


def decode(content: bytes) -> str | None:
    """The text with `\\n` for every line end; `None` if the bytes are not text."""
    text = _decoded(content)
    sample = text[:_SAMPLE]
    if len(_CONTROLS.findall(sample)) > max(1, len(sample) // 50):
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    text = content.decode("utf-8", "replace")
    if text.count("\ufffd") * 10 < len(_MULTIBYTE.findall(content)):
        return text  # UTF-8 with a few broken characters
    return content.decode(_declared(content) or _utf_16(content) or _guessed(content) or "cp1252", "replace")


def _declared(content: bytes) -> str | None:
    """The encoding declared in the head of an HTML or XML document, unless it is a Unicode encoding."""
    found = _DECLARED.search(content[:_HEAD])
    if found is None:
        return None
    try:
        name = codecs.lookup((found[1] or found[2]).decode("ascii", "replace")).name
    except LookupError:
        return None
    if name in ("iso8859-1", "ascii"):
        return "cp1252"  # as browsers do
    return name if name.startswith(_WRITING) else None


def _utf_16(content: bytes) -> str | None:
    sample = content[:_SAMPLE]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if odd * 10 > half * 3 and even * 20 < half:
        return "utf-16-le"
    return "utf-16-be" if even * 10 > half * 3 and odd * 20 < half else None


def _guessed(content: bytes) -> str | None:
    from charset_normalizer import from_bytes

    guesses = from_bytes(content[:_SAMPLE], cp_isolation=_GUESSED)
    best = guesses.best()
    if best is None:
        return None
    # Windows-1252 unless another one is more likely: the bytes of West European letters fit other encodings as well.
    alike = (guess.encoding for guess in guesses if (guess.chaos, guess.coherence) == (best.chaos, best.coherence))
    return "cp1252" if {"cp1252", "latin_1", "ascii"} & {best.encoding, *alike} else best.encoding
