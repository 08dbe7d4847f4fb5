"""T01 with AUTH_MODE=jwt: the same routes, asked by subjects of an issuer's tokens."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from domain.callers import SCOPES
from tests.security.test_bola_matrix import CASES, SHARED, Cast, Row, ask, made, out_of_reach, routes_of, told
from tests.support.effort import one_in
from tests.support.issuer import Issuer
from tests.support.keys import KeyRing
from tests.support.server import live_server, make_settings

pytestmark = pytest.mark.slow(reason="every route and verb, asked by four callers")

# The routes are the same ones, without those of keys; so, in a hurry, fewer do.
WITH_TOKENS = [case for case in CASES if not case[1].startswith("/keys")][:: 1 if one_in() == 1 else 4]
NAMES = [f"{verb} {path}" for verb, path, _ in WITH_TOKENS]


@dataclass(frozen=True)
class Tokens(Cast):
    """Callers with tokens: `revoked` is the owner's that has expired."""

    issuer: Issuer | None = None


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokens]:
    folder = tmp_path_factory.mktemp("tokens")
    issuer = Issuer(folder)
    with live_server(make_settings(STREAM_DELAY=0, DATA_DIR=folder / "data", **issuer.settings)) as server:
        owner, other, expired = issuer.token("owner"), issuer.token("other"), issuer.token("owner", seconds=-60)
        yield Tokens(server, owner, other, expired, KeyRing(folder / "data"), issuer=issuer)


def test_every_route_but_those_of_keys_is_there(cast: Tokens) -> None:
    guarded = {(verb, path) for verb, path, guarded in routes_of(cast.server.app) if guarded}
    assert guarded == {(verb, path) for verb, path, _ in CASES if not path.startswith("/keys")}


@pytest.mark.parametrize(("verb", "path", "row"), WITH_TOKENS, ids=NAMES)
def test_a_subject_gets_its_own_and_nothing_of_anothers(cast: Tokens, verb: str, path: str, row: Row) -> None:
    thing = made(cast, row)
    if row.makes and row.makes not in SHARED:
        unknown = ask(cast, verb, path, row, key=cast.other, thing=row.unknown)
        assert told(ask(cast, verb, path, row, key=cast.other, thing=thing)) == told(unknown)
        assert row.code in unknown.text
    assert ask(cast, verb, path, row, key=cast.owner, thing=thing).status_code == row.status


@pytest.mark.parametrize(("verb", "path", "row"), WITH_TOKENS, ids=NAMES)
def test_without_a_good_token_or_its_scope_nothing_is_said(cast: Tokens, verb: str, path: str, row: Row) -> None:
    assert cast.issuer is not None
    lacking = cast.issuer.token("owner", frozenset(SCOPES) - {row.scope})
    for key, status in ((None, 401), (cast.revoked, 401), (lacking, 403)):
        things = (out_of_reach(cast, row), row.unknown)
        answers = [ask(cast, verb, path, row, key=key, thing=thing) for thing in things]
        assert {answer.status_code for answer in answers} == {status}
        assert len({answer.content for answer in answers}) == 1
