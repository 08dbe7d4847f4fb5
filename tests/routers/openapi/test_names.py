"""What people read in /docs, and what generators name a client's functions after."""

import re
from typing import Any

import pytest

from main import create_app
from routers.openapi.document import TAGS
from tests.support.server import make_settings

VERBS = {
    "add", "cancel", "check", "clear", "continue", "create", "delete", "download", "export", "follow", "get", "list",
    "remove", "rename", "resume", "revoke", "run", "search", "send", "start", "stop", "switch", "upload",
}  # fmt: skip


@pytest.fixture(scope="module")
def operations() -> list[dict[str, Any]]:
    """Those of every route, keys' as well."""
    document = create_app(make_settings(AUTH_MODE="api_key", AUTH_SECRET="x" * 32)).openapi()
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_ids_are_unique_short_and_say_what_the_summary_says(operations: list[dict[str, Any]]) -> None:
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    for operation in operations:
        name = operation["operationId"]
        assert re.fullmatch(r"[a-z]+(_[a-z]+){1,3}", name), name
        assert len(set(name.split("_"))) == len(name.split("_")), f"{name} has a word twice"
        assert name.split("_")[0] == operation["summary"].split()[0].lower(), name


def test_summaries_are_orders_of_a_few_words(operations: list[dict[str, Any]]) -> None:
    summaries = [operation["summary"] for operation in operations]
    assert len(set(summaries)) == len(summaries)
    for summary in summaries:
        verb, *words = re.findall(r"[\w-]+", summary)
        assert verb.lower() in VERBS, summary
        assert verb[0].isupper()
        assert words
        assert len(summary) <= 50
        assert not summary.endswith((".", "?")), summary


def test_every_operation_is_described_in_sentences(operations: list[dict[str, Any]]) -> None:
    for operation in operations:
        assert operation["description"].rstrip().endswith((".", ")")), operation["operationId"]


def test_every_group_of_operations_is_explained(operations: list[dict[str, Any]]) -> None:
    used = {tag for operation in operations for tag in operation["tags"]}
    assert used == TAGS.keys()
    assert all(len(operation["tags"]) == 1 for operation in operations)
