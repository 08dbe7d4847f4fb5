"""The parts that failover is made of, where a script cannot lead them: clocks, cooling, waits, prices, accounts."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from domain.catalogue import ModelClocks, ModelEntry, Price
from domain.errors import StreamForgeError
from domain.events import Delta, Event, Reasoning, ToolCall
from domain.usage import Cost, Usage, pieces, streamed
from services.accounts.metering import Meter
from services.accounts.prices import Prices
from services.answering.cooling import Cooling
from services.answering.watch import Watch
from tests.support.catalogue import CLOCKS, NAMED

QUICK = ModelClocks(connect=1, first_token=0.05, stalled=0.02, idle=0.05, whole=1)


async def watched(body: Callable[[Watch], Awaitable[None]], clocks: ModelClocks = QUICK) -> list[float]:
    told: list[float] = []
    async with asyncio.timeout(10), Watch(clocks, clocks.first_token, told.append) as watch:
        await body(watch)
    return told


async def test_silence_is_told_once_and_then_ends_the_attempt() -> None:
    told: list[float] = []
    with pytest.raises(StreamForgeError) as caught:
        async with Watch(QUICK, QUICK.first_token, told.append):
            await asyncio.Event().wait()
    assert caught.value.code == "provider_timeout"
    assert len(told) == 1


async def test_what_is_done_with_a_word_is_not_the_models_silence() -> None:
    async def slow_log(watch: Watch) -> None:
        watch.heard()
        await asyncio.sleep(0.2)
        watch.listen()

    assert await watched(slow_log) == []


async def test_after_a_slow_log_the_clocks_run_again() -> None:
    async def then_silent(watch: Watch) -> None:
        watch.heard()
        await asyncio.sleep(0.2)
        watch.listen()
        await asyncio.Event().wait()

    with pytest.raises(StreamForgeError) as caught:
        await watched(then_silent)
    assert caught.value.code == "provider_stalled"


async def test_a_shorter_clock_for_the_middle_counts_from_the_first_word() -> None:
    clocks = ModelClocks(connect=1, first_token=100, stalled=100, idle=0.05, whole=100)

    async def silent(watch: Watch) -> None:
        watch.heard()
        watch.listen()
        await asyncio.Event().wait()

    with pytest.raises(StreamForgeError) as caught:
        await watched(silent, clocks)
    assert caught.value.code == "provider_stalled"


async def test_a_package_that_swallows_the_cancellation_does_not_get_away_with_it() -> None:
    async def deaf(watch: Watch) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            watch.heard()

    async def failing(watch: Watch) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("a secret") from None

    for body in (deaf, failing):
        with pytest.raises(StreamForgeError) as caught:
            await watched(body)
        assert caught.value.code == "provider_timeout"


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def forever(watch: Watch) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(watched(forever, CLOCKS))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_third_failure_in_a_row_opens_a_pause_and_an_answer_ends_it() -> None:
    now = 0.0
    cooling = Cooling(10, lambda: now)
    for _ in range(2):
        cooling.failed("m")
    assert not cooling.cold("m")
    cooling.failed("m")
    assert cooling.cold("m")
    assert not cooling.cold("other")
    now = 10
    assert not cooling.cold("m")
    cooling.failed("m")  # asked once more, and no better
    assert cooling.cold("m")
    cooling.answered("m")
    assert not cooling.cold("m")


async def cost_of(entry: ModelEntry, usage: Usage) -> Cost | None:
    prices = Prices()
    await prices.ready(entry)
    return prices.cost(entry, usage)


async def test_prices_come_from_the_catalogue_then_from_the_bundled_data_and_are_unknown_else() -> None:
    usage = Usage(1000, 500, True, cached_tokens=100)
    own = ModelEntry("m", "openai", "gpt-5-mini", CLOCKS, price=Price(Decimal(1), Decimal(2), Decimal("0.1"), "EUR"))
    assert await cost_of(own, usage) == Cost(Decimal("0.00191"), "EUR", "catalogue")
    bundled = await cost_of(ModelEntry("m", "openai", "gpt-5-mini", CLOCKS), usage)
    assert bundled is not None
    assert (bundled.amount, bundled.currency) == (Decimal("0.0012275"), "USD")
    assert bundled.source.startswith("genai-prices 0.")
    assert await cost_of(ModelEntry("m", "openai", "no-such-model", CLOCKS), usage) is None
    assert await cost_of(ModelEntry("m", "openai", "gpt-5-mini", CLOCKS, base_url="http://mine"), usage) is None
    assert await cost_of(ModelEntry("m", "ollama", "gpt-5-mini", CLOCKS), usage) is None


def test_an_estimate_counts_words_characters_and_deltas() -> None:
    assert pieces("Tell me about streaming.") == 4
    assert pieces("日本 ok") == 3
    assert streamed(["str", "eam", "ing"]) == 3
    assert streamed(["a whole paragraph at once"]) == 5


def meter() -> Meter:
    return Meter(Prices(), NAMED, 2)


def test_the_account_of_an_answer_that_was_not_whole() -> None:
    said: list[Event] = [Reasoning("so so"), Delta("half "), Delta("way")]
    assert meter().spent(said, "provider_stalled").usage == Usage(2, 4, False, None, 2)
    called: list[Event] = [ToolCall("a", "add", ""), ToolCall("a", None, '{"a": 1,'), ToolCall("a", None, ' "b": 2}')]
    assert meter().spent(called, "provider_stalled").usage == Usage(2, 4, False)
    assert meter().spent([], "provider_timeout").usage == Usage(2, 0, False)
    assert meter().spent([], "provider_auth").usage == Usage(0, 0, False)
    told = meter()
    told.report(Usage(20, 1, True, cached_tokens=3))
    assert told.spent(said).usage == Usage(20, 4, False, 3, 2)


def test_the_account_of_several_attempts_is_their_sum() -> None:
    account = meter()
    account.begin(NAMED)
    account.failed("provider_rate_limited")
    account.begin(NAMED)
    account.report(Usage(20, 9, True))
    spent = account.spent([Delta("x")], whole=True)
    assert spent.usage == Usage(20, 9, True)
    assert [attempt.error for attempt in spent.attempts] == ["provider_rate_limited", None]
    account = meter()
    account.begin(NAMED)
    account.failed("provider_auth")
    assert account.spent([], "provider_auth").attempts == ()
