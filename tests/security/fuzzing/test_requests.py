"""T09, T20: bodies, forms, ids, queries and headers that nobody would send, mutated from good ones, to every route.

None ends in a 5xx or in a line of an error in the log; every refusal has the shape of its API; no secret is told; an
event stream is one, to its end; and another owner sees the same things as before. `make fuzz` goes on for longer.
"""

from typing import Any

from hypothesis import strategies as st

from main import create_app
from tests.security.fuzzing.good import Good
from tests.support.fuzzing import ODD_BYTES, fuzz, mutated, odd_json, odd_texts
from tests.support.server import make_settings
from tests.support.siege import Ask, Siege

API = create_app(make_settings(AUTH_MODE="api_key", AUTH_SECRET="x" * 32)).openapi()


def names_in(schema: Any) -> set[str]:
    """Every name of a field in a JSON schema."""
    if isinstance(schema, list):
        return set().union(*map(names_in, schema))
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties")
    return (set(own) if isinstance(own, dict) else set()).union(*map(names_in, schema.values()))


FIELDS = tuple(sorted(names_in(API)))
PARAMETERS = sorted(
    {
        each["name"]
        for item in API["paths"].values()
        for operation in item.values()
        for each in operation.get("parameters", [])
        if each["in"] == "query"
    }
)
TYPES = st.sampled_from(
    [b"application/json", b"application/json; charset=utf-16", b"application/vnd.x+json", b"text/plain", b"", b"\xff"]
)


def test_no_body_harms_the_server(besieged: Siege, good: list[Good]) -> None:
    with_bodies = [each for each in good if each.body is not None]

    @st.composite
    def asks(draw: st.DrawFn) -> Ask:
        chosen = draw(st.sampled_from(with_bodies))
        content = draw(odd_json(chosen.body, FIELDS))
        if draw(st.integers(0, 9)) == 0:
            return chosen.ask(content=content, headers=(("content-type", draw(TYPES)),))
        return chosen.ask(content=content)

    fuzz(asks(), besieged.ask, count=600)


def test_no_form_harms_the_server(besieged: Siege, good: list[Good]) -> None:
    forms = [each for each in good if each.form]
    tokens = (
        *ODD_BYTES, b"--", b"----of-the-parts", b"----of-the-parts--\r\n", b'name="file"', b'filename="',
        b"filename*=UTF-8''%", b"Content-Disposition: form-data; ", b"Content-Type: text/plain; charset=utf-7\r\n",
        b"_charset_", b"name=", b";", b"Content-Transfer-Encoding: base64\r\n", b'name="collection"\r\n\r\n',
    )  # fmt: skip

    @st.composite
    def asks(draw: st.DrawFn) -> Ask:
        chosen = draw(st.sampled_from(forms))
        headers = chosen.headers
        if draw(st.integers(0, 4)) == 0:
            headers = (("content-type", draw(mutated(headers[0][1], most=2)).translate(None, b"\r\n\0")),)
        return chosen.ask(content=draw(mutated(chosen.form, tokens=tokens)), headers=headers)

    fuzz(asks(), besieged.ask, count=150)


def encoded(text: str) -> bytes:
    """The text as a browser would put it into a path or a query, or worse."""
    return "".join(
        each
        if each.isalnum() and each.isascii()
        else "".join(f"%{byte:02X}" for byte in each.encode("utf-8", "surrogatepass"))
        for each in text
    ).encode()


@st.composite
def odd_ids(draw: st.DrawFn, own: str) -> bytes:
    """An id: changed in some bytes, an odd text, or bytes that are no UTF-8."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return encoded(draw(odd_texts))[:9_000]
    if kind == 1:
        return b"".join(b"%%%02x" % byte for byte in draw(st.binary(max_size=30)))
    changed = draw(mutated(own.encode(), most=3))
    return b"".join(b"%%%02x" % byte for byte in changed)[:9_000]


@st.composite
def odd_queries(draw: st.DrawFn, chosen: Good, values: list[str]) -> bytes:
    """Some parameters, known and unknown, of this request and of others, once or several times."""
    pairs = [(name, value.encode()) for name, value in chosen.params]
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(PARAMETERS) | odd_texts)
        value = draw(st.sampled_from(values).flatmap(odd_ids) | st.integers().map(lambda n: str(n).encode()))
        pairs.append((encoded(name).decode(), value))
    return b"&".join(name.encode() + b"=" + value for name, value in pairs)[:20_000]


def test_no_id_cursor_or_parameter_harms_the_server(besieged: Siege, good: list[Good]) -> None:
    values = [
        *besieged.things.values(),
        f"{besieged.things['stream']}-1",
        "1700000000.25-" + "0" * 32,
        "json",
        "5",
        "desc",
    ]

    @st.composite
    def asks(draw: st.DrawFn) -> Ask:
        chosen = draw(st.sampled_from(good))
        odd_id = draw(odd_ids(draw(st.sampled_from(values)))) if draw(st.booleans()) else None
        query = draw(odd_queries(chosen, values)) if draw(st.booleans()) else None
        return Ask(chosen.method, chosen.target(odd_id, query), chosen.content(), chosen.headers)

    fuzz(asks(), besieged.ask, count=600)


HEADERS = (
    "last-event-id", "idempotency-key", "accept", "x-stream-detach", "x-request-id", "origin", "sec-fetch-site",
    "accept-encoding", "content-type", "content-encoding", "x-forwarded-for", "forwarded", "range", "if-none-match",
    "if-modified-since", "cookie", "user-agent", "expect", "te", "x-session-id", "access-control-request-method",
    "x-http-method-override", "openai-organization",
)  # fmt: skip


def test_no_header_harms_the_server(besieged: Siege, good: list[Good]) -> None:
    values = [
        f"{besieged.things['stream']}-1",
        "application/json",
        "text/event-stream",
        "true",
        "http://127.0.0.1:3000",
        "100-continue",
    ]

    @st.composite
    def asks(draw: st.DrawFn) -> Ask:
        chosen = draw(st.sampled_from(good))
        more = []
        for _ in range(draw(st.integers(1, 4))):
            value = draw(
                mutated(draw(st.sampled_from(values)).encode(), most=3) | odd_texts.map(lossy) | st.binary(max_size=40)
            )
            more.append((draw(st.sampled_from(HEADERS)), value.translate(None, b"\r\n\0")[:8_000]))
        return chosen.ask(headers=(*chosen.headers, *more))

    fuzz(asks(), besieged.ask, count=300)


def lossy(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def test_no_head_harms_the_server(besieged: Siege, good: list[Good]) -> None:
    """Here the bytes themselves are changed, so that many are no HTTP, which uvicorn answers."""
    without_bodies = [each for each in good if each.body is None and not each.form]
    tokens = (
        *ODD_BYTES, b"\r\nhost: evil\r\n", b"HTTP/1.0", b"HTTP/9.9", b"\r\ncontent-length: 0\r\n", b" ", b":", b"\t",
        b"//", b"GET ",
    )  # fmt: skip

    @st.composite
    def heads(draw: st.DrawFn) -> bytes:
        head = draw(mutated(draw(st.sampled_from(without_bodies)).ask().raw().removesuffix(b"\r\n\r\n"), tokens=tokens))
        return head + f"\r\nauthorization: Bearer {besieged.key.text}\r\n\r\n".encode()

    def test(head: bytes) -> None:
        try:
            answer = besieged.connection.exchange(head, head.partition(b" ")[0].decode("latin-1"), seconds=0.3)
        except TimeoutError:  # it waits for more
            answer = None
        besieged.connection.close()  # what follows may be an answer to the rest
        if answer is not None:
            besieged.judge(answer, None, "GET")

    fuzz(heads(), test, count=200)
