"""The worst bodies that the limits admit, made from what /openapi.json says of each route and each field."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

Schema = dict[str, Any]
Body = tuple[str, Callable[[], bytes]]
"""What it is, and what makes its bytes: most are not tried in one run."""

DEPTH = 6
"""So deep fields are looked for in fields."""


def bodies(api: dict[str, Any], schema: Schema, size: int) -> Iterator[Body]:
    """Bodies of about `size` bytes for one request: of every field, and of the body itself, every bad shape."""
    yield from _whole(size)
    for path in _fields(api, schema):
        for shape, make in SHAPES.items():
            if _filled(api, schema, path, make, 1) is not None:
                yield f"{'.'.join(path)}: {shape}", partial(_body, api, schema, path, make, size)


def _whole(size: int) -> Iterator[Body]:
    """Bodies that are no object, or one of fields that do not exist."""
    for shape, make in SHAPES.items():
        yield f"the body: {shape}", partial(make, size)
    for value in ("1", "[]", '"\\u00e9"', "{}"):
        yield f"unknown fields of {value}", partial(_unknown_fields, value, size)


def _unknown_fields(value: str, size: int) -> bytes:
    fields = ",".join(f'"field{number}":{value}' for number in range(size // (14 + len(value))))
    return f"{{{fields}}}".encode()


def _many(item: str) -> Callable[[int], bytes]:
    return lambda size: f"[{','.join([item] * max(1, size // (len(item) + 1)))}]".encode()


SHAPES: dict[str, Callable[[int], bytes]] = {
    "a number": lambda size: b"1",
    "an object": lambda size: b"{}",
    "many numbers": _many("1"),
    "many floats": _many("1e-9"),
    "many empty objects": _many("{}"),
    "many empty lists": _many("[]"),
    "many empty texts": _many('""'),
    "many names": _many('"abcdefghijklmnop"'),
    "many lists of numbers": _many("[1,1,1,1,1,1,1,1]"),
    "many objects": _many('{"type":"text","text":"a"}'),
    "many fields": lambda size: b"{" + b",".join(b'"k%d":1' % number for number in range(size // 11)) + b"}",
    "many fields of objects": lambda size: b"{" + b",".join(b'"k%d":{"a":[]}' % n for n in range(size // 18)) + b"}",
    "a long text": lambda size: b'"' + b"a" * size + b'"',
    "a long text of escapes": lambda size: b'"' + b"\\u00e9" * (size // 6) + b'"',
    "a long text of blanks": lambda size: b'"' + b" " * size + b'"',
    "a long text of signs": lambda size: '"{}"'.format("\U0001f600" * (size // 4)).encode(),
    "half surrogates": lambda size: b'"' + b"\\ud800" * (size // 6) + b'"',
    "NULs": lambda size: b'"' + b"\\u0000" * (size // 6) + b'"',
    "a picture": lambda size: b'"data:image/png;base64,' + b"A" * (size // 4 * 4) + b'"',
    "a picture that is none": lambda size: b'"data:image/png;base64,' + b"A" * (size // 4 * 4) + b'!"',
    "a long number": lambda size: b"9" * size,
    "a long fraction": lambda size: b"0." + b"9" * size,
    "a deep list": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "a deep list within bounds": lambda size: b"[" * 190 + b"1," * (size // 2) + b"1" + b"]" * 190,
    "a deep object": lambda size: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6),
    "not a number": lambda size: b"NaN",
}


def resolved(api: dict[str, Any], schema: Schema) -> Iterator[Schema]:
    """The schema, or all that it may be."""
    if "$ref" in schema:
        yield from resolved(api, api["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        return
    several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    for each in several or ():
        yield from resolved(api, each)
    if not several:
        yield schema


def _fields(api: dict[str, Any], schema: Schema, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every field; `*` is every item of a list."""
    if len(before) > DEPTH:
        return
    for each in resolved(api, schema):
        for name, below in each.get("properties", {}).items():
            yield (*before, name)
            yield from _fields(api, below, (*before, name))
        if isinstance(each.get("items"), dict):
            yield (*before, "*")
            yield from _fields(api, each["items"], (*before, "*"))


def _body(*filled: Any) -> bytes:
    body = _filled(*filled)
    assert body is not None
    return body


def _filled(
    api: dict[str, Any], schema: Schema, path: tuple[str, ...], make: Callable[[int], bytes], size: int
) -> bytes | None:
    """A body whose lists are as long as they may be, as many as fit, with this shape at the end of the path."""
    for each in resolved(api, schema):
        if not path:
            return make(size)
        head, *rest = path
        if head == "*" and isinstance(each.get("items"), dict):
            count = min(each.get("maxItems", 2_000), 2_000)
            one = _filled(api, each["items"], tuple(rest), make, max(1, size // count))
            if one is None:
                continue
            return b"[" + b",".join([one] * max(1, min(count, size // (len(one) + 1)))) + b"]"
        if head in each.get("properties", {}):
            made = _filled(api, each["properties"][head], tuple(rest), make, size)
            if made is None:
                continue
            needed = {name: _small(api, each["properties"][name]) for name in each.get("required", []) if name != head}
            others = b"".join(json.dumps(name).encode() + b":" + value + b"," for name, value in needed.items())
            return b"{" + others + json.dumps(head).encode() + b":" + made + b"}"
    return None


def _small(api: dict[str, Any], schema: Schema) -> bytes:
    """Something short that the schema takes."""
    each = next(resolved(api, schema))
    if "const" in each or "enum" in each:
        return json.dumps(each.get("const", next(iter(each.get("enum", [None]))))).encode()
    kind = each.get("type")
    if kind == "object":
        needed = {name: _small(api, each["properties"][name]) for name in each.get("required", [])}
        return b"{" + b",".join(json.dumps(name).encode() + b":" + value for name, value in needed.items()) + b"}"
    if kind == "array":
        return b"[" + _small(api, each.get("items", {})) + b"]"
    return {"boolean": b"false", "string": b'"aa"'}.get(str(kind), b"1")
