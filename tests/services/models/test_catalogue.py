"""The catalogue: what a file may say, and where a wrong one is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from domain.callers import LOCAL
from domain.catalogue import ModelClocks
from domain.models import PROVIDERS, Parameters
from services.models.catalogue import CatalogueError, Defaults, load
from tests.support.server import ROOT, Process, running

DEFAULTS = Defaults(None, None, Parameters(temperature=0.7, max_tokens=2000), ModelClocks(5, 30, 5, 30, 600))
GOOD = '[[models]]\nid = "a"\nprovider = "openai"\n'


def written(path: Path, text: str) -> Path:
    file = path / "models.toml"
    file.write_text(text)
    return file


def test_the_shipped_one_holds_the_simulated_and_the_local_model() -> None:
    catalogue = load(None, DEFAULTS)
    assert list(catalogue.entries) == ["simulated", "local"]
    assert catalogue.default == "simulated"


def test_a_row_is_read_with_all_its_fields(tmp_path: Path) -> None:
    text = (
        """
[[models]]
id = "m/1"
provider = "openai_compatible"
model = "theirs"
base_url = "http://127.0.0.1:8000/v1"
key = "mine"
context_window = 1000
max_output_tokens = 500
capabilities = ["reasoning", "tools"]
unsupported = ["seed"]
price = { input = 0.1, output = 0.2, cached = 0.01, currency = "EUR" }
timeouts = { idle = 3, whole = 9 }
fallbacks = ["a"]
[models.defaults]
top_p = 0.5
stop = ["END"]
"""
        + GOOD
    )
    entry = load(written(tmp_path, text), DEFAULTS).find("m/1", LOCAL)
    assert (entry.model, entry.base_url, entry.key) == ("theirs", "http://127.0.0.1:8000/v1", "mine")
    assert entry.clocks == ModelClocks(5, 30, 5, 3, 9)
    assert entry.defaults == Parameters(temperature=0.7, max_tokens=500, top_p=0.5, stop=("END",))
    assert "seed" not in entry.parameters
    assert entry.price is not None
    assert str(entry.price.cached) == "0.01"
    assert entry.fallbacks == ("a",)


@pytest.mark.parametrize(
    ("name", "base_url", "provider", "model"),
    [
        ("simulated", None, "simulated", "simulated"),
        ("gpt-4", None, "openai", "gpt-4"),
        ("openai:gpt-4", "http://x", "openai", "gpt-4"),
        ("anthropic:claude", None, "anthropic", "claude"),
        ("qwen2.5:7b", "http://x", "openai_compatible", "qwen2.5:7b"),
        ("simulated:x", None, "openai", "simulated:x"),
        ("local:smollm2", None, "local", "smollm2"),
    ],
)
def test_a_name_that_is_no_id_is_a_model_of_its_own(name: str, base_url: str | None, provider: str, model: str) -> None:
    catalogue = load(None, replace(DEFAULTS, model=name, base_url=base_url))
    entry = catalogue.find(None, LOCAL)
    assert (entry.id, entry.provider, entry.model) == (name, provider, model)
    assert entry.base_url == base_url


@pytest.mark.parametrize("provider", sorted(set(PROVIDERS) - {"local", "simulated"}))
def test_a_base_url_counts_for_every_provider_however_its_model_is_named(tmp_path: Path, provider: str) -> None:
    own, elsewhere = "http://own", "http://elsewhere"
    rows = [f'[[models]]\nid = "own"\nprovider = "{provider}"\nbase_url = "{own}"\n']
    expected: dict[str | None, str] = {f"{provider}:m": elsewhere, f"{provider}:m:7b": elsewhere, "own": own, None: own}
    if provider != "openai_compatible":  # its rows all have an address
        rows.append(f'[[models]]\nid = "row"\nprovider = "{provider}"\n')
        expected["row"] = elsewhere
    file = written(tmp_path, "".join(rows))
    for name, base_url in expected.items():
        catalogue = load(file, replace(DEFAULTS, model=name, base_url=elsewhere))
        entry = catalogue.find(None, LOCAL)
        assert (entry.provider, entry.base_url) == (provider, base_url), name
        others = [each for each in catalogue.entries.values() if each is not entry]
        assert elsewhere not in [each.base_url for each in others], "only the model of LLM_MODEL is there"


@pytest.mark.parametrize("name", ["local", "local:smollm2", "simulated", None])
def test_a_base_url_for_a_model_without_an_address_is_refused(name: str | None) -> None:
    with pytest.raises(CatalogueError, match=f"the default model '{name or 'simulated'}' takes no address") as caught:
        load(None, replace(DEFAULTS, model=name, base_url="http://x"))
    assert "http://x" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[[models]\n", 1, "is not TOML"),
        ("", 0, "lists no model"),
        ("x = 1\n" + GOOD, 0, "'x' is unknown"),
        (GOOD + GOOD, 5, "twice"),
        (GOOD + 'colour = "red"\n', 4, "colour"),
        ('[[models]]\nid = "a"\nprovider = "acme"\n', 3, "provider"),
        ('[[models]]\nprovider = "openai"\n', 1, "id"),
        ('[[models]]\nid = "a b"\nprovider = "openai"\n', 2, "id"),
        (GOOD + 'fallbacks = ["b"]\n', 4, "'b' is not another model"),
        (GOOD + 'fallbacks = ["a"]\n', 4, "'a' is not another model"),
        (GOOD + '\n# two\n[[models]]\nid = "b"\nprovider = "openai_compatible"\n', 6, "needs one"),
        ('[[models]]\nid = "a"\nprovider = "local"\nbase_url = "http://x"\n', 4, "takes none"),
        (GOOD + 'base_url = "http://user:pass@x"\n', 4, "without user or password"),
        (GOOD + 'base_url = "http://x:99999/v1"\n', 4, "base_url"),
        (GOOD + 'base_url = "http://x:0/v1"\n', 4, "base_url"),
        (GOOD + "context_window = 5\nmax_output_tokens = 6\n", 5, "larger than context_window"),
        (GOOD + "price = { input = -1, output = 1 }\n", 4, "input"),
        (GOOD + "[models.timeouts]\nidle = 0\n", 4, "idle"),
        (GOOD + "defaults = { temperature = 3 }\n", 4, "temperature"),
        (GOOD + 'unsupported = ["seed"]\ndefaults = { seed = 3 }\n', 5, "seed"),
        ('[[models]]\nid = "a"\nprovider = "anthropic"\ndefaults = { temperature = 1.5 }\n', 4, "temperature"),
    ],
)
def test_a_wrong_one_is_told_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        load(written(tmp_path, text), DEFAULTS)
    told = str(caught.value)
    assert reason in told
    assert not line or f"line {line}" in told
    assert "pass" not in told.replace("password", "")


def test_a_model_for_summaries_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    import sys

    with running([sys.executable, "main.py"], SUMMARY_MODEL="nobody") as process:
        assert process.popen.wait(timeout=30) == 2
    assert "SUMMARY_MODEL 'nobody' is not in the catalogue." in "".join(process.log)


@pytest.mark.parametrize(("command", "code"), [(["main.py"], 2), (["-m", "uvicorn", "main:app", "--port", "0"], 3)])
def test_a_wrong_one_stops_the_start_with_a_sentence(tmp_path: Path, command: list[str], code: int) -> None:
    import sys

    file = written(tmp_path, GOOD + 'fallbacks = ["b"]\n')
    process = Process([sys.executable, *command], {"MODELS_FILE": str(file), "PORT": "0"})
    assert process.popen.wait(timeout=30) == code
    process.close()
    (told,) = process.log
    assert "models.toml, line 4: fallbacks: 'b' is not another model of this file." in told


def test_a_missing_one_stops_the_start_too(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml", DEFAULTS)


def test_the_examples_in_the_shipped_file_are_valid(tmp_path: Path) -> None:
    lines = (ROOT / "config" / "models.toml").read_text().splitlines()
    begun = lines.index("# [[models]]")
    text = "\n".join(line.removeprefix("# ") for line in lines[begun:])
    catalogue = load(written(tmp_path, '[[models]]\nid = "local"\nprovider = "local"\n' + text), DEFAULTS)
    assert len(catalogue.entries) == 4
