"""Who the clients of the AI SDK and of AG-UI are, and how often they may ask: told in their own shape."""

import httpx
import pytest

from tests.journeys.chats.test_chats_in_trouble import BODIES
from tests.security.conftest import ServeKeys
from tests.support.keys import KeyRing, bearer

ROUTES = [
    ("POST", "/api/chat"), ("GET", "/api/chat/mine/stream"), ("POST", "/api/chat/mine/stop"), ("POST", "/ag-ui")
]  # fmt: skip


@pytest.mark.parametrize(("verb", "path"), ROUTES)
def test_whoever_may_not_is_told_so_in_a_sentence(serve_keys: ServeKeys, ring: KeyRing, verb: str, path: str) -> None:
    server = serve_keys(RATE_LIMIT="1/hour")
    ann, nothing = bearer(ring.make("ann")), bearer(ring.make("bob", frozenset({"keys"})))
    httpx.get(f"{server.url}/models", headers=ann)
    for headers, status in (({}, 401), (nothing, 403), (ann, 429)):
        refused = httpx.request(verb, f"{server.url}{path}", json=BODIES.get(path), headers=headers)
        assert refused.status_code == status
        assert refused.headers["content-type"] == "text/plain; charset=utf-8"
        assert 0 < len(refused.text) < 200
        assert "{" not in refused.text
        assert ("www-authenticate" in refused.headers, "retry-after" in refused.headers) == (
            status == 401, status == 429
        )  # fmt: skip
