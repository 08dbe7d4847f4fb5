"""The models that may be named, and the chains that reach them."""

from contextlib import AsyncExitStack

from chains.core.llm_setup import LLMSetup
from chains.core.local.server import LocalServer
from chains.core.tracing import Tracing, TracingTarget
from config.groups.models import ModelSettings
from domain.catalogue import Catalogue, ModelClocks
from domain.models import Parameters
from services.chain_service import ChainService
from services.models import catalogue


def load_catalogue(settings: ModelSettings, *, whole: float) -> Catalogue:
    """The models of MODELS_FILE and LLM_MODEL; `whole` is how many seconds an answer may take by default.

    Raises `CatalogueError` if they cannot be used.
    """
    return catalogue.load(
        settings.MODELS_FILE,
        catalogue.Defaults(
            model=settings.LLM_MODEL,
            base_url=settings.LLM_BASE_URL,
            parameters=Parameters(temperature=settings.LLM_TEMPERATURE, max_tokens=settings.LLM_MAX_TOKENS),
            clocks=ModelClocks(
                connect=settings.MODEL_CONNECT_TIMEOUT,
                first_token=settings.MODEL_FIRST_TOKEN_TIMEOUT,
                stalled=settings.MODEL_STALLED_AFTER,
                idle=settings.MODEL_IDLE_TIMEOUT,
                whole=whole,
            ),
        ),
    )


def open_chains(settings: ModelSettings, stack: AsyncExitStack) -> ChainService:
    """The chains. The local model and the providers' clients are made on first use."""
    local = LocalServer()
    stack.push_async_callback(local.close)
    llms = LLMSetup(settings.provider_keys(), settings.provider_proxy(), local, Tracing(_tracing(settings)))
    stack.push_async_callback(llms.close)
    return ChainService(llms)


def _tracing(settings: ModelSettings) -> TracingTarget | None:
    if not settings.LANGSMITH_TRACING:
        return None
    key = settings.LANGSMITH_API_KEY.get_secret_value() if settings.LANGSMITH_API_KEY else None
    return TracingTarget(settings.LANGSMITH_ENDPOINT, key, settings.LANGSMITH_PROJECT)
