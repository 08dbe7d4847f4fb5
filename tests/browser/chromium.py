"""The browser on this machine, and a page that speaks to nobody but this machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.conftest import missing

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20_000  # milliseconds; an EventSource alone rests up to three seconds before it comes back
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Another program may listen on ::1 with the same port; no other name resolves at all.
    "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; without one on this machine the test is missing its part."""
    program = next(filter(None, map(shutil.which, ("/usr/bin/chromium", *NAMES))), None)
    if program is None:
        missing("Chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_page(browser: Browser, *, off_origin: list[str] | None = None, origin: str | None = None) -> Iterator[Page]:
    """A page with an empty profile. With `origin`, requests to any other one fail and are listed."""
    with browser.new_context(viewport={"width": 1280, "height": 1000}) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)

        def stay_home(route: Route) -> None:
            if origin is None or _origin(route.request.url) == origin:
                route.continue_()
                return
            assert off_origin is not None
            off_origin.append(route.request.url)
            route.abort()

        if origin is not None:
            page.route("**/*", stay_home)
        yield page


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
