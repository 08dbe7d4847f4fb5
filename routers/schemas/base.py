"""What the bodies of requests and responses are made of: one base for each, and the types of fields they share."""

from typing import Annotated, Any, ClassVar, TypeVar

from fastapi import Query
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from domain.messages import MAX_CLIENT_ID
from domain.text import UNWRITABLE

MAX_PAGE = 200


class RequestModel(BaseModel):
    """A part of a request. Unknown fields are refused.

    It has a limited number of fields: each wrong one is an error to describe, and a million of them take seconds.
    """

    model_config = ConfigDict(extra="forbid")

    max_fields: ClassVar[int] = 50

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > cls.max_fields:
            raise ValueError(f"This has {len(data)} fields, and may have {cls.max_fields}.")
        return data


class LenientModel(RequestModel):
    """A part of a request in a protocol that is not ours. Unknown fields are ignored, as clients send many."""

    model_config = ConfigDict(extra="ignore")

    max_fields = 100

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema, which also says how many fields there may be."""
        described = handler(schema)
        handler.resolve_ref_schema(described)["maxProperties"] = cls.max_fields
        return described


class ResponseModel(BaseModel):
    """A part of a response; `model_validate` makes it of any object with attributes of the same names.

    Its validator is built on first use, which takes a few milliseconds: together they would weigh a megabyte at the
    start, and most servers need few of them.
    """

    model_config = ConfigDict(defer_build=True, from_attributes=True)


def fault_of_name(text: str) -> str | None:
    """What is wrong with a name that people could not see, or some database could not store; `None` if it is good."""
    if not text.strip():
        return "is blank."
    return "must not contain NUL or half of a surrogate pair." if UNWRITABLE.search(text) else None


def _a_name(text: str) -> str:
    if fault := fault_of_name(text):
        raise ValueError(f"This {fault}")
    return text


def writable_text(text: str) -> str:
    """The text; a `ValueError` if some database or JSON parser would refuse it."""
    if UNWRITABLE.search(text):
        raise ValueError("This must not contain NUL or half of a surrogate pair.")
    return text


T = TypeVar("T")


class _FirstErrorAlone:
    """What pydantic's `FailFast` does; that one cannot stand in a union, as it has no hash."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        assert schema["type"] == "list"
        return {**schema, "fail_fast": True}


# Requests
ListOf = Annotated[list[T], _FirstErrorAlone()]
"""A list in a request, which is refused at its first wrong item: a million wrong ones take seconds to describe."""
IsName = AfterValidator(_a_name)
IsWritable = AfterValidator(writable_text)
ClientId = Annotated[str, Field(min_length=1, max_length=MAX_CLIENT_ID), IsName]
StopText = Annotated[str, Field(min_length=1, max_length=100)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items on a page")]
PageCursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before")]

# Requests and responses
Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$", max_length=32)]

# Responses
Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False, description="Seconds since the Unix epoch")]
Milliseconds = Annotated[int, Field(ge=0, le=10**9)]
Count = Annotated[int, Field(ge=0, le=2**53)]
NextCursor = Annotated[str | None, Field(max_length=200, description="The cursor of the next page, if there is one")]
