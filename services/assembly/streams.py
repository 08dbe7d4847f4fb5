"""The container's part that starts, follows and stops streams."""

from services.accounts.prices import Prices
from services.answering.grounding import Grounding
from services.conversations.turns import Conversations
from services.models.model_service import ModelService
from services.observing.observer import Observer
from services.streaming_service import StreamingService
from services.streams.admission import Admission, Door, Limits
from services.streams.following import Following
from services.streams.readers import Readers
from services.streams.starting import Starting
from services.streams.stopping import Stopping
from services.streams.supervisor import Supervisor
from stores.streams.base import StreamLog


def open_streaming(
    log: StreamLog,
    supervisor: Supervisor,
    readers: Readers,
    door: Door,
    limits: Limits,
    *,
    models: ModelService,
    answering: Grounding,
    conversations: Conversations,
    prices: Prices,
    observer: Observer,
) -> StreamingService:
    """The service of streams; `door` says when no new ones are taken."""
    stopping = Stopping(log, supervisor, conversations)
    starting = Starting(
        log, Admission(limits, supervisor, door), models, answering, answering, conversations, supervisor, stopping,
        prices, observer, commit_delay=limits.commit_delay,
    )  # fmt: skip
    return StreamingService(starting, Following(log, supervisor, readers, door), stopping)
