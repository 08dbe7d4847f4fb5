"""The scripted provider against the packages that will talk to it, and what each makes of its faults."""

import asyncio
import contextlib
import functools
import json
import operator
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
from pydantic import SecretStr

from tests.support.dialects import DIALECTS
from tests.support.provider import Answer, Provider, Script, retry_date, scripted_provider
from tests.support.server import wait_for

if TYPE_CHECKING:  # to load the packages takes seconds, and each process of the tests imports this module
    from langchain_core.messages import AIMessageChunk

KEY = SecretStr("x")
LANGCHAIN = "langchain_core.exceptions"
NAMES = [dialect.name for dialect in DIALECTS]
PATHS = {dialect.name: dialect.path for dialect in DIALECTS}
every_dialect = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def play() -> Iterator[Callable[[Script], Provider]]:
    """Start a provider that plays this script; it stops with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda script: stack.enter_context(scripted_provider(script))


@contextlib.asynccontextmanager
async def opened(name: str, provider: Provider) -> AsyncIterator[Any]:
    """LangChain's model of this provider, without its own retries; its connections gone at the end."""
    model: Any
    match name:
        case "openai":
            from langchain_openai import ChatOpenAI

            # Its own client: the package would share one by address, and a port may come round again after `close`.
            client = httpx2.AsyncClient(timeout=10)
            model = ChatOpenAI(
                model="m", base_url=provider.openai_url, api_key=KEY, max_retries=0, stream_usage=True,
                http_async_client=client,
            )  # fmt: skip
            close = client.aclose
        case "anthropic":
            from langchain_anthropic import ChatAnthropic

            model = ChatAnthropic(model="m", base_url=provider.url, api_key=KEY, max_retries=0, timeout=10)
            close = model._async_client.close
        case "cohere":
            from langchain_cohere import ChatCohere

            model = ChatCohere(model="m", base_url=provider.url, cohere_api_key=KEY, timeout_seconds=10)
            close = model.async_client._client_wrapper.httpx_client.httpx_client.aclose
        case _:
            from langchain_ollama import ChatOllama

            model = ChatOllama(model="m", base_url=provider.url, reasoning=True, client_kwargs={"timeout": 10})
            close = model._async_client.close
    try:
        yield model
    finally:
        await close()


async def hear(name: str, provider: Provider) -> "AIMessageChunk":
    """The sum of what the model streams."""
    async with opened(name, provider) as model:
        chunks: list[AIMessageChunk] = [chunk async for chunk in model.astream("hi")]
    return functools.reduce(operator.add, chunks)


async def fail(name: str, provider: Provider) -> Exception:
    """What streaming raises."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - each package has its own
        await hear(name, provider)
    return raised.value


def post(url: str, **body: Any) -> httpx.Response:
    return httpx.post(url, json=body, timeout=10)


def half_of(word: str) -> Callable[[Answer], None]:
    def script(answer: Answer) -> None:
        answer.chunk(word)

    return script


@every_dialect
async def test_a_whole_answer_is_understood(play: Callable[[Script], Provider], name: str) -> None:
    def script(answer: Answer) -> None:
        assert answer.dialect == name
        assert answer.request["model"] == "m"
        for thought in ("so ", "so"):
            answer.reasoning(thought)
        for word in ("Hel", "lo ", "wörld\r\n😀"):
            answer.chunk(word)
        answer.finish("length", usage=(20, 9), cached=5, thought=4)

    provider = play(script)
    whole = await hear(name, provider)
    assert str(whole.text) == "Hello wörld\r\n😀"
    spent: Any = whole.usage_metadata
    assert (spent["input_tokens"], spent["output_tokens"], spent["total_tokens"]) == (20, 9, 29)
    if name in ("openai", "anthropic"):  # the other two packages drop them
        assert spent["input_token_details"]["cache_read"] == 5
        assert spent["output_token_details"]["reasoning"] == 4
    reasons = {
        "openai": ("finish_reason", "length"),
        "anthropic": ("stop_reason", "max_tokens"),
        "cohere": ("finish_reason", "MAX_TOKENS"),
        "ollama": ("done_reason", "length"),
    }
    key, reason = reasons[name]
    assert whole.response_metadata[key] == reason
    assert (provider.seen.finished, provider.seen.closures) == (1, 0)


@pytest.mark.parametrize(
    ("name", "thoughts"),
    [
        ("openai", lambda chunk: []),  # the package drops what OpenAI itself never sends
        ("anthropic", lambda chunk: [part["thinking"] for part in chunk.content if "thinking" in part]),
        ("cohere", lambda chunk: [part["summary"][0]["text"] for part in chunk.content if "summary" in part]),
        ("ollama", lambda chunk: [chunk.additional_kwargs["reasoning_content"]]),
    ],
    ids=NAMES,
)
async def test_where_the_thoughts_are(
    play: Callable[[Script], Provider], name: str, thoughts: Callable[["AIMessageChunk"], list[str]]
) -> None:
    whole = await hear(name, play(lambda answer: answer.say("Hello", reasoning="so so")))
    assert thoughts(whole) == ([] if name == "openai" else ["so so"])
    assert str(whole.text) == "Hello"


@every_dialect
async def test_an_answer_without_an_end_raises_nothing(play: Callable[[Script], Provider], name: str) -> None:
    whole = await hear(name, play(half_of("half")))
    assert str(whole.text) == "half"
    assert whole.usage_metadata is None
    assert not {"finish_reason", "stop_reason", "done_reason"} & whole.response_metadata.keys()


@pytest.mark.parametrize(
    ("name", "code", "kinds", "retryable"),
    [
        ("openai", 401, ("openai.AuthenticationError", f"{LANGCHAIN}.ModelAuthenticationError"), False),
        ("openai", 429, ("openai.RateLimitError", f"{LANGCHAIN}.ModelRateLimitError"), True),
        ("openai", 529, ("openai.InternalServerError", f"{LANGCHAIN}.ModelAPIError"), True),
        ("anthropic", 401, ("anthropic.AuthenticationError", f"{LANGCHAIN}.ModelAuthenticationError"), False),
        ("anthropic", 429, ("anthropic.RateLimitError", f"{LANGCHAIN}.ModelRateLimitError"), True),
        ("anthropic", 529, ("anthropic.InternalServerError", f"{LANGCHAIN}.ModelAPIError"), True),
        ("cohere", 401, ("cohere.UnauthorizedError",), None),
        ("cohere", 429, ("cohere.TooManyRequestsError",), None),
        ("cohere", 529, ("cohere.core.ApiError",), None),
        ("ollama", 401, ("ollama.ResponseError",), None),
        ("ollama", 429, ("ollama.ResponseError",), None),
        ("ollama", 529, ("ollama.ResponseError",), None),
    ],
)
async def test_a_refusal_is_raised(
    play: Callable[[Script], Provider], name: str, code: int, kinds: tuple[str, ...], retryable: bool | None
) -> None:
    provider = play(lambda answer: answer.status(code, headers={"retry-after": "7"}))
    error: Any = await fail(name, provider)
    assert all(isinstance(error, resolve_name(kind)) for kind in kinds)
    assert getattr(error, "is_retryable", None) is retryable
    assert error.status_code == code
    match name:
        case "openai" | "anthropic":
            headers = error.response.headers
        case "cohere":
            headers = error.headers
        case _:
            headers = error.__context__.response.headers  # suppressed, but there
    assert headers["retry-after"] == "7"
    assert len(provider.seen.requests) == 1


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("openai", "openai.APIError", "too much"),
        ("anthropic", "anthropic.APIStatusError", "too much"),
        ("cohere", "builtins.AttributeError", "billed_units"),  # the package stumbles over an end without usage
        ("ollama", "ollama.ResponseError", "too much"),
    ],
    ids=NAMES,
)
async def test_an_error_in_band_is_raised_unclassified(
    play: Callable[[Script], Provider], name: str, kind: str, told: str
) -> None:
    def script(answer: Answer) -> None:
        answer.chunk("half ")
        answer.in_band_error("too much")

    error = await fail(name, play(script))
    assert isinstance(error, resolve_name(kind))
    assert not isinstance(error, resolve_name(f"{LANGCHAIN}.ModelError"))
    assert told in str(error)


@every_dialect
async def test_broken_json(play: Callable[[Script], Provider], name: str) -> None:
    def script(answer: Answer) -> None:
        answer.chunk("half ")
        answer.malformed()
        answer.chunk("more")
        answer.finish()

    if name == "cohere":  # skips it, and logs it to the root logger
        assert str((await hear(name, play(script))).text) == "half more"
    else:
        assert isinstance(await fail(name, play(script)), json.JSONDecodeError)


@every_dialect
@pytest.mark.parametrize("how", ["reset", "cut"])
async def test_a_broken_connection(play: Callable[[Script], Provider], name: str, how: str) -> None:
    def script(answer: Answer) -> None:
        answer.chunk("half ")
        if how == "reset":
            answer.pause(0.05)  # a reset overtakes what is under way
            answer.reset()
        else:
            answer.end(cleanly=False)

    error = await fail(name, play(script))
    if name == "openai":
        assert isinstance(error, resolve_name(f"{LANGCHAIN}.ModelConnectionError"))
    else:
        assert isinstance(error, httpx2.TransportError if name == "anthropic" else httpx.TransportError)


@every_dialect
async def test_who_leaves_is_seen(play: Callable[[Script], Provider], name: str) -> None:
    provider = play(lambda answer: answer.endless())
    async with opened(name, provider) as model:
        chunks = model.astream("hi")
        async for chunk in chunks:
            if chunk.text:
                break
        await chunks.aclose()
        assert await asyncio.to_thread(provider.seen.client_left.wait, 5)  # the loop has to close the connection
    assert (provider.seen.finished, provider.seen.closures) == (0, 1)


@every_dialect
def test_a_connection_is_used_again(play: Callable[[Script], Provider], name: str) -> None:
    provider = play(lambda answer: answer.say("one", "two") if answer.number > 1 else answer.status(500))
    with httpx.Client(base_url=f"{provider.url}/some/prefix") as client:
        codes = [client.post(PATHS[name], json={}).status_code for _ in range(3)]
        assert provider.seen.open == 1
    assert codes == [500, 200, 200]
    seen = provider.seen
    assert (seen.connections, seen.finished, seen.closures) == (1, 3, 0)
    assert [request["connection"] for request in seen.requests] == [1, 1, 1]
    assert seen.bytes_sent > 0
    wait_for(lambda: seen.open == 0)


def test_bytes_arrive_as_they_are(play: Callable[[Script], Provider]) -> None:
    data = 'data: {"x": "é😀"}\r\n\r\n: comment\r\rdata'.encode()

    def script(answer: Answer) -> None:
        answer.begin(content_type="text/plain", headers={"x-more": "1"})
        answer.drip(data)
        answer.send_bytes(data)

    url = play(script).openai_url + "/chat/completions"
    response = post(url)
    assert (response.content, response.headers["content-type"], response.headers["x-more"]) == (
        data * 2,
        "text/plain",
        "1",
    )


def test_retries_can_be_timed(play: Callable[[Script], Provider]) -> None:
    provider = play(lambda answer: answer.status(429, headers={"retry-after": retry_date(60)}))
    for _ in range(2):
        response = post(f"{provider.url}/v1/messages")
        time.sleep(0.1)
    assert response.headers["retry-after"].endswith("GMT")
    first, second = (request["at"] for request in provider.seen.requests)
    assert 0.1 <= second - first < 5


def test_what_else_it_can_answer(play: Callable[[Script], Provider]) -> None:
    def script(answer: Answer) -> None:
        match answer.request["want"]:
            case "echo":
                answer.echo_headers(400)
            case "redirect":
                answer.redirect("http://elsewhere.invalid/")
            case "big":
                answer.big_chunk(1_000_000)
            case "nothing":
                pass

    provider = play(script)
    url = f"{provider.url}/api/chat"
    assert "host: 127.0.0.1" in post(url, want="echo").json()["error"]
    assert post(url, want="redirect").headers["location"] == "http://elsewhere.invalid/"
    assert len(post(url, want="big").json()["message"]["content"]) == 1_000_000
    with pytest.raises(httpx.RemoteProtocolError):
        post(url, want="nothing")
    assert post(f"{provider.url}/api/tags").status_code == 404
    assert [request["path"] for request in provider.seen.requests] == ["/api/chat"] * 4 + ["/api/tags"]


def test_what_is_said_to_nobody_is_no_failure() -> None:
    def script(answer: Answer) -> None:
        assert not answer.until_client_leaves(0)
        answer.chunk("half ")
        assert answer.stall(20)
        answer.chunk("more")

    with scripted_provider(script) as provider:
        with httpx.stream("POST", f"{provider.url}/v1/messages", json={}) as response:
            next(response.iter_raw())
        assert provider.seen.client_left.wait(5)
    assert provider.seen.closures == 1


def test_what_a_script_raises_is_not_lost() -> None:
    def script(answer: Answer) -> None:
        answer.begin()
        raise AssertionError("the script is wrong")

    with (
        pytest.raises(AssertionError, match="the script is wrong"),
        scripted_provider(script) as provider,
        contextlib.suppress(httpx.RemoteProtocolError),
    ):
        post(f"{provider.url}/v1/messages")
