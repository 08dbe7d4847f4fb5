"""Models that cannot be asked at all: told fast, by a code of their own, with what to do about it (F31)."""

import json
import sys
import time
from pathlib import Path

import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import KEYS, PROVIDERS, row, write_catalogue
from tests.support.names import NO_SUCH_HOST
from tests.support.server import process_server

every_provider = pytest.mark.parametrize("provider", PROVIDERS)


@every_provider
@pytest.mark.parametrize("trouble", ["no-such-host", "no-tls"])
def test_a_server_that_is_not_to_be_had_is_told_at_once(
    play: Play, serve_models: ServeModels, provider: str, trouble: str
) -> None:
    plain = play(lambda answer: answer.say("never"))
    url = {"no-such-host": f"http://{NO_SUCH_HOST}", "no-tls": plain.url.replace("http:", "https:")}[trouble]
    server = serve_models(row(provider, url), STREAM_COMMIT_DELAY=20)
    began = time.monotonic()
    answer = ask(server)
    assert (answer.status, answer.code) == (502, "provider_unreachable")
    assert time.monotonic() - began < 10
    assert plain.seen.requests == []


@every_provider
def test_the_proxy_of_the_settings_is_used(play: Play, serve_models: ServeModels, provider: str) -> None:
    proxy = play(lambda answer: answer.say("by the proxy"))
    server = serve_models(row(provider, "http://nowhere.invalid"), PROVIDER_PROXY=proxy.url)
    assert ask(server).text == "by the proxy"
    assert proxy.seen.requests[0]["path"].startswith("http://nowhere.invalid/")


def test_a_package_that_is_not_installed_is_told_with_the_way_out_and_passed_over(play: Play, tmp_path: Path) -> None:
    model = play(lambda answer: answer.say("fine"))
    packages = {name: f"langchain_{name}" for name in ("anthropic", "cohere", "ollama")}
    file = write_catalogue(
        tmp_path,
        *(row(name, model.url, id=name) for name in packages),
        row("cohere", model.url, id="with-fallback", fallbacks=["openai"]),
        row("openai", model.url, id="openai"),
    )
    absent = f"sys.modules.update(dict.fromkeys({list(packages.values())}))"  # importing them fails
    command = [sys.executable, "-c", f"import sys; {absent}; import main; sys.exit(main.main([]))"]
    with process_server(command, MODELS_FILE=file, PROVIDER_KEYS=json.dumps(KEYS)) as (_, url):
        for name in packages:
            answer = ask(url, model=name)
            assert (answer.status, answer.code) == (503, "provider_not_configured")
            assert answer.problem["detail"].endswith(
                f"langchain-{name}, which is not installed; install requirements.txt."
            )
        answer = ask(url, model="with-fallback")
        assert (answer.text, answer.told("model_switched")[0]["reason"]) == ("fine", "provider_not_configured")
