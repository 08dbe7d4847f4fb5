"""The browser, started once, and the page of a front-end on its own origin."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium, new_page
from tests.browser.site import site
from tests.support.server import LiveServer

FRONT_END_PORTS = (5173, 3000)  # those that CORS_ORIGINS names by default

OpenPage = Callable[..., Page]
Serve = Callable[..., LiveServer]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Servers are made in a thread of their own: in this one Playwright's event loop runs, and may not be blocked."""

    def start(**settings: Any) -> LiveServer:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(serve, **settings).result()

    return start


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open the chat page that speaks to the server at this URL, from a front-end's origin unless told."""
    with ExitStack() as stack:

        def open_it(server: str, ports: tuple[int, ...] = FRONT_END_PORTS) -> Page:
            origin = stack.enter_context(site(ports))
            page = stack.enter_context(new_page(browser))
            page.goto(f"{origin}/?{urlencode({'server': server})}")
            return page

        yield open_it
