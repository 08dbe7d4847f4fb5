"""Each format becomes sections with their pages and headings. Read in this process: the child is tested by itself."""

from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.documents import Parsed
from domain.errors import StreamForgeError
from domain.text import UNWRITABLE
from parsing.limits import ParseLimits
from parsing.reading import read_document
from tests.support.documents import docx, pdf, with_part
from tests.support.effort import examples


def read(content: bytes | str, name: str = "upload", limits: ParseLimits | None = None) -> Parsed:
    data = content.encode() if isinstance(content, str) else content
    return read_document(data, name, limits or ParseLimits(), lambda *_: None)


def told(parsed: Parsed) -> list[tuple[str | None, str]]:
    return [(section.heading, section.text) for section in parsed.sections]


def test_markdown_is_cut_at_its_headings_and_kept_as_it_is() -> None:
    parsed = read("intro\n\n# The **Book** #\n\nOne.\n\n## Part `x`\n\n- two\n\nUnder\n=====\nthree\n", "a.md")
    assert told(parsed) == [
        (None, "intro"),
        ("The Book", "# The **Book** #\n\nOne."),
        ("The Book > Part x", "## Part `x`\n\n- two"),
        ("Under", "Under\n=====\n\nthree"),
    ]
    assert parsed.title == "The Book"


def test_a_comment_in_a_fence_is_no_heading_and_a_rule_none_either() -> None:
    parsed = read("# A\n\n```sh\n# not one\n```\n\ntext\ntext\n---\n\n- item\n---\n~~~\n# nor this", "a.md")
    assert [heading for heading, _ in told(parsed)] == ["A"]


def test_a_heading_that_says_nothing_goes_with_the_next_one() -> None:
    assert told(read("# A\n\n## B\n\ntext", "a.md")) == [("A > B", "# A\n\n## B\n\ntext")]


@pytest.mark.parametrize("marks", ["```\n\n```\n---", "![](chart.png)\n===", "## <br>"])
def test_marks_that_name_nothing_are_text_and_no_heading(marks: str) -> None:
    assert told(read(f"# A\n\n{marks}\n\nlast", "a.md")) == [("A", f"# A\n\n{marks}\n\nlast")]


def test_front_matter_names_the_document() -> None:
    parsed = read('---\ntitle: "A guide"\ntags: [x]\n---\n# One\n\ntext', "a.md")
    assert parsed.title == "A guide"
    assert [heading for heading, _ in told(parsed)] == [None, "One"]


def test_html_is_what_a_reader_sees() -> None:
    parsed = read(
        "<!doctype html><html><head><title> A &amp; B </title><style>p{}</style></head><body>"
        "<nav><a href=/>Home</a></nav><h1>Guide<a class=headerlink>¶</a></h1><p>One <b>bold</b>\n  word.</p>"
        "<ul><li>first<li>second</ul><script>evil()</script><p hidden>secret</p><p style='display: none'>too</p>"
        "<h2>Table</h2><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<pre>x = 1\n  y</pre>tail<footer>imprint</footer></body></html>"
    )
    assert parsed.title == "A & B"
    assert told(parsed) == [
        ("Guide", "Guide\n\nOne bold word.\n\n- first\n- second"),
        ("Guide > Table", "Table\n\na | b\n1 | 2\n\nx = 1\n  y\n\ntail"),
    ]


def test_html_with_a_main_part_is_only_that_and_one_of_nothing_but_navigation_all_of_it() -> None:
    assert told(read("<html><body><div>menu</div><main><p>text</p></main><div>ads</div></body></html>")) == [
        (None, "text")
    ]
    assert told(read("<html><body><nav>only this</nav></body></html>")) == [(None, "only this")]


def test_html_that_is_broken_is_read_as_browsers_do() -> None:
    assert told(read("<html><body><p>one<p>two</b></div><table><td>x")) == [(None, "one\n\ntwo\n\nx")]


def test_pdf_keeps_pages_and_bookmarks() -> None:
    seen: list[tuple[int, int | None]] = []
    content = pdf(["Hello (world)\nGröße", "", "three"], title="Report", bookmarks=[("One", 0), ("Three", 2)])
    parsed = read_document(content, "", ParseLimits(), lambda page, of: seen.append((page, of)))
    assert [(section.page, section.heading, section.text) for section in parsed.sections] == [
        (1, "One", "Hello (world)\nGröße"),
        (3, "Three", "three"),
    ]
    assert (parsed.media_type, parsed.title, parsed.pages) == ("application/pdf", "Report", 3)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_pdf_that_opens_without_a_password_is_read_and_one_that_does_not_is_encrypted() -> None:
    assert read(pdf(["locked, not shut"], password="")).sections[0].text == "locked, not shut"
    with pytest.raises(StreamForgeError) as failed:
        read(pdf(["shut"], password="secret"))
    assert failed.value.code == "document_encrypted"


def test_word_documents_have_headings_tables_and_a_title() -> None:
    parsed = read(
        docx(
            ("Title", "Book"), ("Heading 1", "One"), ("Normal", "text"), [["a", "b"], ["1", "2"]], ("Heading 2", "Two")
        ),
        "report.pdf",
    )
    assert told(parsed) == [(None, "Book"), ("One", "One\n\ntext\n\na | b\n1 | 2"), ("One > Two", "Two")]
    assert parsed.title == "Book"
    assert parsed.media_type.endswith("wordprocessingml.document")
    assert read(docx(("Normal", "x"), title="Its own")).title == "Its own"


def test_word_documents_keep_what_was_inserted_and_not_what_was_deleted() -> None:
    body = (
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        "<w:p><w:r><w:t>kept </w:t></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p></w:body></w:document>"
    )
    assert told(read(with_part(docx(), "word/document.xml", body.encode()))) == [(None, "in a control\n\nkept new")]


def test_rows_of_tables_can_be_understood_alone() -> None:
    assert told(read('name,note\nAda,"first, of all"\nBob,\n', "a.csv")) == [
        (None, "name,note\nname: Ada; note: first, of all\nname: Bob")
    ]
    assert told(read("1;2\n3;4\n5;6\n")) == [(None, "1, 2\n3, 4\n5, 6")]
    assert told(read('part,note\nBolt,"of steel\nor brass"\nNut,none\n', "a.csv")) == [
        (None, "part,note\npart: Bolt; note: of steel or brass\npart: Nut; note: none")
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_commas_in_numbers_and_notes_part_no_columns(delimiter: str, name: str) -> None:
    rows = ("fruit", "price", "note"), ("Apple", "1,20", "red, sweet"), ("Pear", "2,50", "green"), ("Plum", "3,10", "")
    assert told(read("\n".join(map(delimiter.join, rows)), name)) == [
        (
            None,
            f"{delimiter.join(rows[0])}\nfruit: Apple; price: 1,20; note: red, sweet\n"
            "fruit: Pear; price: 2,50; note: green\nfruit: Plum; price: 3,10",
        )
    ]
    assert told(read("who\twhat\nAda, Ms\tone, two\n", "a.tsv"))[0][1].endswith("who: Ada, Ms; what: one, two")


def test_values_of_json_can_be_understood_alone() -> None:
    document = '[{"name": "Ada", "born": {"year": 1815.50}, "langs": ["en", "fr"], "x": [null, {"y": true}]}, "z"]'
    assert told(read(document)) == [
        (
            None,
            "[0].name: Ada\n[0].born.year: 1815.50\n[0].langs: en, fr\n[0].x[0]: null\n[0].x[1].y: true\n\n[1]: z",
        )
    ]


@pytest.mark.parametrize("content", [b"", b" \n\t", b"<html><body></body></html>", b"{}", pdf([""]), docx()])
def test_a_document_without_text_is_empty(content: bytes) -> None:
    with pytest.raises(StreamForgeError) as failed:
        read(content)
    assert failed.value.code == "document_empty"


SMALL = ParseLimits(characters=1_000, sections=20, pages=5)


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"word " * 300, "a.txt", "1,000 characters"),
        (b"# a\n\nb\n\n" * 21, "a.md", "20 sections"),
        (pdf(["x"] * 6), "a.pdf", "6 pages"),
        (b"[" * 200_000, "a.json", "nested"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "a.json", "nested"),
        (b"<html>" + b"<div>" * 100_000 + b"x", "a.html", "nested"),
        (b"a,b\n" + b"1,2\n" * 300, "a.csv", "1,000 characters"),
    ],
)
def test_who_goes_beyond_a_limit_is_told_which(content: bytes, name: str, words: str) -> None:
    with pytest.raises(StreamForgeError) as failed:
        read(content, name, SMALL)
    assert failed.value.code == "document_too_complex"
    assert words in failed.value.detail


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv"])
def test_letters_and_their_accents_are_one(name: str) -> None:
    text = "# Größe\n\n東京ガスの é"
    (section,) = read(normalize("NFD", text), name).sections
    assert section.text == text
    assert section.heading == ("Größe" if name == "a.md" else None)


def test_what_no_text_may_hold_is_replaced() -> None:
    assert told(read('{"a": "\\ud800 \\u0000"}')) == [(None, "a: \ufffd \ufffd")]
    assert told(read(b"long enough to be text, with one\0in it")) == [
        (None, "long enough to be text, with one\ufffdin it")
    ]


@settings(deadline=None, max_examples=examples(150))
@given(
    st.text(alphabet=st.sampled_from('#=-` \n\t*[]()<>/pdivh12\0|,:{}"ab\ud800é'), max_size=300),
    st.sampled_from(["a.md", "a.html", "a.csv", "a"]),
)
def test_no_text_breaks_a_reader(text: str, name: str) -> None:
    try:
        parsed = read(text.encode("utf-8", "surrogatepass"), name)
    except StreamForgeError as error:
        if error.code not in ("document_empty", "document_unsupported"):
            raise
        return
    for section in parsed.sections:
        assert section.text.strip()
        assert not UNWRITABLE.search(section.text + (section.heading or ""))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["# h", "## k", "text", "```", "    code", "> q", "---", "", "- li"]), max_size=30))
def test_markdown_loses_no_line(lines: list[str]) -> None:
    try:
        parsed = read("\n".join(lines), "a.md")
    except StreamForgeError:
        assert not [line for line in lines if line and line not in ("# h", "## k")]
        return
    kept = "\n".join(section.text for section in parsed.sections)
    assert [line for line in kept.split("\n") if line] == [line for line in lines if line]
