"""The child process for work that would block: what it does when it dies, hangs, or is asked too much."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from chains.core.embedding import cpu_worker
from chains.core.embedding.cpu_worker import CpuWorker
from domain.documents import Chunk, Parsed, Section
from domain.errors import StreamForgeError
from tests.support.server import ROOT, wait_for

CHILD = ROOT / "tests" / "support" / "scripted_child.py"


@pytest.fixture
async def worker() -> AsyncIterator[CpuWorker]:
    """One with a child that misbehaves on request."""
    worker = CpuWorker(deadline=20, program=CHILD)
    yield worker
    await worker.close()


async def code_of(worker: CpuWorker, text: str) -> str:
    with pytest.raises(StreamForgeError) as caught:
        await worker.embed("any", [text])
    return caught.value.code


async def test_nothing_runs_before_the_first_request(worker: CpuWorker) -> None:
    assert worker.pid is None
    assert await worker.embed("any", []) == []
    assert worker.pid is None
    assert len(await worker.embed("any", ["a", "b", "c"])) == 3
    assert worker.pid is not None


async def test_a_child_that_was_killed_is_started_anew(worker: CpuWorker) -> None:
    await worker.embed("any", ["a"])
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert len(await worker.embed("any", ["a"])) == 1
    assert worker.pid not in (None, first)


async def test_a_request_that_kills_it_is_tried_once_more_and_then_fails_alone(
    worker: CpuWorker, tmp_path: Path
) -> None:
    account = tmp_path / "account"
    assert len(await worker.embed("any", [f"die-once {account}"])) == 1
    assert account.read_text().split() == ["die-once", "die-once"]
    others = asyncio.gather(*(worker.embed("any", ["a"]) for _ in range(5)))
    assert await code_of(worker, f"die {account}") == "provider_unreachable"
    assert account.read_text().split().count("die") == 2
    assert len(await others) == 5
    assert len(await worker.embed("any", ["a"])) == 1


async def test_a_child_that_hangs_is_killed_and_the_next_request_gets_another() -> None:
    worker = CpuWorker(deadline=3, program=CHILD)
    await worker.embed("any", ["a"])
    hanging = worker.pid
    assert await code_of(worker, "hang") == "provider_timeout"
    assert not psutil.pid_exists(hanging or 0)
    assert len(await worker.embed("any", ["a"])) == 1
    await worker.close()


async def test_a_frame_of_four_gigabytes_is_not_waited_for(worker: CpuWorker) -> None:
    assert await code_of(worker, "endless") == "provider_unreachable"


async def test_a_missing_package_says_what_to_do(worker: CpuWorker) -> None:
    with pytest.raises(StreamForgeError, match=r"requirements\.txt") as caught:
        await worker.embed("any", ["missing"])
    assert caught.value.code == "provider_not_configured"


async def test_a_question_goes_before_what_waits(worker: CpuWorker, tmp_path: Path) -> None:
    account, gate = tmp_path / "account", tmp_path / "account.go"
    os.mkfifo(gate)
    requests = [asyncio.create_task(worker.embed("any", [f"wait {account}"]))]
    await asyncio.to_thread(wait_for, account.exists)
    requests += [asyncio.create_task(worker.embed("any", [f"batch {account}"])) for _ in range(3)]
    await asyncio.sleep(0)
    requests.append(asyncio.create_task(worker.embed("any", [f"question {account}"], urgent=True)))
    await asyncio.sleep(0)
    await asyncio.to_thread(gate.write_text, "")
    await asyncio.gather(*requests)
    assert account.read_text().split() == ["wait", "question", "batch", "batch", "batch"]


async def test_who_leaves_takes_no_answer_of_others_along(worker: CpuWorker, tmp_path: Path) -> None:
    account, gate = tmp_path / "account", tmp_path / "account.go"
    os.mkfifo(gate)
    leaving = asyncio.create_task(worker.embed("any", [f"wait {account}", "b", "c"]))
    await asyncio.to_thread(wait_for, account.exists)
    waiting = asyncio.create_task(worker.embed("any", [f"never {account}"]))
    staying = asyncio.create_task(worker.embed("any", ["a"]))
    await asyncio.sleep(0)
    leaving.cancel()
    waiting.cancel()
    await asyncio.to_thread(gate.write_text, "")
    assert len(await staying) == 1
    assert account.read_text().split() == ["wait"]


async def test_more_than_a_thousand_waiting_requests_are_refused(worker: CpuWorker) -> None:
    requests = [worker.embed("any", ["a"]) for _ in range(cpu_worker.MAX_WAITING + 2)]
    answers = await asyncio.gather(*requests, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, StreamForgeError)]
    assert {error.code for error in refused} == {"provider_overloaded"}
    assert 1 <= len(refused) <= 2


async def test_closing_ends_the_child_and_who_waits_for_it(tmp_path: Path) -> None:
    worker = CpuWorker(program=CHILD)
    await worker.embed("any", ["a"])
    child = worker.pid
    account = tmp_path / "account"
    hanging = asyncio.create_task(worker.embed("any", [f"hang {account}"]))
    waiting = asyncio.create_task(worker.embed("any", ["a"]))
    await asyncio.to_thread(wait_for, account.exists)
    await worker.close()
    for request in (hanging, waiting):
        with pytest.raises(StreamForgeError) as caught:
            await request
        assert caught.value.code == "provider_unreachable"
    assert not psutil.pid_exists(child or 0)
    await worker.close()


async def test_the_child_has_neither_our_secrets_nor_our_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    worker = CpuWorker(program=CHILD)
    await worker.embed("any", ["a"])
    child = psutil.Process(worker.pid)
    environment = await asyncio.to_thread(child.environ)
    await worker.close()
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert "sk-secret" not in str(environment)
    assert "PYTHONPATH" not in environment


async def test_documents_are_split_there(worker: CpuWorker) -> None:
    parsed = Parsed("text/plain", (Section("one", page=1), Section("two", page=2)), pages=2)
    assert await worker.split(parsed, 1000, 100) == [Chunk(0, "one", 0, 3, page=1), Chunk(1, "two", 0, 3, page=2)]
