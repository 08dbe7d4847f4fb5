"""`python main.py doctor URL`, as an operator runs it: through nginx and Caddy, configured well and badly."""

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from tests.clients.snippets import marked, snippet
from tests.support.deployments import authority, caddy, nginx
from tests.support.forks import run_main
from tests.support.keys import KeyRing
from tests.support.names import NO_SUCH_HOST
from tests.support.proxies import reverse_proxy
from tests.support.server import LiveServer, fresh_folder, live_server, make_settings

pytestmark = [pytest.mark.clock, pytest.mark.slow(reason="fifty runs of the command")]

Ended = subprocess.CompletedProcess[str]
Run = Callable[[str], Ended]

HEARTBEAT = 2.5  # longer than the short read time-out
AT_ONCE = 4
SERVERS = 15  # for the deployments below, one each, and the two that are shipped


RING = KeyRing(fresh_folder())


@cache
def key() -> str:
    return RING.make("operator").text


def doctor(*words: str, **env: str) -> Ended:
    return run_main("doctor", *words, env={"COLUMNS": "100", "STREAMFORGE_KEY": key(), **env})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


BUFFERS = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"
GZIP = "gzip on; gzip_types text/event-stream; gzip_min_length 0;"
NGINX = {
    "nginx well": "proxy_pass {server}; proxy_buffering off; proxy_http_version 1.1; proxy_read_timeout 60s;",
    "nginx buffering": f"proxy_pass {{server}}; {BUFFERS} {GZIP}",
    # The first one keeps X-Accel-Buffering to itself, so that the second one buffers as it was shipped for long.
    "two nginx": "proxy_pass {nginx well}; proxy_http_version 1.0;",
    "nginx gzip": f"proxy_pass {{server}}; {GZIP}",
    "nginx 1.0": "proxy_pass {server}; proxy_http_version 1.0;",
    "nginx 2 s": "proxy_pass {server}; proxy_read_timeout 2s;",
    "nginx strips": "proxy_pass {server}; proxy_hide_header Cache-Control; proxy_hide_header X-Stream-Id; "
    "proxy_set_header Last-Event-ID ''; proxy_set_header Host localhost;",
    "nginx goes on": "proxy_pass {slow server}; proxy_ignore_client_abort on;",
    "nginx only reads": "proxy_pass {server}; limit_except GET {{ deny all; }}",
    "nobody behind": "proxy_pass http://127.0.0.1:1;",
    "a password": "return 401;",
    "a redirect": "return 301 https://chat.example.com$request_uri;",
    "another site": "return 200 welcome;",
}
CADDY = {
    "caddy well": "reverse_proxy {server}",
    "caddy buffering": "reverse_proxy {server} {{\nresponse_buffers 1MiB\n}}",
    "caddy gzip": "encode {{\ngzip\nmatch {{\nheader Content-Type text/event-stream*\n}}\n}}\n"
    "reverse_proxy {server} {{\nheader_down Cache-Control no-cache\n}}",
    "caddy 2 s": "reverse_proxy {server} {{\ntransport http {{\nread_timeout 2s\n}}\n}}",
    "caddy strips": "reverse_proxy {server} {{\nheader_down -X-Stream-Id\nheader_up -Last-Event-ID\n}}",
    "caddy https": "tls internal\nreverse_proxy {server} {{\nheader_up Host localhost\n}}",
}
WRONG: dict[str, set[str]] = {
    "no proxy": set(),
    "deploy/nginx.conf": set(),
    "deploy/Caddyfile": set(),
    "nginx well": set(),
    "caddy well": set(),
    "caddy https": set(),
    "a path": set(),
    "nginx buffering": {"first_byte", "buffering", "compression"},
    "two nginx": {"first_byte", "buffering"},
    "nginx gzip": {"compression"},
    "nginx 1.0": {"http_version"},
    "nginx 2 s": {"idle"},
    "nginx strips": {"headers", "resume", "chat"},
    "nginx goes on": {"disconnect"},
    "nginx only reads": {"chat"},
    "caddy buffering": {"first_byte", "buffering"},
    "caddy gzip": {"compression", "headers"},
    "caddy 2 s": {"idle"},
    "caddy strips": {"headers", "resume", "chat"},
}
ADVICE = {
    "nginx buffering": "`proxy_buffering off;`",
    "nginx gzip": "`gzip off;`",
    "nginx 1.0": "`proxy_http_version 1.1;`",
    "nginx 2 s": "`proxy_read_timeout 60s;`",
    "nginx goes on": "`proxy_ignore_client_abort off;`",
    "caddy buffering": "`response_buffers`",
    "caddy gzip": "`encode`",
    "caddy 2 s": "`read_timeout`",
}


def settings(heartbeat: float) -> Settings:
    """Of a server behind proxies, which asks for keys."""
    return make_settings(STREAM_DELAY=0, STREAM_HEARTBEAT=heartbeat, AUTH_MODE="api_key", DATA_DIR=RING.folder)


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(settings(HEARTBEAT)) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Caddy keeps its certificates."""
    return tmp_path_factory.mktemp("caddy")


class Turns(dict[str, str]):
    """URLs by name. `server` is the next one, whoever asks: a server gives one address only some of its probes."""

    def __init__(self, servers: Iterator[LiveServer], urls: dict[str, str]) -> None:
        super().__init__(urls)
        self._servers = servers

    def __missing__(self, name: str) -> str:
        assert name == "server"
        return next(self._servers).url


@pytest.fixture(scope="module")
def places(server: LiveServer, folder: Path) -> Iterator[dict[str, str]]:
    """The URL of every deployment there is here, by name."""
    with ExitStack() as stack:
        beats = [15, *[HEARTBEAT] * SERVERS]
        slow, first, second, *others = (stack.enter_context(live_server(settings(beat))) for beat in beats)
        urls = Turns(iter(others), {"no proxy": server.url, "slow server": slow.url})
        for kind, name in (("nginx", "deploy/nginx.conf"), ("caddy", "deploy/Caddyfile")):
            ports = (first.port, second.port)
            urls[name] = stack.enter_context(reverse_proxy(kind, free_port(), ports))
        sites = {name: inside.format_map(urls) for name, inside in CADDY.items()}
        urls |= stack.enter_context(caddy(sites, folder, free_port))
        for names in ([name for name in NGINX if name != "two nginx"], ["two nginx"]):
            inside = {name: f"location / {{ {NGINX[name].format_map(urls)} }}" for name in names}
            inside |= {"a path": f"location /base/ {{ proxy_pass {server.url}/; }}"}
            urls |= stack.enter_context(nginx(inside, free_port))
        yield {**urls, "a path": f"{urls['a path']}/base/", "no such name": f"http://{NO_SUCH_HOST}"}


@pytest.fixture(scope="module")
def examined(places: dict[str, str], folder: Path) -> Iterator[dict[str, Future[Ended]]]:
    """The doctor's reports, as JSON: several at a time, for each takes seconds and does little."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(doctor, places[name], "--json", *_options(name, folder)) for name in WRONG}


def _options(name: str, folder: Path) -> list[str]:
    quick = [] if name.endswith(" 2 s") or name in ("no proxy", "caddy well", "nginx well") else ["--quick"]
    return [*quick, "--ca", str(authority(folder))] if name == "caddy https" else quick


def report(ended: Ended) -> dict[str, Any]:
    assert ended.stderr == ""
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found_and_nothing_else(examined: dict[str, Future[Ended]], name: str) -> None:
    ended = examined[name].result()
    found = report(ended)
    checks = {check["check"]: check for check in found["checks"]}
    assert {check for check, told in checks.items() if told["verdict"] == "wrong"} == WRONG[name], ended.stdout
    assert (found["healthy"], ended.returncode) == (not WRONG[name], int(bool(WRONG[name]))), ended.stdout
    assert list(checks) == [
        "first_byte", "buffering", "compression", "headers", "http_version", "resume", "disconnect", "chat", "idle",
    ]  # fmt: skip
    unsure = {check for check, told in checks.items() if told["verdict"] in ("unknown", "skipped")}
    assert unsure <= {"idle"}
    advice = [each for told in checks.values() for each in told["advice"]]
    assert bool(advice) == bool(WRONG[name])
    assert ADVICE.get(name, "") in " ".join(advice)


def test_how_long_a_silence_lasts_and_what_cut_it_is_measured(examined: dict[str, Future[Ended]]) -> None:
    idle = report(examined["nginx 2 s"].result())["checks"][-1]["measured"]
    assert (idle["heartbeat"], idle["silence"]) == (2.5, 2.75)
    assert 1.5 < idle["cut_after"] < 2.7


def test_http2_is_looked_for_where_there_is_tls(examined: dict[str, Future[Ended]]) -> None:
    versions = {
        name: report(examined[name].result())["checks"][4]["measured"] for name in ("caddy https", "caddy well")
    }
    assert versions["caddy https"]["http2_offered"] is True
    assert versions["caddy well"]["http2_offered"] is None


def test_people_get_sentences_and_the_count(places: dict[str, str]) -> None:
    ended = doctor(places["nginx strips"], "--quick")
    assert (ended.returncode, ended.stderr) == (1, "")
    told = " ".join(ended.stdout.split())
    assert told.startswith(f"{places['nginx strips']} ok first byte The headers arrived after")
    assert "WRONG resume Cut after frame 3, the stream began again with frame 1" in told
    assert "- nginx: `proxy_set_header Last-Event-ID $http_last_event_id;`" in told
    assert "- idle Not checked" in told
    assert told.endswith("3 things are wrong.")
    assert max(len(line) for line in ended.stdout.splitlines()) <= 100


def without_figures(text: str) -> str:
    return re.sub(r"https?://\S+|\d+(\.\d+)? m?s", "...", " ".join(text.split()))


def test_the_documents_location_and_command_find_nothing_wrong(server: LiveServer) -> None:
    command = marked("operations.md", "doctor").split()
    with nginx({"documented": snippet("location", server.url, "operations.md")}, free_port) as urls:
        assert command[:-1] == ["python", "main.py", "doctor"]
        ended = doctor(urls["documented"])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("Nothing is wrong.\n")


def test_the_documents_report_is_one_that_is_given(places: dict[str, str]) -> None:
    given = doctor(places["two nginx"], "--quick").stdout
    assert without_figures(given) == without_figures(marked("operations.md", "report"))


NOWHERE = {
    "nobody behind": "the proxy does not reach the server",
    "a password": "never asks for a key",
    "a redirect": "redirects to https://chat.example.com/chat/doctor?frames=1.",
    "another site": "not as StreamForge does",
    "http://127.0.0.1:1": "Nothing is listening at 127.0.0.1:1.",
    "no such name": "cannot be found",
    "caddy https": "--ca",
}


@pytest.mark.parametrize("name", NOWHERE)
def test_what_cannot_be_checked_is_a_sentence_and_code_2(places: dict[str, str], name: str) -> None:
    ended = doctor(places.get(name, name))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert NOWHERE[name] in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_program_gets_that_sentence_as_json(places: dict[str, str]) -> None:
    ended = doctor("http://127.0.0.1:1/", "--json")
    assert ended.returncode == 2
    told = report(ended)
    assert (told["url"], told["healthy"], told["checks"]) == ("http://127.0.0.1:1", None, [])
    assert "Nothing is listening" in told["error"]


def test_tls_where_there_is_none_is_told(server: LiveServer) -> None:
    assert "does not speak TLS" in doctor(server.url.replace("http:", "https:")).stderr


@pytest.mark.parametrize("url", ["chat.example.com", "http://me:pass-word@x", "http://x/?a=b"])
def test_a_url_that_is_none_is_a_usage_error(url: str) -> None:
    ended = doctor(url)
    assert ended.returncode == 2
    assert "doctor needs a URL like" in ended.stderr
    assert "pass-word" not in ended.stderr


def test_post_chat_is_checked_with_a_key_that_is_never_shown(tmp_path: Path) -> None:
    verdicts = {"": "skipped", KeyRing(tmp_path).make("ann").text: "well", "bad-key": "unknown"}
    with (
        live_server(make_settings(STREAM_DELAY=0, AUTH_MODE="api_key", DATA_DIR=tmp_path)) as locked,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        reports = pool.map(lambda key: doctor(locked.url, "--quick", "--json", STREAMFORGE_KEY=key), verdicts)
        for ended, (key, verdict) in zip(reports, verdicts.items(), strict=True):
            checks = {check["check"]: check for check in report(ended)["checks"]}
            assert (checks["chat"]["verdict"], ended.returncode) == (verdict, 0)
            assert not key or key not in ended.stdout
