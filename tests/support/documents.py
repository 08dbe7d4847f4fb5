"""Makes documents for tests: PDF by hand, Word documents by hand and with python-docx."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence

from docx import Document

_PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
_ID = bytes(16)


def pdf(
    pages: Sequence[str],
    *,
    title: str = "",
    bookmarks: Sequence[tuple[str, int]] = (),
    password: str | None = None,
    loop: bool = False,
    streams: Sequence[bytes] = (),
) -> bytes:
    """A PDF with a line of text for each line of each page. `bookmarks` lead to pages from 0.

    `loop` makes the tree of pages contain itself; `streams` are packed contents of pages, instead of `pages`.
    """
    key = _key(password) if password is not None else None
    contents = list(streams) or [zlib.compress(_shown(text).encode("cp1252")) for text in pages]
    count, first = len(contents), 6
    kids = " ".join(f"{first + 2 * number} 0 R" for number in range(count)) + (" 2 0 R" if loop else "")
    marks = first + 2 * count
    objects: dict[int, bytes] = {
        1: f"<< /Type /Catalog /Pages 2 0 R /Outlines {marks} 0 R >>".encode(),
        2: f"<< /Type /Pages /Kids [{kids}] /Count {count + loop} >>".encode(),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: b"<< /Title (" + _secret(title.encode("cp1252"), key, 4) + b") >>",
    }
    for number, content in enumerate(contents):
        data = _secret(content, key, first + 2 * number + 1, escape=False)
        objects[first + 2 * number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F 3 0 R >> >>"
            f" /Contents {first + 2 * number + 1} 0 R >>"
        ).encode()
        head = f"<< /Length {len(data)} /Filter /FlateDecode >>\nstream\n".encode()
        objects[first + 2 * number + 1] = head + data + b"\nendstream"
    if bookmarks:
        objects[marks] = f"<< /First {marks + 1} 0 R /Last {marks + len(bookmarks)} 0 R >>".encode()
    else:
        objects[marks] = b"<< >>"
    for place, (name, page) in enumerate(bookmarks):
        own = marks + 1 + place
        following = f" /Next {own + 1} 0 R" if place + 1 < len(bookmarks) else ""
        dest = f" /Parent {marks} 0 R /Dest [{first + 2 * page} 0 R /Fit]{following} >>"
        objects[own] = b"<< /Title (" + _secret(name.encode("cp1252"), key, own) + b")" + dest.encode()
    if password is not None:
        owner = _rc4(hashlib.md5(_padded(password)).digest()[:5], _padded(password))
        user = _rc4(key or b"", _PAD)
        objects[5] = f"<< /Filter /Standard /V 1 /R 2 /P -1 /O <{owner.hex()}> /U <{user.hex()}> >>".encode()
    return _file(objects, encrypted=password is not None)


def _file(objects: dict[int, bytes], *, encrypted: bool) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = {}
    for number in sorted(objects):
        places[number] = len(out)
        out += f"{number} 0 obj\n".encode() + objects[number] + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {max(objects) + 1}\n0000000000 65535 f \n".encode()
    for number in range(1, max(objects) + 1):
        out += f"{places[number]:010} 00000 n \n".encode() if number in places else b"0000000000 65535 f \n"
    more = f" /Encrypt 5 0 R /ID [<{_ID.hex()}> <{_ID.hex()}>]" if encrypted else ""
    out += (
        f"trailer\n<< /Size {max(objects) + 1} /Root 1 0 R /Info 4 0 R{more} >>\nstartxref\n{table}\n%%EOF\n".encode()
    )
    return bytes(out)


def _shown(text: str) -> str:
    lines = (line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in text.split("\n"))
    return "BT /F 12 Tf 14 TL 72 770 Td " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"


def _secret(data: bytes, key: bytes | None, number: int, *, escape: bool = True) -> bytes:
    """The data as it is in the file: encrypted with the document's key for object `number`."""
    if key is not None:
        data = _rc4(hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10], data)
    if escape:
        for special in (b"\\", b"(", b")"):
            data = data.replace(special, b"\\" + special)
        data = data.replace(b"\r", b"\\r")
    return data


def _key(password: str) -> bytes:
    owner = _rc4(hashlib.md5(_padded(password)).digest()[:5], _padded(password))
    return hashlib.md5(_padded(password) + owner + b"\xff\xff\xff\xff" + _ID).digest()[:5]


def _padded(password: str) -> bytes:
    return (password.encode("latin-1") + _PAD)[:32]


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    other = 0
    for place in range(256):
        other = (other + state[place] + key[place % len(key)]) % 256
        state[place], state[other] = state[other], state[place]
    out = bytearray()
    one = other = 0
    for byte in data:
        one = (one + 1) % 256
        other = (other + state[one]) % 256
        state[one], state[other] = state[other], state[one]
        out.append(byte ^ state[(state[one] + state[other]) % 256])
    return bytes(out)


def docx(*blocks: tuple[str, str] | list[list[str]], title: str = "") -> bytes:
    """A Word document: `(style, text)` is a paragraph, a list of rows a table."""
    document = Document()
    document.core_properties.title = title
    for block in blocks:
        if isinstance(block, tuple):
            document.add_paragraph(block[1], style=block[0])
            continue
        table = document.add_table(rows=0, cols=len(block[0]))
        for row in block:
            for cell, text in zip(table.add_row().cells, row, strict=True):
                cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def with_part(document: bytes, name: str, data: bytes) -> bytes:
    """The same archive with this part added, or replaced if it exists."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.filelist:
            if entry.filename != name:
                new.writestr(entry.filename, old.read(entry))
        new.writestr(name, data)
    return out.getvalue()


def archive(**parts: bytes) -> bytes:
    """A ZIP archive; names have `__` for a slash and `_` for a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in parts.items():
            made.writestr(name.replace("__", "/").replace("_", "."), data)
    return out.getvalue()
