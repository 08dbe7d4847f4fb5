"""Questions of the program's own to a model: short answers, which are read to the end before they are used."""

from contextlib import aclosing

from domain.catalogue import ModelEntry
from domain.events import Delta
from domain.models import Finished, Parameters
from domain.streams import Ask
from domain.usage import Usage
from services.accounts.metering import Meter
from services.chain_service import Chain


def short_ask(entry: ModelEntry, prompt: str, tokens: int) -> Ask:
    """Ask the prompt, for at most so many tokens if the model takes such a limit."""
    return Ask(prompt, Parameters(max_tokens=tokens) if "max_tokens" in entry.parameters else Parameters())


async def read_whole(chain: Chain, meter: Meter, said: list[Delta]) -> Finished | None:
    """Read the answer's text into `said` and its usage into `meter`; returns its end, if there was one.

    If the chain raises, `said` has the text so far, which is paid for all the same.
    """
    finished: Finished | None = None
    async with aclosing(chain):
        async for event in chain:
            if isinstance(event, Delta):
                said.append(event)
            elif isinstance(event, Usage):
                meter.report(event)
            elif isinstance(event, Finished):
                finished = event
    return finished


def text_of(said: list[Delta]) -> str:
    """The text in one piece."""
    return "".join(event.text for event in said)
