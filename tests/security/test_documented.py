"""What /openapi.json promises of the guarded routes, whatever they are sent, by a caller and by nobody."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, assume, settings
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from main import create_app
from tests.support.effort import examples
from tests.support.keys import EVERYTHING, KeyRing, bearer
from tests.support.server import LiveServer, make_settings

schema = schemathesis.openapi.from_dict(
    create_app(make_settings(AUTH_MODE="api_key", AUTH_SECRET="x" * 32)).openapi()
).exclude(path_regex="^/(health|ready|chat/health|chat/doctor.*)?$")
ask = settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))


@schema.parametrize()
@ask
def test_a_caller_is_answered_as_documented(case: Case[Any], shared_server: LiveServer, shared_ring: KeyRing) -> None:
    header = case.meta.components.get(ParameterLocation.HEADER) if case.meta else None
    assume(header is None or not header.mode.is_negative)  # what was wrong there is replaced here
    owner = f"owner of {case.id}"  # a fresh one: so many keys are made here that one would have too many
    headers = bearer(shared_ring.make(owner, EVERYTHING))
    answer = case.call(base_url=shared_server.url, headers=headers, timeout=10)
    # Too many items may be too many bytes before anybody counts them.
    # In a form a list of one is that one.
    unsure = answer.status_code == 413 or case.media_type == "multipart/form-data"
    # The second of the checks asks without the header, as below.
    excluded = [positive_data_acceptance, ignored_auth, *[negative_data_rejection][:unsure]]
    case.validate_response(answer, headers=headers, excluded_checks=excluded)


@schema.parametrize()
@settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
def test_nobody_is_answered_as_documented(case: Case[Any], shared_server: LiveServer) -> None:
    case.headers.pop("Authorization", None)
    answer = case.call(base_url=shared_server.url, timeout=10)
    assert answer.status_code in (401, 403, 404, 405, 413)
    case.validate_response(answer, excluded_checks=[positive_data_acceptance, ignored_auth])
