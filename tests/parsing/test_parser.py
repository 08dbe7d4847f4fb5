"""A document is read in a child process: whatever goes wrong there fails that document and nothing else.

T14, T15 and T16 of the threats: bombs made here, stubs in the reader's place that hang, eat and start processes.
"""

import asyncio
import io
import json
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from domain.documents import Parsed
from domain.errors import ERRORS, StreamForgeError
from parsing.limits import MIB, ParseLimits
from parsing.parser import Parser
from tests.support.documents import archive, docx, pdf, with_part
from tests.support.server import ROOT

SMALL = ParseLimits(inflated=16 * MIB)
Stub = Callable[..., Parser]


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    """A parser whose child has this reader in the place of ours, in the same confinement."""

    def make(body: str, before: str = "", **limits: Any) -> Parser:
        program = tmp_path / "stub.py"
        reader = dedent(body).replace("\n", "\n    ")
        program.write_text(
            f"import os, socket, subprocess, sys, time\nsys.path.insert(0, {str(ROOT)!r})\n"
            f"from domain.documents import Parsed, Section\nfrom parsing.child import main\n\n{before}\n"
            f"def read(content, name, limits, told):\n    {reader}\n\nmain(read)\n"
        )
        return Parser(ParseLimits(**limits), program=program)

    return make


@pytest.fixture
def raw(tmp_path: Path) -> Stub:
    """A parser whose child is this program, which keeps to nothing."""

    def make(body: str, **limits: Any) -> Parser:
        program = tmp_path / "raw.py"
        program.write_text("import json, os, subprocess, sys, time\n" + dedent(body))
        return Parser(ParseLimits(**limits), program=program, fully=False)

    return make


async def fails(parser: Parser, content: bytes = b"x", name: str = "a.txt") -> StreamForgeError:
    with pytest.raises(StreamForgeError) as failed:
        await parser.parse(content, name)
    return failed.value


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe with a name: who reads it waits until nobody holds its other end."""
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


async def test_every_kind_comes_through_whole() -> None:
    parser = Parser()
    text = "Größe 😀 \u2028 " * 20_000  # more than one line of the child's
    seen: list[tuple[int, int | None]] = []
    plain, paged, word = await asyncio.gather(
        parser.parse(text.encode(), "a.txt"),
        parser.parse(pdf(["one", "two"], title="T"), "a.txt", lambda page, of: seen.append((page, of))),
        parser.parse(docx(("Heading 1", "H"), ("Normal", "words")), "a.pdf"),
    )
    assert "".join(section.text for section in plain.sections) == text
    assert [(section.page, section.text) for section in paged.sections] == [(1, "one"), (2, "two")]
    assert (paged.title, paged.pages, seen) == ("T", 2, [(1, 2), (2, 2)])
    assert [(section.heading, section.text) for section in word.sections] == [("H", "H\n\nwords")]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\nb.txt", "\ud800.md", "x" * 5_000, "", "-rf"])
async def test_a_name_is_never_a_path_or_an_option(name: str) -> None:
    assert (await Parser().parse(b"hello", name)).sections[0].text == "hello"


ENTITIES = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">%s]><l>&j;</l>' % b"".join(
    b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(9)
)


def lying() -> bytes:
    """A part whose header says ten bytes, and that is much more."""
    data = bytearray(with_part(docx(("Normal", "x")), "word/big.xml", b" " * (15 * MIB)))
    size = (15 * MIB).to_bytes(4, "little")
    assert data.count(size) == 2
    return bytes(data.replace(size, (10).to_bytes(4, "little")))


def with_method(method: int) -> bytes:
    """An archive that says of a part that it is packed in a way which these documents never use."""
    data = bytearray(archive(word__document_xml=b"<a/>"))
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        place = made.start_dir
    data[8:10] = data[place + 10 : place + 12] = method.to_bytes(2, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (with_part(docx(("Normal", "x")), "word/big.xml", b" " * (20 * MIB)), "document_too_complex"),
        (lying(), "document_broken"),
        (with_method(14), "document_broken"),
        (archive(**{f"word__p{number}_xml": b"" for number in range(5_001)}), "document_too_complex"),
        (with_part(docx(("Normal", "x")), "word/document.xml", ENTITIES), "document_broken"),
        (with_part(docx(("Normal", "x")), "word/document.xml", ENTITIES.decode().encode("utf-16")), "document_broken"),
        (with_part(docx(("Normal", "x")), "word/document.xml", b"<w:broken"), "document_broken"),
        (docx(("Normal", "x"))[:9_000], "document_broken"),
        (archive(word__document_xml=b"<a/>"), "document_broken"),
        (archive(xl__workbook_xml=b"<a/>"), "document_unsupported"),
        (archive(a_txt=b"hello"), "document_unsupported"),
        (pdf(["words " * 200] * 9)[:2_000], "document_broken"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, "document_broken"),
        (pdf(["shut"], password="secret"), "document_encrypted"),
        (pdf(["", ""]), "document_empty"),
        (b"", "document_empty"),
        (bytes(range(256)), "document_unsupported"),
    ],
)
async def test_bombs_and_broken_documents_fail_with_their_code(content: bytes, code: str) -> None:
    assert (await fails(Parser(SMALL), content)).code == code


async def test_pictures_and_files_in_a_word_document_are_never_unpacked() -> None:
    document = with_part(docx(("Normal", "words")), "word/media/image1.png", b" " * (20 * MIB))
    inner = archive(word__document_xml=b" " * MIB)
    parsed = await Parser(SMALL).parse(with_part(document, "word/embeddings/inner.docx", inner), "a.docx")
    assert [section.text for section in parsed.sections] == ["words"]


async def test_a_pdf_whose_page_unpacks_without_end_fails_alone() -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(b" " * (16 * MIB)) for _ in range(16)) + packer.flush()
    assert (await fails(Parser(ParseLimits(memory=200 * MIB)), pdf([], streams=[bomb]))).code in (
        "document_crashed",
        "document_too_complex",
    )


async def test_a_pdf_that_contains_itself_ends() -> None:
    parsed = await Parser(ParseLimits(wall_seconds=20)).parse(pdf(["one", "two"], loop=True), "a.pdf")
    assert [section.text for section in parsed.sections] == ["one", "two"]


async def test_a_reader_that_hangs_is_ended_by_the_clock_and_the_loop_goes_on(stub: Stub) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    task = asyncio.create_task(tick())
    error = await fails(stub("time.sleep(600)", wall_seconds=1))
    task.cancel()
    assert error.code == "document_too_complex"
    assert "longer" in error.detail
    assert ticks > 20


async def test_a_reader_that_computes_without_end_is_ended_by_the_kernel(stub: Stub) -> None:
    error = await fails(stub("while True: pass", cpu_seconds=1))
    assert (error.code, "longer" in error.detail) == ("document_too_complex", True)


async def test_a_reader_that_eats_memory_fails_at_its_limit(stub: Stub) -> None:
    error = await fails(stub("held = [bytes(1 << 20) for _ in range(4096)]", memory=200 * MIB))
    assert error.code == "document_too_complex"
    assert "memory" in error.detail


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
@pytest.mark.parametrize(
    "body",
    [
        "os.fork()",
        "subprocess.run(['/bin/true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.socketpair()",
        "os.kill(os.getppid(), 0)",
    ],
)
async def test_a_reader_can_start_nothing_reach_nobody_and_signal_nobody(stub: Stub, body: str) -> None:
    tried = f"""
    try:
        {body}
    except PermissionError as error:
        return Parsed("text/plain", (Section("refused"),))
    return Parsed("text/plain", (Section("done"),))
    """
    assert (await stub(tried).parse(b"x", "")).sections[0].text == "refused"


async def test_a_reader_writes_no_file_and_knows_nothing_of_our_environment(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMFORGE_SECRET", "canary")
    written = tmp_path / "written"
    body = f"""
    try:
        with open({str(written)!r}, "wb") as file:
            file.write(b"x" * 100)
    except OSError as error:
        said = "refused"
    return Parsed("text/plain", (Section(said + repr(sorted(os.environ))),))
    """
    said = (await stub(body).parse(b"x", "")).sections[0].text
    assert said.startswith("refused")
    assert "STREAMFORGE" not in said
    assert not written.exists()


async def test_what_a_child_has_started_goes_with_it(raw: Stub, fifo: Path) -> None:
    parser = raw(f"""
        sys.stdin.buffer.read()
        held = os.open({str(fifo)!r}, os.O_WRONLY)
        os.set_inheritable(held, True)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
        print(json.dumps({{"document": "text/plain", "title": None, "pages": None}}))
        print(json.dumps({{"end": True}}), flush=True)
        time.sleep(60)
    """)
    ended = asyncio.create_task(asyncio.to_thread(fifo.read_bytes))
    assert await parser.parse(b"x", "") == Parsed("text/plain", ())
    async with asyncio.timeout(20):
        await ended  # which it does when nobody holds the other end any more


@pytest.mark.parametrize(
    "body",
    [
        "os.abort()",
        "sys.exit(0)",
        "os._exit(3)",
        "print('no json')",
        "print('[]')",
        "print('[' * 100_000)",
        "print('{}')",
        "print(json.dumps({'text': 'without a section'}))",
        "print(json.dumps({'end': True}))",
        "print(json.dumps({'section': 'one', 'heading': None}))",
        "print(json.dumps({'page': 'x', 'of': 1}))",
        "print(json.dumps({'error': 'storage_full', 'detail': 'not its to say'}))",
        "print('x' * 10_000_000)",
        "[print(json.dumps({'section': 1, 'heading': None})) for _ in range(100)]",
        "[print(json.dumps({'page': 1, 'of': None})) for _ in range(100)]",
        "print(json.dumps({'section': 1, 'heading': None}))\nwhile True: print(json.dumps({'text': 'x' * 30_000}))",
    ],
)
async def test_a_child_that_dies_or_says_what_it_must_not_fails_its_document(raw: Stub, body: str) -> None:
    parser = raw("sys.stdin.buffer.read()\n" + body, characters=100_000, sections=20, pages=20)
    assert (await fails(parser)).code == "document_crashed"


@pytest.mark.parametrize("number", ["10**30", "2**31", "-1", "True", "1.5"])
@pytest.mark.parametrize("place", ["page", "of", "section", "pages"])
async def test_a_number_of_pages_that_no_database_holds_fails_its_document(raw: Stub, place: str, number: str) -> None:
    parser = raw(f"""
        sys.stdin.buffer.read()
        number = {{"page": 1, "of": 2, "section": 1, "pages": 2, {place!r}: {number}}}
        print(json.dumps({{"page": number["page"], "of": number["of"]}}))
        print(json.dumps({{"document": "text/plain", "title": None, "pages": number["pages"]}}))
        print(json.dumps({{"section": number["section"], "heading": None}}))
        print(json.dumps({{"end": True}}), flush=True)
    """)
    assert (await fails(parser)).code == "document_crashed"


async def test_a_childs_sentence_is_bounded_and_believed_only_with_a_documents_code(raw: Stub) -> None:
    told = await fails(raw(r"""print(json.dumps({"error": "document_empty", "detail": "\0" + "d" * 9_999}))"""))
    assert (told.code, told.detail) == ("document_empty", "\ufffd" + "d" * 299)
    told = await fails(raw("""print(json.dumps({"error": "internal_error", "detail": "Send money."}))"""))
    assert (told.code, told.detail) == ("document_crashed", ERRORS["document_crashed"].message)


@pytest.mark.parametrize("said", ["{'confined': ['memory', 'cpu']}", "{'confined': 5}", "{'page': 1, 'of': 1}"])
async def test_a_child_that_was_not_confined_ends_the_reading_of_documents(tmp_path: Path, said: str) -> None:
    program = tmp_path / "unconfined.py"
    program.write_text(f"import json\nprint(json.dumps({said}), flush=True)\ninput()")
    parser = Parser(program=program)
    assert not parser.refuses()
    assert (await fails(parser)).code == "documents_unconfined"
    assert parser.refuses()


async def test_a_document_cannot_say_that_its_child_was_not_confined(raw: Stub) -> None:
    for said in ('{"confined": []}', '{"error": "documents_unconfined", "detail": "x"}'):
        parser = raw(f"print('{{\"confined\": []}}')\nprint({said!r}, flush=True)\ninput()")
        assert (await fails(parser)).code == "document_crashed"
        assert not parser.refuses()


async def test_a_child_that_reads_nothing_fails_its_document(raw: Stub) -> None:
    assert (await fails(raw("sys.exit(1)"), b"x" * 20_000_000)).code == "document_crashed"


async def test_what_a_child_says_is_writable_and_bounded(raw: Stub) -> None:
    parser = raw("""
        sys.stdin.buffer.read()
        print(json.dumps({"document": "text/\\0", "title": "t" * 9_999, "pages": None}))
        print(json.dumps({"section": None, "heading": "h" * 9_999}))
        print(json.dumps({"text": "a\\0\\ud800"}))
        print(json.dumps({"end": True}), flush=True)
    """)
    parsed = await parser.parse(b"x", "")
    assert parsed.media_type == "text/\ufffd"
    assert parsed.sections[0].text == "a\ufffd\ufffd"
    assert len(parsed.title or "") == 300
    assert len(parsed.sections[0].heading or "") == 600


async def test_a_package_that_is_missing_is_said_with_what_to_do(stub: Stub) -> None:
    error = await fails(stub("import no_such_package_of_documents"))
    assert error.code == "documents_not_installed"
    assert "requirements.txt" in error.detail


async def test_who_stops_waiting_takes_the_child_along(stub: Stub, fifo: Path) -> None:
    before = f"held = os.open({str(fifo)!r}, os.O_WRONLY)"  # which a reader may not
    task = asyncio.create_task(stub("time.sleep(60)", before).parse(b"x", ""))
    reader = await asyncio.to_thread(fifo.open, "rb")  # opens when the child has
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with reader:
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(reader.read) == b""


async def test_a_failing_listener_is_the_callers_own_failure() -> None:
    def listen(page: int, of: int | None) -> None:
        raise LookupError("the document was deleted")

    with pytest.raises(LookupError):
        await Parser().parse(pdf(["one"]), "a.pdf", listen)


def test_the_server_loads_no_format_to_read_documents() -> None:
    program = "import json, sys, parsing.parser; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    loaded = set(json.loads(ended.stdout))
    assert "parsing.parser" in loaded
    assert not {"lxml", "docx", "pypdfium2", "charset_normalizer", "parsing.reading"} & loaded
