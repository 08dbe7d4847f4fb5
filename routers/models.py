"""The models that requests may name."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from domain.callers import Caller
from domain.catalogue import ModelEntry
from domain.models import Capability, Parameter, Provider
from routers.deps import CallerDep, ModelsDep
from routers.http.guard import guarded
from routers.openapi.codes import GUARDED, responses
from routers.schemas.base import ResponseModel
from services.models.model_service import ModelService

router = APIRouter(prefix="/models", tags=["Models"], route_class=guarded("admin"))

ModelId = Annotated[str, Field(max_length=200)]
TokenLimit = Annotated[int, Field(ge=1, le=100_000_000)]
Money = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class PriceOut(ResponseModel):
    """The price of a million tokens, if the catalogue sets one."""

    input: Money
    output: Money
    cached: Money | None
    currency: str = Field(min_length=3, max_length=3)


class ModelOut(ResponseModel):
    """A model. Unknown values are `null`."""

    id: ModelId
    provider: Provider
    default: bool = Field(description="Whether it answers requests that name no model")
    context_window: TokenLimit | None = Field(description="Tokens of question and answer together")
    max_output_tokens: TokenLimit | None
    capabilities: list[Capability] = Field(max_length=20)
    parameters: list[Parameter] = Field(max_length=20, description="What a request may set; anything else is refused")
    price: PriceOut | None
    fallbacks: list[ModelId] = Field(max_length=20, description="Models that answer if this one fails, in this order")


class ModelList(ResponseModel):
    """The models that the caller may use."""

    items: list[ModelOut] = Field(max_length=2_000)
    next: None = None


@router.get("", summary="List models", responses=responses(*GUARDED))
async def list_models(caller: CallerDep, models: ModelsDep) -> ModelList:
    """The models of the catalogue that you may use."""
    return ModelList(items=[_shown(entry, models, caller) for entry in models.all(caller)])


@router.get("/{model_id:path}", summary="Get a model", responses=responses(*GUARDED, "model_not_found"))
async def get_model(
    model_id: Annotated[str, Path(json_schema_extra={"maxLength": 200})], caller: CallerDep, models: ModelsDep
) -> ModelOut:
    """The model with this id."""
    return _shown(models.get(model_id, caller), models, caller)


def _shown(entry: ModelEntry, models: ModelService, caller: Caller) -> ModelOut:
    return ModelOut(
        id=entry.id,
        provider=entry.provider,
        default=entry.id == models.default,
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        capabilities=sorted(entry.capabilities),
        parameters=entry.parameters,
        price=entry.price and PriceOut.model_validate(entry.price),
        fallbacks=models.fallbacks(entry, caller),
    )
