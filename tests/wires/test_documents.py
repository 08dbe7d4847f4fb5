"""The wire of a document's progress to the letter."""

import re
from pathlib import Path

import pytest

from domain.documents import Document
from domain.events import Cancelled, Done, Failed, IngestionEvent, Progress, Started
from domain.usage import NOTHING_USED, Spent
from tests.wires.samples import STREAM_ID
from wires.documents import DocumentEncoder, settled

GOLDEN = Path(__file__).parent / "golden"
NOTHING = Spent(NOTHING_USED, None)
ON_THE_WAY: list[IngestionEvent] = [
    Started(STREAM_ID, "documents", 1763800000),
    Progress("parsing"),
    Progress("parsing", 2, 5),
    Progress("splitting"),
    Progress("embedding", 64, 640),
]


@pytest.mark.parametrize("end", [Cancelled("replaced", NOTHING), Failed("producer_lost", NOTHING)])
def test_a_log_that_another_one_follows_tells_no_end(end: IngestionEvent) -> None:
    assert DocumentEncoder(STREAM_ID, document_id="d" * 32).encode(9, end) == b""


def test_a_sentence_that_says_more_stands_for_that_of_the_code() -> None:
    end = Failed("document_empty", NOTHING, detail="There are only pictures.")
    written = DocumentEncoder(STREAM_ID, document_id="d" * 32).encode(9, end)
    told = b'"code":"document_empty","message":"There are only pictures."'
    assert told in written
    document = Document(
        "d" * 32, "ann", "a.pdf", "f", 1, "failed", 1.0, 2.0, code="document_empty", detail="There are only pictures."
    )
    assert told in settled(document), "whose log is no longer there"


@pytest.mark.parametrize(
    ("name", "end"), [("ready", Done("stop", "", NOTHING)), ("failed", Failed("log_limit", NOTHING))]
)
def test_a_documents_way_reads_as_in_its_golden_file(name: str, end: IngestionEvent) -> None:
    encoder = DocumentEncoder(STREAM_ID, document_id="d" * 32)
    written = b"".join(encoder.encode(seq, event) for seq, event in enumerate([*ON_THE_WAY, end], 1))
    assert re.sub(rb"retry: [0-9]{4}", b"retry: 1731", written) == (GOLDEN / f"documents-{name}.sse").read_bytes()
