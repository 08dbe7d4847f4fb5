"""The models that requests may name."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from domain.callers import Caller
from domain.models import Capability, ModelEntry, Parameter, Provider
from routers.deps import CallerDep, ModelsDep
from routers.http.guard import guarded
from routers.openapi.codes import GUARDED, responses
from routers.schemas.base import ResponseModel
from services.models.model_service import ModelService

router = APIRouter(prefix="/models", tags=["models"], route_class=guarded("admin"))

ModelId = Annotated[str, Field(max_length=200)]
TokenLimit = Annotated[int, Field(ge=1, le=100_000_000)]
Money = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class PriceOut(ResponseModel):
    """Money for a million tokens, where the catalogue sets it."""

    input: Money
    output: Money
    cached: Money | None
    currency: str = Field(min_length=3, max_length=3)


class ModelOut(ResponseModel):
    """A model. What is not known is `null`."""

    id: ModelId
    provider: Provider
    default: bool = Field(description="Whether it answers requests that name no model")
    context_window: TokenLimit | None = Field(description="Tokens of question and answer together")
    max_output_tokens: TokenLimit | None
    capabilities: list[Capability] = Field(max_length=20)
    parameters: list[Parameter] = Field(max_length=20, description="What it can be asked with; the rest is refused")
    price: PriceOut | None
    fallbacks: list[ModelId] = Field(max_length=20, description="Who is asked instead, in this order")


class ModelList(ResponseModel):
    """All that the caller may use."""

    items: list[ModelOut] = Field(max_length=2_000)
    next: None = None


@router.get("", summary="Which models are there?", responses=responses(*GUARDED))
async def list_models(caller: CallerDep, models: ModelsDep) -> ModelList:
    """Every model of the catalogue that the caller may use, without keys and addresses."""
    return ModelList(items=[_shown(entry, models, caller) for entry in models.all(caller)])


@router.get("/{model_id:path}", summary="What can this model do?", responses=responses(*GUARDED, "model_not_found"))
async def get_model(
    model_id: Annotated[str, Path(json_schema_extra={"maxLength": 200})], caller: CallerDep, models: ModelsDep
) -> ModelOut:
    """One model, by the id that requests name it by."""
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
