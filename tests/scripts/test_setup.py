"""The set-up: what it needs of the machine, what it says if that is missing, and how it hands pip's settings to uv."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts import setup
from tests.conftest import missing
from tests.support.server import ROOT

HERE = Path(sys.executable).parent
REAL_UV = shutil.which("uv", path=str(HERE))


class Index:
    """A package index on loopback, and the only one that is configured: for pip alone, in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.asked: list[str] = []
        index = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                index.asked.append(self.path)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, name: str, files: dict[str, str]) -> str:
        """Offer a package, version 1.0; returns its line in a lock file."""
        info = f"{name}-1.0.dist-info"
        files = {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},sha256={digest(text)},{len(text.encode())}\n" for path, text in files.items())
        page = self._folder / "simple" / name
        page.mkdir(parents=True)
        wheel = page / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
                member = zipfile.ZipInfo(path)
                member.external_attr = 0o100755 << 16  # a program
                archive.writestr(member, text)
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (page / "index.html").write_text(f'<a href="{wheel.name}#sha256={sha256}">{wheel.name}</a>')
        return f"{name}==1.0 \\\n    --hash=sha256:{sha256}\n"


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    index = Index(folder)
    yield index
    index.close()


@pytest.fixture
def project(tmp_path: Path, index: Index) -> Path:
    """A project of one package, `crumb`, with the script. Its uv is ours, in a package that only calls it."""
    if REAL_UV is None:
        missing("uv")
    root = tmp_path / "project"
    for folder in ("scripts", "requirements"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "setup.py", root / "scripts")
    call = f"#!python\nimport os, sys\nos.execv({REAL_UV!r}, [{REAL_UV!r}, *sys.argv[1:]])\n"
    (root / "requirements" / "uv.txt").write_text(index.add("uv", {"uv-1.0.data/scripts/uv": call}))
    (root / "requirements.txt").write_text(index.add("crumb", {"crumb.py": "TASTE = 'good'\n"}))
    return root


def set_up(project: Path, index: Index, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the script where pip's own file names the index, and nothing else on the machine does."""
    configuration = project / "pip.conf"
    configuration.write_text(f"[global]\nindex-url = {index.url}\n")
    environment = {
        "PATH": os.defpath,
        "HOME": str(project),
        "PIP_CONFIG_FILE": str(configuration),
        "UV_CACHE_DIR": str(project / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # nothing leaves the machine, even if the index is not handed on
        **more,
    }
    command = [sys.executable, "scripts/setup.py", "program"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_a_machine_that_has_only_pip_configured_is_set_up_from_its_index(project: Path, index: Index) -> None:
    lock = project / "requirements.txt"
    right = lock.read_text()
    lock.write_text(right.replace("sha256:", "sha256:0")[:-2] + "\n")
    refused = set_up(project, index)
    assert refused.returncode == 1
    assert refused.stderr.endswith(setup.FAILED + "\n")

    lock.write_text(right)
    ended = set_up(project, index)
    assert ended.returncode == 0, ended.stderr
    python = project / ".venv" / "bin" / "python"
    said = subprocess.run(
        [python, "-c", "import crumb; print(crumb.TASTE)"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "good\n"
    assert list(project.glob(".venv/lib/python*/site-packages/__pycache__/crumb.*.pyc")) != [], "bytecode is compiled"
    assert "/simple/crumb/crumb-1.0-py3-none-any.whl" in index.asked

    index.asked.clear()
    again = set_up(project, index)
    assert (again.returncode, again.stdout, again.stderr, index.asked) == (0, "", "", [])


def test_without_pips_wheel_one_sentence_says_what_brings_it(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    with pytest.raises(SystemExit) as caught:
        setup.main(["program"], tmp_path, [tmp_path])
    assert "apt-get install python3-venv" in str(caught.value)
    assert not (tmp_path / ".venv").exists()


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"'documents'.* program, local"):
        setup.main(["documents"], tmp_path, [])


def test_this_python_has_the_wheel(tmp_path: Path) -> None:
    wheel = setup.find_pip(setup.wheel_folders())
    assert wheel is not None
    assert wheel.name.startswith("pip-")


def test_the_distributions_wheel_goes_before_pythons_own(tmp_path: Path) -> None:
    distribution, own = tmp_path / "distribution", tmp_path / "own"
    own.mkdir()
    (own / "pip-23.2.1-py3-none-any.whl").touch()
    (own / "setuptools-65.5.0-py3-none-any.whl").touch()
    assert setup.find_pip([distribution, own]) == own / "pip-23.2.1-py3-none-any.whl"
    distribution.mkdir()
    (distribution / "pip-23.0.1-py3-none-any.whl").touch()
    assert setup.find_pip([distribution, own]) == distribution / "pip-23.0.1-py3-none-any.whl"


LISTING = r"""
:env:.cert='/etc/ca.pem'
:env:.timeout='20'
freeze.timeout='1'
global.cert='/etc/other.pem'
global.extra-index-url='\nhttps://a.test/simple\nhttps://b.test/simple'
global.index-url='https://pip:secret@index.test/simple'
install.index-url='https://install.test/simple'
install.find-links='/wheels /more'
global.trusted-host='a.test b.test'
"""


def test_pips_settings_are_those_of_the_environment_then_of_install_then_the_rest() -> None:
    settings = setup.pip_settings(LISTING)
    assert settings["cert"] == "/etc/ca.pem"
    assert settings["index-url"] == "https://install.test/simple"
    assert settings["timeout"] == "20"


def test_uv_is_told_what_pip_is_told() -> None:
    told = setup.uv_variables(setup.pip_settings(LISTING), {})
    told.pop("UV_SYSTEM_CERTS", None)  # of this machine
    assert told == {
        "UV_DEFAULT_INDEX": "https://install.test/simple",
        "UV_INDEX": "https://a.test/simple https://b.test/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "a.test b.test",
        "UV_HTTP_TIMEOUT": "20",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/etc/ca.pem",
    }


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"])
def test_indexes_that_uv_was_given_itself_count(variable: str) -> None:
    told = setup.uv_variables(setup.pip_settings(LISTING), {variable: "https://uv.test", "UV_HTTP_TIMEOUT": "9"})
    assert not told.keys() & {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_HTTP_TIMEOUT"}
    assert told["SSL_CERT_FILE"] == "/etc/ca.pem"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_pip_takes_from_the_environment_are_uvs_too(variable: str) -> None:
    assert setup.uv_variables({}, {variable: "/etc/ca.pem"})["SSL_CERT_FILE"] == "/etc/ca.pem"
