"""The ten-line page of docs/clients.md, built with Vite: React's useChat in Chromium, against a real server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import new_page
from tests.browser.conftest import FRONT_END_PORTS, Serve
from tests.browser.site import site
from tests.clients.node import HERE
from tests.clients.snippets import built_page
from tests.conftest import missing
from tests.support.catalogue import KEYS, row, write_catalogue
from tests.support.scripts import refuse
from tests.support.server import LiveServer, wait_for
from tests.support.stage import Part, Stage, stage


@pytest.fixture
def model() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture
def server(serve: Serve, model: Stage, tmp_path: Path) -> LiveServer:
    catalogue = write_catalogue(tmp_path, row("openai_compatible", model.provider.url))
    return serve(
        MODELS_FILE=catalogue, LLM_MODEL="m", PROVIDER_KEYS=json.dumps(KEYS), SUMMARY_MODEL="simulated",
        MODEL_RETRIES=0, STREAM_COMMIT_DELAY=20,
    )  # fmt: skip


@contextmanager
def opened(browser: Browser, server: LiveServer) -> Iterator[Page]:
    """The documents' page, for this server."""
    if not (HERE / "node_modules" / "vite").is_dir():
        missing("tests/clients/node_modules (make test installs it)")
    with (
        built_page("page.jsx", server.url) as folder,
        site(FRONT_END_PORTS, folder) as origin,
        new_page(browser) as page,
    ):
        page.goto(origin)
        yield page


def say(page: Page, text: str) -> None:
    page.fill("input", text)
    page.press("input", "Enter")


def shows(page: Page, *messages: str) -> None:
    expect(page.locator("p")).to_have_text(list(messages))


def begun(part: Part) -> str:
    """What is shown while the rest is held back; the browser strips the space at its end."""
    return "".join(part.word(number) for number in range(part.words - part.held)).strip()


def test_the_documents_page_asks_reloads_and_goes_on(browser: Browser, server: LiveServer, model: Stage) -> None:
    part, later = model.cast(Part(held=3)), model.cast(Part())
    with opened(browser, server) as page:
        say(page, f"why {part.tag}")
        shows(page, f"why {part.tag}", begun(part))
        expect(page.locator("output")).to_have_text("streaming")
        page.reload()
        shows(page, f"why {part.tag}", begun(part))  # one message, not two
        expect(page.locator("output")).to_have_text("streaming")
        part.go.set()
        shows(page, f"why {part.tag}", part.text.strip())
        expect(page.locator("output")).to_have_text("ready")
        say(page, f"and {later.tag}")
        shows(page, f"why {part.tag}", part.text.strip(), f"and {later.tag}", later.text.strip())
        page.reload()
        shows(page, f"why {part.tag}", part.text.strip(), f"and {later.tag}", later.text.strip())
    assert (part.asked, later.asked) == (1, 1)


def test_an_answer_that_finished_while_the_page_was_away_is_whole(
    browser: Browser, server: LiveServer, model: Stage
) -> None:
    part = model.cast(Part(held=3))
    with opened(browser, server) as page:
        say(page, f"why {part.tag}")
        shows(page, f"why {part.tag}", begun(part))
        address = page.url
        page.goto("about:blank")
        part.go.set()
        wait_for(lambda: newest(server)["state"] == "complete")
        page.goto(address)
        shows(page, f"why {part.tag}", part.text.strip())
        expect(page.locator("output")).to_have_text("ready")


def test_the_pages_buttons_stop_the_answer_and_have_it_given_anew(
    browser: Browser, server: LiveServer, model: Stage
) -> None:
    part = model.cast(Part(held=3))
    with opened(browser, server) as page:
        say(page, f"why {part.tag}")
        shows(page, f"why {part.tag}", begun(part))
        page.click("text=Stop")
        expect(page.locator("output")).to_have_text("ready")
        shows(page, f"why {part.tag}", begun(part))
        assert newest(server)["state"] == "cancelled"
        part.go.set()
        page.click("text=Again")
        shows(page, f"why {part.tag}", part.text.strip())
        expect(page.locator("output")).to_have_text("ready")


def test_the_page_shows_why_it_was_refused(browser: Browser, server: LiveServer, model: Stage) -> None:
    part = model.cast(Part(trouble=refuse(503)))
    with opened(browser, server) as page:
        say(page, f"why {part.tag}")
        expect(page.locator("output")).to_have_text("The model's server is overloaded. Try again shortly.")


def newest(server: LiveServer) -> dict[str, Any]:
    """The newest message of the one session."""
    (session,) = httpx.get(f"{server.url}/sessions").json()["items"]
    items: list[dict[str, Any]] = httpx.get(f"{server.url}/chat/history/{session['id']}").json()["items"]
    return items[-1]
