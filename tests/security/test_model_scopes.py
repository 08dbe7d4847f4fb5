"""Models for some scopes only: for everybody else they are not there."""

from pathlib import Path

import httpx
import pytest

from domain.callers import LOCAL, Caller
from domain.catalogue import Catalogue, ModelEntry
from domain.errors import StreamForgeError
from domain.models import NOTHING_ASKED
from main import create_app
from services.models.catalogue import CatalogueError
from tests.journeys.streams.test_reading import code_of
from tests.security.conftest import ServeKeys
from tests.support.catalogue import CLOCKS, write_catalogue
from tests.support.keys import KeyRing, bearer
from tests.support.server import make_settings

PLAIN = {"id": "plain", "provider": "simulated", "fallbacks": ["premium-1", "spare"]}
PREMIUM = {"id": "premium-1", "provider": "simulated", "scopes": ["premium"]}
SPARE = {"id": "spare", "provider": "simulated"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_catalogue(tmp_path, PLAIN, PREMIUM, SPARE)
    return tmp_path


def test_who_lacks_the_scope_neither_sees_nor_names_the_model(
    serve_keys: ServeKeys, ring: KeyRing, folder: Path
) -> None:
    server = serve_keys(MODELS_FILE=folder / "models.toml", LLM_MODEL="plain")
    rich, poor = ring.make("rich", frozenset({"read", "chat", "premium"})), ring.make("poor")
    listed = httpx.get(f"{server.url}/models", headers=bearer(rich)).json()["items"]
    assert [item["id"] for item in listed] == ["plain", "premium-1", "spare"]
    assert listed[0]["fallbacks"] == ["premium-1", "spare"]
    body = {"message": "x", "model": "premium-1"}
    assert httpx.post(f"{server.url}/chat", json=body, headers=bearer(rich)).is_success
    hidden = httpx.get(f"{server.url}/models", headers=bearer(poor))
    assert "premium" not in hidden.text
    assert hidden.json()["items"][0]["fallbacks"] == ["spare"]
    for path in ("models/premium-1", "models/premium-2"):
        answer = httpx.get(f"{server.url}/{path}", headers=bearer(poor))
        assert code_of(answer) == (404, "model_not_found")
        assert "premium" not in answer.text, "nor does a hint name it"
    asked = [
        httpx.post(f"{server.url}/chat", json={"message": "x", "model": name}, headers=bearer(poor))
        for name in ("premium-1", "premium-9")
    ]
    assert asked[0].content == asked[1].content
    assert code_of(asked[0]) == (404, "model_not_found")


def test_a_default_that_one_may_not_use_is_no_default(serve_keys: ServeKeys, ring: KeyRing, folder: Path) -> None:
    server = serve_keys(MODELS_FILE=folder / "models.toml", LLM_MODEL="premium-1")
    poor = bearer(ring.make("poor"))
    answer = httpx.post(f"{server.url}/chat", json={"message": "x"}, headers=poor)
    assert code_of(answer) == (404, "model_not_found")
    assert "premium" not in answer.text
    assert httpx.post(f"{server.url}/chat", json={"message": "x", "model": "plain"}, headers=poor).is_success
    assert not any(item["default"] for item in httpx.get(f"{server.url}/models", headers=poor).json()["items"])


def test_fallbacks_that_one_may_not_use_are_passed_over() -> None:
    def entry(name: str, *fallbacks: str, scopes: frozenset[str] = frozenset()) -> ModelEntry:
        return ModelEntry(name, "simulated", name, CLOCKS, fallbacks=fallbacks, scopes=scopes)

    some = frozenset({"gold", "silver"})
    catalogue = Catalogue({"a": entry("a", "b", "c"), "b": entry("b", scopes=some), "c": entry("c")}, "a")

    def asked(caller: Caller) -> list[str]:
        return [each.id for each in catalogue.candidates(catalogue.find(None, caller), NOTHING_ASKED, caller)]

    assert asked(LOCAL) == ["a", "b", "c"]
    assert asked(Caller("x", frozenset({"silver"}))) == ["a", "b", "c"], "one of the scopes is enough"
    assert asked(Caller("x", frozenset({"read"}))) == ["a", "c"]
    with pytest.raises(StreamForgeError, match="no model"):
        catalogue.find("b", Caller("x", frozenset()))


def test_a_scope_that_is_none_is_a_wrong_catalogue(tmp_path: Path) -> None:
    file = write_catalogue(tmp_path, {**PLAIN, "fallbacks": [], "scopes": ["No Scope"]})
    with pytest.raises(CatalogueError, match="line 5: scopes"):
        create_app(make_settings(MODELS_FILE=file))
