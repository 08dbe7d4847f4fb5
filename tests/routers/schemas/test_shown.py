"""What is shown of the domain's values: no field is forgotten, on either side."""

from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from domain.callers import ApiKey
from domain.catalogue import Price
from domain.documents import Collection, Document
from domain.messages import Found, Message, Session
from domain.usage import UsageSum
from routers.keys import KeyOut
from routers.models import PriceOut
from routers.schemas.documents import CollectionOut, DocumentOut
from routers.schemas.messages import FoundOut, MessageOut
from routers.schemas.sessions import SessionOut
from routers.usage import UsageRow

ID = "0" * 32

ALIKE: list[tuple[type[BaseModel], type, set[str]]] = [
    (SessionOut, Session, set()),
    (DocumentOut, Document, {"known"}),
    (CollectionOut, Collection, set()),
    (UsageRow, UsageSum, set()),
    (PriceOut, Price, set()),
    (KeyOut, ApiKey, set()),
]


@pytest.mark.parametrize(("shown", "domain", "more"), ALIKE, ids=lambda each: getattr(each, "__name__", ""))
def test_what_is_read_from_attributes_is_called_alike_in_the_domain(
    shown: type[BaseModel], domain: type, more: set[str]
) -> None:
    attributes = {field.name for field in fields(domain)} | {name for name in vars(domain) if not name.startswith("_")}
    assert set(shown.model_fields) - attributes == more, "a field with a default would be that for ever"


MESSAGE = Message(
    id=ID, session_id=ID, parent_id=ID, depth=1, role="assistant", state="failed", text="Hello", tokens=1, created=1.0,
    client_id="mine", stream_id=ID, model="gpt", finish_reason="stop", code="provider_error",
    spent={
        "usage": {"input_tokens": 1, "output_tokens": 1, "exact": True},
        "cost": {"amount": 0.1, "currency": "USD", "source": "catalogue"},
        "attempts": [{"model": "gpt", "usage": {"input_tokens": 1, "output_tokens": 1, "exact": True}, "cost": None}],
    },
    first_word_ms=1, total_ms=2, sources=(), siblings=(ID, "1" * 32),
)  # fmt: skip


@pytest.mark.parametrize(("of", "value"), [(MessageOut.of, MESSAGE), (FoundOut.of, Found(MESSAGE, "A title", "Hello"))])
def test_what_is_translated_leaves_no_field_at_its_default(of: Callable[[Any], BaseModel], value: Any) -> None:
    shown = of(value)
    unset = {name for name in type(shown).model_fields if getattr(shown, name) is None}
    assert not unset


def test_money_is_a_number_and_scopes_come_in_order() -> None:
    row = UsageSum(1, 2, 3, 0, 0, exact=True, cost=Decimal("0.25"), currency="USD", day="2026-01-31")
    assert UsageRow.model_validate(row).model_dump(exclude_none=True)["cost"] == 0.25
    key = ApiKey("id", "ann", "laptop", "sf_", b"", frozenset({"read", "chat"}), 1.0)
    assert KeyOut.model_validate(key).scopes == ["chat", "read"]
