"""What the bodies of requests and answers are made of."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from domain.events import UNWRITABLE

NOT_A_NAME = "is blank, or holds NUL or half of a surrogate pair."


class ResponseModel(BaseModel):
    """What is answered. Its serializer is built when it is first needed, which takes a few milliseconds then.

    Built at the start, all of them together would weigh a megabyte, and most servers need few of them.
    """

    model_config = ConfigDict(defer_build=True)


class Bounded(BaseModel):
    """What is asked, in not too many fields: each that is wrong is an error to tell, and a million take seconds."""

    max_fields: ClassVar[int] = 50

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > cls.max_fields:
            raise ValueError(f"This has {len(data)} fields, and may have {cls.max_fields}.")
        return data


def is_name(text: str) -> bool:
    """Whether people would see something of it, and every database can keep it."""
    return bool(text.strip()) and not UNWRITABLE.search(text)


def a_name(text: str) -> str:
    """The text, for a validator of models; a `ValueError` where it is no name."""
    if not is_name(text):
        raise ValueError(f"This {NOT_A_NAME}")
    return text
