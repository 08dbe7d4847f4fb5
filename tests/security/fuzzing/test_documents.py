"""T14, T15: documents of every kind, mutated from good ones, end in a text within the limits or in a documented code.

They go through the real child, as they do in the server; those that are text also through the readers alone, which may
not even fail. And what a child that has been taken over may write does no more.
"""

import asyncio
import copy
import io
import json
import zipfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import orjson
from hypothesis import strategies as st

from domain.documents import MAX_DETAIL, Parsed
from domain.errors import StreamForgeError
from domain.text import UNWRITABLE
from parsing.limits import MAX_HEADING, MAX_TITLE, ParseLimits
from parsing.parser import Parser
from parsing.progress import OnPage
from parsing.reading import read_document
from tests.support.documents import docx, pdf, with_part
from tests.support.fuzzing import ODD_BYTES, fuzz, mutated, odd_values

LIMITS = ParseLimits(wall_seconds=20, cpu_seconds=10, inflated=8 << 20, characters=200_000, sections=2_000, pages=50)
MARKDOWN = (
    "---\ntitle: T\n---\n# One\n\nText **b** [a](http://x.example/).\n\n## Two\n\n"
    "```sh\n# no\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
)
HTML = (
    "<!doctype html><html><head><title>T &amp; U</title><style>p{}</style></head><body><nav>n</nav><main><h1>One</h1>"
    "<p>Text<br>more</p><ul><li>a<li>b</ul><table><tr><th>x<th>y<tr><td>1<td>2</table><pre>  p </pre><h2>Two</h2>"
    "<script>s</script></main></body></html>"
)
WORD = docx(
    ("Title", "T"), ("Heading 1", "One"), ("Normal", "Text"), [["a", "b"], ["1", "2"]], ("Heading 2", "Two"), title="T"
)
PDF = pdf(["One line\nand more", "Two"], title="T", bookmarks=[("One", 0), ("Two", 1)])
_PARTS = ("word/document.xml", "[Content_Types].xml", "_rels/.rels", "docProps/core.xml")
with zipfile.ZipFile(io.BytesIO(WORD)) as made:
    PARTS = {name: made.read(name) for name in _PARTS}
TEXTS: dict[str, bytes] = {
    "a.txt": b"Some words.\n\nMore of them, in a second paragraph.\n",
    "a.md": MARKDOWN.encode(),
    "a.html": HTML.encode(),
    "a.csv": b'name,age,note\nAda,36,"a, b"\nBob,41,"x\ny"\nCy,7,\n',
    "a.tsv": b"name\tage\nAda\t36\nBob\t41\n",
    "a.json": b'{"a": [1, 2.5, {"b": null}], "c": "text", "d": [{"e": true}, {"e": false}]}',
    "b.json": b'{"a": 1}\n{"a": 2}\n{"a": [3]}\n',
    "b.txt": "Gr\u00f6\u00dfe \u4f60\u597d \U0001f600".encode("utf-16"),
    "c.txt": "Gr\u00f6\u00dfe und Stra\u00dfe".encode("cp1252"),
    "c.html": b"<?xml version='1.0'?><!-- c --><p>One<p>Two<b><i>Three</b></i><table><tr><td>",
}
TOKENS = (
    *ODD_BYTES, b"<", b">", b"</", b"<!--", b"<![CDATA[", b"<table>", b"<tr>", b"<td colspan=9999999>", b"<pre>",
    b"<h1>", b"&#x110000;", b"&#0;", b"&nbsp", b"#", b"```", b"|", b"---\n", b"~~~", b"> ", b"    ", b"\t", b",",
    b";", b'"', b'""', b"\r", b"\x0b", b"\x0c", b"\x1c", b"\x85", "\u2028".encode(), b"[" * 2_000, b"<div>" * 400,
    b"(" * 500, b"*" * 500, b"- " * 500, b"\n" * 500, b"9" * 5_000, b"%PDF-", b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\xff\xfe", b"\xfe\xff", b"+ADw-",
)  # fmt: skip
PDF_TOKENS = (
    b"<<", b">>", b"obj", b"endobj", b"stream", b"endstream", b"/Length 999999999", b"/Length -1",
    b"/Filter [/FlateDecode /FlateDecode]", b"/Filter /DCTDecode", b"/Kids [2 0 R 2 0 R]", b"/Count 2147483647",
    b"/Count -1", b"1 0 R", b"6 0 R", b"/Encrypt 5 0 R", b"xref", b"trailer", b"/Prev 0", b"/First 8 0 R",
    b"/Next 8 0 R", b"/Type /ObjStm", b"%%EOF", b"[" * 600, b"<<" * 600, b"9" * 400, b"\0", b"(",
    b"/MediaBox [0 0 1e9 1e9]",
)  # fmt: skip
XML_TOKENS = (
    b"<w:p>", b"</w:p>", b"<w:t>", b"<w:tbl>", b"</w:tbl>", b"<w:tr>", b"<w:tc>", b"<w:p>" * 500,
    b"<w:tbl><w:tr><w:tc>" * 200, b'w:val="9"', b"<!DOCTYPE", b"&amp;", b"&a;", b"&#0;", b"<?x?>", b"<w:del>",
    b"<w:ins>", b"<w:gridSpan w:val='99999999'/>", b"<w:br/>", b"\0", b"\xff\xfe", b"xmlns:w='x'",
)  # fmt: skip


def whole(parsed: Parsed) -> None:
    """What the server may store."""
    assert sum(len(section.text) for section in parsed.sections) <= LIMITS.characters * 2
    assert len(parsed.sections) <= LIMITS.sections
    assert parsed.pages is None or 0 <= parsed.pages < 2**31
    assert len(parsed.title or "") <= MAX_TITLE
    for text in (
        parsed.media_type,
        parsed.title,
        *(each for section in parsed.sections for each in (section.text, section.heading)),
    ):
        assert text is None or not UNWRITABLE.search(text)
    for section in parsed.sections:
        assert len(section.heading or "") <= 3 * MAX_HEADING
        assert section.page is None or 0 <= section.page < 2**31


DOCUMENTED = {
    "document_unsupported", "document_broken", "document_encrypted", "document_too_complex", "document_empty",
    "document_crashed",
}  # fmt: skip


def test_no_text_breaks_its_reader() -> None:
    """In this process, where an exception is not taken for a broken document: no text is broken."""

    def test(named: tuple[str, bytes]) -> None:
        name, content = named
        if b"%PDF-" in content or content.startswith((b"PK", b"\xd0\xcf")):
            return
        try:
            parsed = read_document(content, name, LIMITS, lambda *_: None)
        except StreamForgeError as failed:
            code = failed.code
        else:
            whole(parsed)
            code = ""
        assert code in ("", "document_unsupported", "document_too_complex", "document_empty")

    names = st.sampled_from(sorted(TEXTS))
    fuzz(names.flatmap(lambda name: st.tuples(st.just(name), mutated(TEXTS[name], tokens=TOKENS))), test, count=600)


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, str]:
    """One of any kind, and a name; parts of a Word document are changed before they are packed, or after."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(mutated(PDF, most=8, tokens=PDF_TOKENS)), "a.pdf"
    if kind == 1:
        return draw(mutated(WORD, most=3)), "a.docx"
    if kind == 2:
        part = draw(st.sampled_from(sorted(PARTS)))
        return with_part(WORD, part, draw(mutated(PARTS[part], most=4, tokens=XML_TOKENS))), "a.docx"
    name = draw(st.sampled_from(sorted(TEXTS)))
    return draw(mutated(TEXTS[name], tokens=TOKENS)), draw(st.sampled_from([name, "a", "a.pdf", "\ud800.md"]))


def read(parser: Parser, content: bytes, name: str, on_page: OnPage) -> Coroutine[Any, Any, Parsed | StreamForgeError]:
    async def attempt() -> Parsed | StreamForgeError:
        try:
            return await parser.parse(content, name, on_page)
        except StreamForgeError as error:
            return error

    return attempt()


def judge(read: Parsed | StreamForgeError) -> None:
    if isinstance(read, Parsed):
        whole(read)
        orjson.dumps(read)  # as it goes to the process that splits it
    else:
        assert read.code in DOCUMENTED
        assert read.detail
        assert len(read.detail) <= MAX_DETAIL
        assert not UNWRITABLE.search(read.detail)


def on_page(page: int, of: int | None) -> None:
    """What is told to clients."""
    assert 0 <= page < 2**31
    assert of is None or 0 <= of < 2**31


def test_no_document_does_more_than_fail_in_its_child() -> None:
    parser = Parser(LIMITS, fully=False)

    def test(some: list[tuple[bytes, str]]) -> None:
        async def all_at_once() -> list[Parsed | StreamForgeError]:
            async with asyncio.timeout(60):
                return await asyncio.gather(*(read(parser, content, name, on_page) for content, name in some))

        for each in runner.run(all_at_once()):
            judge(each)

    with asyncio.Runner() as runner:
        fuzz(st.lists(documents(), min_size=2, max_size=2), test, count=12)


ECHO = """import sys
sys.stdin.buffer.readline()
sys.stdout.buffer.write(sys.stdin.buffer.read())
"""
SAID: list[dict[str, Any]] = [
    {"confined": ["landlock"]},
    {"page": 1, "of": 2},
    {"document": "text/plain", "title": "T", "pages": 2},
    {"section": 1, "heading": "One"},
    {"text": "Words"},
    {"error": "document_broken", "detail": "A sentence.", "why": "ValueError"},
    {"end": True},
]


def test_no_output_of_a_child_does_more_than_fail_its_document(tmp_path: Path) -> None:
    """The document that this child is given is what it says."""
    (tmp_path / "echo.py").write_text(ECHO)
    parser = Parser(LIMITS, program=tmp_path / "echo.py", fully=False)

    @st.composite
    def outputs(draw: st.DrawFn) -> bytes:
        lines = copy.deepcopy(draw(st.sampled_from([SAID, [*SAID[:5], *SAID[6:]]])))
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(lines) - 1))
            name = draw(st.sampled_from(sorted(lines[at])))
            lines[at] = {**lines[at], name: copy.deepcopy(draw(odd_values))}
        said = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return draw(mutated(said, most=2)) if draw(st.booleans()) else said

    def test(said: bytes) -> None:
        judge(runner.run(read(parser, said, "a.txt", on_page)))

    with asyncio.Runner() as runner:
        fuzz(outputs(), test, count=60)
