"""What the bodies of requests and answers are made of."""

from pydantic import BaseModel, ConfigDict


class ResponseModel(BaseModel):
    """What is answered. Its serializer is built when it is first needed, which takes a few milliseconds then.

    Built at the start, all of them together would weigh a megabyte, and most servers need few of them.
    """

    model_config = ConfigDict(defer_build=True)
