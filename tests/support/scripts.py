"""Scripts for a scripted model, mostly failures, that several journeys share."""

import itertools
from typing import Any

import pytest

from tests.support.catalogue import PROVIDERS
from tests.support.provider import Answer, Provider, Script

every_provider = pytest.mark.parametrize("provider", PROVIDERS)

# Headers wait for as long as any script here plays.
COMMIT: dict[str, Any] = {"STREAM_COMMIT_DELAY": 20}


def ok(answer: Answer) -> None:
    """A complete answer."""
    answer.say("fine ", "answer")


def stall(answer: Answer) -> None:
    """Silence until the client leaves."""
    answer.stall(20)


def words_then(trouble: Script) -> Script:
    """Half an answer, and then the other script."""

    def script(answer: Answer) -> None:
        answer.chunk("half ")
        trouble(answer)

    return script


def refuse(code: int, **headers: str) -> Script:
    """An error's status, with headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda answer: answer.status(code, headers=named)


def first(times: int, trouble: Script, then: Script = ok) -> Script:
    """One script for the first requests, another for the rest."""
    return lambda answer: (trouble if answer.number <= times else then)(answer)


def asked(model: Provider) -> int:
    """How often a model was asked."""
    return len(model.seen.requests)


def gaps(model: Provider) -> list[float]:
    """The seconds between its requests."""
    moments = [request["at"] for request in model.seen.requests]
    return [later - earlier for earlier, later in itertools.pairwise(moments)]
