"""A caller's own API keys. The routes exist only if callers have API keys."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BeforeValidator, Field, field_validator

from domain.callers import DEFAULT_SCOPES, valid_scopes
from routers.deps import CallerDep, KeysDep, services_of
from routers.http.guard import guarded
from routers.openapi.codes import GUARDED, MAY_HAVE_A_BODY, READS_A_BODY, USES_THE_DATABASE, responses
from routers.schemas.base import IsWritable, ListOf, Moment, RequestModel, ResponseModel

router = APIRouter(prefix="/keys", tags=["API keys"], route_class=guarded("keys"))

KeyName = Annotated[str, Field(max_length=100)]
Scope = Annotated[str, Field(min_length=1, max_length=50)]
KeyId = Annotated[str, Path(json_schema_extra={"maxLength": 50}, description="The `id` of `GET /keys`")]


class NewKey(RequestModel):
    """A key to create; it is always the caller's own."""

    name: Annotated[KeyName, IsWritable] = Field("", description="For your own use")
    scopes: ListOf[Scope] = Field(
        sorted(DEFAULT_SCOPES), max_length=50, description="At most those of the key that asks"
    )
    expires_in: int | None = Field(
        None,
        ge=1,
        le=10 * 366 * 86_400,
        description="Seconds; by default, and at the latest, when the key that asks expires",
    )

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, names: list[str]) -> list[str]:
        return sorted(valid_scopes(names))


class KeyOut(ResponseModel):
    """A key, without the secret."""

    id: str = Field(max_length=50)
    name: KeyName
    prefix: str = Field(max_length=50, description="What the key begins with")
    scopes: Annotated[list[Scope], BeforeValidator(sorted)] = Field(max_length=1_000)
    created: Moment
    expires: Moment | None
    revoked: Moment | None
    last_used: Moment | None = Field(description="To the minute")
    parent: str | None = Field(max_length=50, description="The key that it was made with; `null` for the operator's")


class MadeKeyOut(KeyOut):
    """A new key, with its secret."""

    key: str = Field(max_length=200, description="The key itself, shown only this once")


class KeyList(ResponseModel):
    """Your keys, newest first."""

    items: list[KeyOut] = Field(max_length=1_000)
    next: None = None


@router.get("", summary="List API keys", responses=responses(*GUARDED, *USES_THE_DATABASE))
async def list_api_keys(caller: CallerDep, keys: KeysDep) -> KeyList:
    """Your keys, including revoked and expired ones."""
    return KeyList(items=[KeyOut.model_validate(key) for key in (await keys.list(caller))[:1_000]])


@router.post(
    "",
    summary="Create an API key",
    status_code=201,
    responses=responses(*GUARDED, *READS_A_BODY, *USES_THE_DATABASE),
)
async def create_api_key(new: NewKey, caller: CallerDep, keys: KeysDep) -> MadeKeyOut:
    """Creates a key of your own. It is shown only this once."""
    made = await keys.create(caller, name=new.name, scopes=frozenset(new.scopes), seconds=new.expires_in)
    return MadeKeyOut(**KeyOut.model_validate(made.key).model_dump(), key=made.text)


@router.delete(
    "/{key_id}",
    summary="Revoke an API key",
    status_code=204,
    responses=responses(*GUARDED, "key_not_found", *MAY_HAVE_A_BODY, *USES_THE_DATABASE),
)
async def revoke_api_key(key_id: KeyId, caller: CallerDep, keys: KeysDep, request: Request) -> None:
    """The key stops working at once, and so do all keys that were made with it, or with one of those. Streams that
    they started end within ten seconds. It may be the key that asks, or one made with it; another one of yours only
    with the scope `admin`."""
    gone = await keys.revoke(caller, key_id)
    auth = services_of(request).auth
    if auth is not None:
        auth.forget(gone)
