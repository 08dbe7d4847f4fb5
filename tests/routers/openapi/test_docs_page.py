"""/docs in Chromium, on a machine without the internet (T21)."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import chromium, new_page
from tests.support.server import LiveServer

Serve = Callable[..., LiveServer]
TEXT = "This is a simulated streaming response"


@pytest.fixture
def docs(serve: Serve) -> Iterator[Page]:
    """The page, in a browser that reaches this server alone; at the end it has asked for nothing else."""
    server = serve()  # before the browser, whose event loop runs in this thread and may not be blocked
    off_origin: list[str] = []
    complaints: list[str] = []
    with chromium() as browser, new_page(browser, origin=server.url, off_origin=off_origin) as page:
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
        page.goto(f"{server.url}/docs")
        expect(page.locator(".info .title")).to_contain_text("StreamForge API")
        yield page
    assert not off_origin
    assert not complaints


def test_the_page_shows_every_route_without_leaving_its_origin(docs: Page) -> None:
    expect(docs.locator(".info .description")).to_contain_text("word by word")
    document = docs.evaluate("fetch('/openapi.json').then((answer) => answer.json())")
    expect(docs.locator(".opblock")).to_have_count(sum(len(methods) for methods in document["paths"].values()))
    shown = {path.replace("\u200b", "") for path in docs.locator(".opblock-summary-path").all_inner_texts()}
    assert {"/chat", "/chat/streams/{stream_id}"} <= shown == set(document["paths"])
    # The style sheet is there as well: a route that is posted to is not shown on a transparent ground.
    ground = docs.locator(".opblock-post").first.evaluate("(block) => getComputedStyle(block).backgroundColor")
    assert ground != "rgba(0, 0, 0, 0)"


def test_posting_a_message_is_shown_with_its_streams_and_its_refusals(docs: Page) -> None:
    route = docs.locator("#operations-Chat-send_message")
    route.locator(".opblock-summary-control").click()
    answer = route.locator(".responses-table .response[data-code='200']")
    expect(answer.locator(".content-type")).to_have_value("text/event-stream")
    expect(answer.locator("pre.example")).to_contain_text("data: simulated ")
    answer.locator(".examples-select-element").select_option("events")
    expect(answer.locator("pre.example")).to_contain_text("event: start")
    expect(answer.locator("pre.example")).to_contain_text("event: done")
    for status, code in {"400": "malformed_request", "415": "unsupported_media_type", "422": "invalid_request"}.items():
        refusal = route.locator(f".responses-table .response[data-code='{status}']")
        expect(refusal).to_contain_text(code)
        expect(refusal.locator(".content-type")).to_have_value("application/problem+json")


@pytest.mark.parametrize("format", ["text", "events"])
def test_trying_it_out_shows_the_answer(docs: Page, format: str) -> None:
    route = docs.locator("#operations-Chat-send_message")
    route.locator(".opblock-summary-control").click()
    route.get_by_role("button", name="Try it out").click()
    route.locator("tr[data-param-name='format'] select").select_option(format)
    route.get_by_role("button", name="Execute").click()
    answer = route.locator(".live-responses-table .response")
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    body = answer.locator(".response-col_description .highlight-code").first
    for word in TEXT.split():
        expect(body).to_contain_text(word)
    expect(body).to_contain_text("event: done" if format == "events" else "data: This")
