"""What /openapi.json promises of the guarded routes, whatever they are sent, by a caller and by nobody."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume

from main import create_app
from tests.support.effort import examples
from tests.support.keys import EVERYTHING, KeyRing, bearer
from tests.support.operations import Operations
from tests.support.server import LiveServer, live_server, make_settings

if TYPE_CHECKING:
    from schemathesis import Case

pytestmark = pytest.mark.slow(reason="some fifty requests to every operation")
OPERATIONS = Operations(create_app(make_settings(AUTH_MODE="api_key", AUTH_SECRET="x" * 32)))


CASES_WITH_ONE_KEY = 10
"""So many: an owner may have only so many keys, and some of the cases make more."""


@pytest.fixture(scope="session")  # for each process of the tests: they share this file's tests
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing(tmp_path_factory.mktemp("documented") / "data")


@pytest.fixture(scope="session")
def server(ring: KeyRing) -> Iterator[LiveServer]:
    with live_server(make_settings(STREAM_DELAY=0, AUTH_MODE="api_key", DATA_DIR=ring.folder)) as started:
        yield started


def guarded(path: str) -> bool:
    return path not in ("/", "/health", "/ready", "/chat/health") and not path.startswith("/chat/doctor")


@OPERATIONS.each(guarded)
def test_a_caller_is_answered_as_documented(operation: str, server: LiveServer, ring: KeyRing) -> None:
    from schemathesis.core.parameters import ParameterLocation
    from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

    keys: list[dict[str, str]] = []
    numbers = itertools.count()

    def ask(case: "Case[Any]") -> None:
        header = case.meta.components.get(ParameterLocation.HEADER) if case.meta else None
        assume(header is None or not header.mode.is_negative)  # what was wrong there is replaced here
        if (number := next(numbers)) % CASES_WITH_ONE_KEY == 0:
            keys.append(bearer(ring.make(f"owner {number} of {operation}", EVERYTHING)))
        headers = keys[-1]
        answer = case.call(base_url=server.url, headers=headers, timeout=10)
        # Too many items may be too many bytes before anybody counts them.
        # In a form a list of one is that one.
        unsure = answer.status_code == 413 or case.media_type == "multipart/form-data"
        # The second of the checks asks without the header, as below.
        excluded = [positive_data_acceptance, ignored_auth, *[negative_data_rejection][:unsure]]
        case.validate_response(answer, headers=headers, excluded_checks=excluded)

    OPERATIONS.ask(operation, examples(40, dear=True), ask)


@OPERATIONS.each(guarded)
def test_nobody_is_answered_as_documented(operation: str, server: LiveServer) -> None:
    from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

    def ask(case: "Case[Any]") -> None:
        case.headers.pop("Authorization", None)
        answer = case.call(base_url=server.url, timeout=10)
        assert answer.status_code in (401, 403, 404, 405, 413)
        unsure = answer.status_code == 413  # as above
        excluded = [positive_data_acceptance, ignored_auth, *[negative_data_rejection][:unsure]]
        case.validate_response(answer, excluded_checks=excluded)

    OPERATIONS.ask(operation, examples(10, dear=True), ask)
