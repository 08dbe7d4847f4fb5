"""Unpacks ZIP archives, such as Office documents, within limits, before any library reads them."""

import io
import zipfile
import zlib

from domain.errors import StreamForgeError
from parsing.limits import ParseLimits
from parsing.outline import too_complex

_ENTRIES = 5_000
_PIECE = 65_536
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError)
_MARKUP = (".xml", ".rels")
_DECLARATIONS = tuple(
    word.encode(code) for word in ("<!DOCTYPE", "<!ENTITY") for code in ("utf-8", "utf-16-le", "utf-16-be")
)


def entries(content: bytes) -> frozenset[str]:
    """The names of the archive's entries, from its directory; nothing is unpacked."""
    with _opened(content) as archive:
        if len(archive.filelist) > _ENTRIES:
            raise too_complex(
                f"There are more than {_ENTRIES:,} files in the document. Save it again in a simpler form."
            )
        return frozenset(entry.filename for entry in archive.filelist)


def vetted(content: bytes, limits: ParseLimits) -> io.BytesIO:
    """The same archive, uncompressed, with only its XML.

    Other entries (pictures, fonts, embedded files) are kept, but empty: they are never unpacked. Sizes are counted
    while unpacking, since headers may lie. Declarations of entities, which could make XML grow without bound, are
    refused: these formats do not allow them.
    """
    plain, left = io.BytesIO(), limits.inflated
    with _opened(content) as archive, zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as copy:
        for entry in {entry.filename: entry for entry in archive.filelist}.values():
            data = b""
            if entry.filename.lower().endswith(_MARKUP):
                data = _inflated(archive, entry, left)
                left -= len(data)
            copy.writestr(zipfile.ZipInfo(entry.filename), data)
    plain.seek(0)
    return plain


def _opened(content: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except _BROKEN:
        raise StreamForgeError("document_broken") from None


def _inflated(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> bytes:
    if entry.flag_bits & 0x1:
        raise StreamForgeError("document_encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise StreamForgeError("document_broken")
    data = bytearray()
    try:
        with archive.open(entry) as packed:
            while piece := packed.read(_PIECE):
                data += piece
                if len(data) > left:
                    raise too_complex("The document unpacks to more than this server takes. Split it.")
    except _BROKEN:
        raise StreamForgeError("document_broken") from None
    if any(word in data for word in _DECLARATIONS):
        raise StreamForgeError("document_broken", "The document declares XML entities, which its format forbids.")
    return bytes(data)
