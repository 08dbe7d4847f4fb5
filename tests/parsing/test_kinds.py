"""What a document is, is told from its content (T16)."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.documents import MAX_NAME
from domain.errors import StreamForgeError
from parsing.decoding import decode
from parsing.kinds import binary_kind, text_kind
from parsing.names import tidy_name

HTML = "<!DOCTYPE html><html><body><h1>Hi</h1><p>there</p></body></html>"
MARKDOWN = "# Title\n\nSome **bold** words and [a link](http://example.org/).\n\n```sh\nls\n```\n"
CSV = "name,age\nAda,36\nBob,41\nCy,7\n"


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.pdf", "a.csv", "a", ""])
def test_the_name_cannot_make_html_or_json_anything_else(name: str) -> None:
    assert text_kind(HTML, name)[0] == "text/html"
    assert text_kind('{"a": [1]}', name)[0] == "application/json"


@pytest.mark.parametrize("name", ["a.docx", "a.html", "a", "a.md"])
def test_text_that_shows_markdown_is_markdown_whatever_it_is_called(name: str) -> None:
    assert text_kind(MARKDOWN, name)[0] == "text/markdown"


def test_the_name_decides_where_both_are_possible() -> None:
    script = "# install\nmake run\n# test\nmake test\n"
    assert text_kind(script, "notes.md")[0] == "text/markdown"
    assert text_kind(script, "notes.txt")[0] == "text/plain"
    assert text_kind(script, "notes")[0] == "text/plain"
    assert text_kind('<div align="center">\n\n# Name\n\n</div>', "README.md")[0] == "text/markdown"
    assert text_kind('<div align="center"><p>Name</p></div>', "part.html")[0] == "text/html"


def test_millions_of_blank_lines_take_no_memory_to_look_past() -> None:
    text = "\n" * 5_000_000 + HTML
    tracemalloc.start()
    try:
        assert text_kind(text, "a")[0] == "text/html"
        assert tracemalloc.get_traced_memory()[1] < 10 * len(text)
    finally:
        tracemalloc.stop()


def test_a_table_is_told_from_a_poem() -> None:
    assert text_kind(CSV, "upload")[0] == "text/csv"
    assert text_kind(CSV.replace(",", ";"), "upload")[0] == "text/csv"
    assert text_kind("Roses are red, violets are blue.\n" * 4, "upload")[0] == "text/plain"
    assert text_kind("a,b\n1,2\n", "two.csv")[0] == "text/csv"
    assert text_kind("a,b\n1,2\n", "two")[0] == "text/plain"


def test_json_lines_are_json() -> None:
    kind, value = text_kind('{"a": 1}\n\n{"a": 2}\n', "x.log")
    assert (kind, value) == ("application/json", [{"a": "1"}, {"a": "2"}])


@pytest.mark.parametrize("text", ['{"a": 1', "[1, 2] and more", '"a string"', "12", "{curly} text"])
def test_what_only_looks_like_json_is_text(text: str) -> None:
    assert text_kind(text, "a.json")[0] == "text/plain"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x1f\x8b\x08rest", "document_unsupported"),
        (b"{\\rtf1 hello}", "document_unsupported"),
        (b"\x89PNG\r\n", "document_unsupported"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "document_unsupported"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le"), "document_encrypted"),
    ],
)
def test_what_is_surely_something_else_is_refused_with_what_to_do(content: bytes, code: str) -> None:
    with pytest.raises(StreamForgeError) as failed:
        binary_kind(content)
    assert failed.value.code == code
    assert failed.value.detail.endswith(".")


SENTENCES = {
    "Die Größe der Straße wird geändert.": [
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-32",
        "utf-16-le",
        "utf-16-be",
        "cp1252",
    ],
    "Le café est fermé à Noël, où êtes-vous ?": ["cp1252", "latin-1", "utf-16"],
    "Документы хранятся в базе данных и доступны.": ["utf-8", "cp1251", "koi8-r"],
    "日本語の文書です。これはテストです。": ["utf-8", "cp932", "euc_jp"],
    "中文文档测试内容在这里，谢谢。": ["utf-8", "gb18030"],
}


@pytest.mark.parametrize(("text", "encoding"), [(text, code) for text, codes in SENTENCES.items() for code in codes])
def test_odd_encodings_are_read(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_html_says_its_encoding_in_its_head() -> None:
    page = '<html><head><meta charset="iso-8859-7"></head><body>Άλφα</body></html>'
    assert decode(page.encode("iso-8859-7")) == page
    lies = page.replace("iso-8859-7", "base64")  # an encoding of Python's, and not of texts
    assert decode(lies.encode("iso-8859-7")) is not None


def test_one_broken_byte_does_not_make_utf_8_something_else() -> None:
    assert decode("Größe ".encode() * 20 + b"\xff") == "Größe " * 20 + "\ufffd"


def test_line_ends_become_one_and_bytes_that_are_no_text_none() -> None:
    assert decode(b"a\r\nb\rc\n") == "a\nb\nc\n"
    assert decode(bytes(range(256)) * 10) is None
    assert decode(b"\x7fELF\x02\x01\x01" + bytes(100)) is None


@settings(deadline=None)
@given(st.binary(max_size=400), st.text(max_size=30))
def test_no_bytes_break_the_look_at_them(content: bytes, name: str) -> None:
    try:
        binary_kind(content)
    except StreamForgeError:
        return
    text = decode(content)
    if text is not None:
        kind, value = text_kind(text, name)
        assert (value is not None) == (kind == "application/json")
        if value is not None:
            json.dumps(value)


@settings(deadline=None)
@given(st.text(max_size=600))
def test_names_are_no_paths_and_break_no_header(name: str) -> None:
    tidy = tidy_name(name)
    assert 0 < len(tidy) <= MAX_NAME
    assert tidy not in (".", "..")
    assert not set(tidy) & set("/\\\r\n\0\u202e\u2028")
    assert tidy_name(tidy) == tidy
    tidy.encode()


@pytest.mark.parametrize(
    ("name", "tidy"),
    [
        ("../../etc/passwd", "passwd"),
        (r"C:\docs\a report.pdf", "a report.pdf"),
        ("evil\u202efdp.exe", "evilfdp.exe"),
        ("..", "document"),
        ("", "document"),
        ("cafe\u0301.txt", "café.txt"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
def test_names_keep_what_is_a_name(name: str, tidy: str) -> None:
    assert tidy_name(name) == tidy
