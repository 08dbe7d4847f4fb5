"""API keys over HTTP: one's own, made with no more than one has oneself. There only where callers have API keys."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BeforeValidator, Field, field_validator

from domain.callers import DEFAULT_SCOPES, valid_scopes
from routers.deps import CallerDep, KeysDep, services_of
from routers.http.guard import guarded
from routers.openapi.codes import GUARDED, MAY_HAVE_A_BODY, READS_A_BODY, USES_THE_DATABASE, responses
from routers.schemas.base import IsWritable, Moment, RequestModel, ResponseModel

router = APIRouter(prefix="/keys", tags=["keys"], route_class=guarded("keys"))

KeyName = Annotated[str, Field(max_length=100)]
Scope = Annotated[str, Field(min_length=1, max_length=50)]
KeyId = Annotated[str, Path(json_schema_extra={"maxLength": 50}, description="The `id` of `GET /keys`")]


class NewKey(RequestModel):
    """What a new key is to be. Whose it is, is no question."""

    name: Annotated[KeyName, IsWritable] = Field("", description="For people")
    scopes: list[Scope] = Field(sorted(DEFAULT_SCOPES), max_length=50, description="No more than the asking key has")
    expires_in: int | None = Field(
        None, ge=1, le=10 * 366 * 86_400, description="Seconds; unset, and at the latest, when the asking key does"
    )

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, names: list[str]) -> list[str]:
        return sorted(valid_scopes(names))


class KeyOut(ResponseModel):
    """A key, without what would let anybody use it. Moments are in seconds since the Unix epoch."""

    id: str = Field(max_length=50)
    name: KeyName
    prefix: str = Field(max_length=50, description="What the key begins with")
    scopes: Annotated[list[Scope], BeforeValidator(sorted)] = Field(max_length=1_000)
    created: Moment
    expires: Moment | None
    revoked: Moment | None
    last_used: Moment | None = Field(description="To the minute")


class MadeKeyOut(KeyOut):
    """A new key, and the only time that it is shown."""

    key: str = Field(max_length=200)


class KeyList(ResponseModel):
    """One's own keys, newest first."""

    items: list[KeyOut] = Field(max_length=1_000)
    next: None = None


@router.get("", summary="Which keys do I have?", responses=responses(*GUARDED, *USES_THE_DATABASE))
async def list_keys(caller: CallerDep, keys: KeysDep) -> KeyList:
    """One's own keys, those that are revoked or expired as well."""
    return KeyList(items=[KeyOut.model_validate(key) for key in (await keys.list(caller))[:1_000]])


@router.post(
    "",
    summary="Make a key",
    status_code=201,
    responses=responses(*GUARDED, *READS_A_BODY, *USES_THE_DATABASE),
)
async def create_key(new: NewKey, caller: CallerDep, keys: KeysDep, response: Response) -> MadeKeyOut:
    """A key of one's own, shown this once."""
    made = await keys.create(caller, name=new.name, scopes=frozenset(new.scopes), seconds=new.expires_in)
    response.headers["cache-control"] = "no-store"
    return MadeKeyOut(**KeyOut.model_validate(made.key).model_dump(), key=made.text)


@router.delete(
    "/{key_id}",
    summary="Revoke a key",
    status_code=204,
    responses=responses(*GUARDED, "key_not_found", *MAY_HAVE_A_BODY, *USES_THE_DATABASE),
)
async def revoke_key(key_id: KeyId, caller: CallerDep, keys: KeysDep, request: Request) -> None:
    """From now on it opens nothing; what runs under it ends within ten seconds. One's own key is no exception."""
    await keys.revoke(caller, key_id)
    auth = services_of(request).auth
    if auth is not None:
        auth.forget(key_id)
