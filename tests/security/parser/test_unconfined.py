"""Where a process cannot be confined, documents are not read at all, unless the operator has said otherwise (T15)."""

import os
import sys
import sysconfig
import tempfile
from pathlib import Path

import httpx
import pytest

from children.confinement import lacking
from tests.security.parser.users import NOBODY, interpreter
from tests.support.server import ROOT, make_settings, process_server, wait_for

OLD = [sys.executable, str(ROOT / "tests/support/old_kernel.py"), sys.executable, "main.py"]
linux = pytest.mark.skipif(bool(lacking()), reason="this system cannot confine a process anyway")


def upload(url: str) -> httpx.Response:
    return httpx.post(f"{url}/documents/upload", files={"file": ("a.txt", b"Some words.", "text/plain")})


@linux
def test_uploads_are_refused_and_the_log_says_what_lacks(tmp_path: Path) -> None:
    with process_server(OLD, DATA_DIR=tmp_path) as (server, url):
        answer = upload(url)
        assert (answer.status_code, answer.json()["code"]) == (503, "documents_unconfined")
        message = server.wait_for_event("no documents are read")
        assert "Landlock" in message["lacking"][0]
        assert httpx.post(f"{url}/chat", json={"message": "x"}).status_code == 200


@linux
def test_what_waits_is_not_read_until_it_can_be(tmp_path: Path) -> None:
    limits = {"DATA_DIR": tmp_path, "DOCUMENT_CONFINEMENT": "limits"}
    with process_server(OLD, **limits) as (server, url):
        answer = upload(url)
        assert answer.status_code == 202
        document = f"/documents/{answer.json()['items'][0]['id']}"
        wait_for(lambda: httpx.get(f"{url}{document}").json()["state"] == "ready")
        assert server.wait_for_event("what reads documents is not fully confined")["level"] == "warning"


@pytest.mark.parametrize("auth", ["none", "api_key"])
def test_the_default_is_full_wherever_strangers_could_send_documents(auth: str) -> None:
    chosen = make_settings(AUTH_MODE=auth)
    assert chosen.confines_fully() == (auth != "none" or sys.platform == "linux")
    assert make_settings(AUTH_MODE=auth, DOCUMENT_CONFINEMENT="full").confines_fully()
    assert not make_settings(AUTH_MODE=auth, DOCUMENT_CONFINEMENT="limits").confines_fully()


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="root alone can start a server as another user")
@pytest.mark.parametrize("allowed", [False, True])
def test_other_processes_of_the_same_user_cannot_look_into_the_server(allowed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        command = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", interpreter(NOBODY), "main.py"]
        settings = {"DATA_DIR": folder, "ALLOW_PROFILING": allowed, "PYTHONPATH": sysconfig.get_path("purelib")}
        with process_server(command, **settings) as (server, _):
            owner = os.stat(f"/proc/{server.popen.pid}/environ").st_uid
    assert owner == (NOBODY if allowed else 0), "what is root's, nobody else of the user can open"
