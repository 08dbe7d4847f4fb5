"""The operations of /openapi.json, each asked by schemathesis in a test of its own.

What is asked of an operation is made up when its test runs. schemathesis' own decorator does that while tests are
collected, which takes seconds in each process, and its tests belong to no file of ours.
"""

import itertools
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from hypothesis import HealthCheck, settings

from tests.support.effort import one_in

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.schemas import BaseSchema


class Operations:
    """Those of one application."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @cached_property
    def document(self) -> dict[str, Any]:
        """Made when it is asked for: each process collects these tests, and few run them."""
        return self._app.openapi()

    @cached_property
    def labels(self) -> dict[str, str]:
        """The name of each operation, by which schemathesis finds it, and its path."""
        return {
            f"{method} {context.path_format}": str(context.path_format)
            for context in iter_route_contexts(self._app.routes)
            if isinstance(context.original_route, APIRoute) and context.original_route.include_in_schema
            for method in sorted(context.methods or ())
        }

    def each(self, belongs: Callable[[str], bool]) -> pytest.MarkDecorator:
        """Run the test once for each operation whose path belongs, and give it as `operation`."""
        return pytest.mark.parametrize("operation", [name for name, path in self.labels.items() if belongs(path)])

    def ask(self, operation: str, examples: int, test: Callable[["Case[Any]"], None]) -> None:
        """Run the test on so many requests to the operation, and on the edges of its schema: at less effort on few."""
        from schemathesis.checks import load_all_checks
        from schemathesis.core.result import Ok
        from schemathesis.generation.feedback import FeedbackSources
        from schemathesis.generation.meta import TestPhase
        from schemathesis.pytest._test_builder import build_operation_test

        load_all_checks()

        edges = itertools.count()

        def on_one(case: "Case[Any]") -> None:
            edge = case.meta is not None and case.meta.phase.name == TestPhase.COVERAGE
            if not edge or next(edges) % one_in() == 0:
                test(case)

        (found,) = self._schema.include(name=operation).get_all_operations()
        assert isinstance(found, Ok)
        build_operation_test(
            config=self._schema.config,
            operation=found.ok(),
            test_func=on_one,
            given_kwargs={},
            feedback=FeedbackSources(),
            explicit_settings=settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck)),
        )()

    @cached_property
    def _schema(self) -> "BaseSchema":
        import schemathesis

        return schemathesis.openapi.from_dict(self.document)
