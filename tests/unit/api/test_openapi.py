"""The description says what is served, no more and no less."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import orjson

from receiver.api.openapi import document
from receiver.api.routes import PREFIX, ROUTES
from receiver.query.service import QueryService


def test_every_route_and_parameter_is_described() -> None:
    """Paths, methods, parameters and bodies are those of the table of routes."""
    described = document("1")
    assert orjson.loads(orjson.dumps(described)) == described
    operations = {(path, method) for path, each in described["paths"].items() for method in each}
    assert operations == {(PREFIX + route.path, route.method.lower()) for route in ROUTES}
    for route in ROUTES:
        operation = described["paths"][PREFIX + route.path][route.method.lower()]
        declared = {each.name for each in route.parameters} | (
            {route.in_path.name} if route.in_path else set()
        )
        assert {each["name"] for each in operation["parameters"]} == declared
        if route.in_path:
            assert f"{{{route.in_path.name}}}" in route.path
        if route.method == "POST":
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert set(schema["properties"]) == {each.name for each in route.body}


def test_operation_ids_are_unique() -> None:
    """Generated clients name their functions after them."""
    assert len({route.name for route in ROUTES}) == len(ROUTES)


_OF_THE_PYTHON_API = {"search_vector", "trace_spans"}
"""A vector means something only beside the model that made it, and receiver.ingester shapes answers of its own."""


def test_every_question_of_the_service_has_a_route() -> None:
    """What the service can answer can be asked over HTTP."""
    questions = {
        name
        for name, member in inspect.getmembers(QueryService, inspect.iscoroutinefunction)
        if name[0] != "_"
    }
    routed = {
        "search": "search",
        "list_traces": "traces",
        "trace": "trace",
        "outline": "outline",
        "compare": "compare",
        "investigate": "investigate",
        "list_services": "services",
        "logs": "logs",
        "requeue": "requeue",
        "metric_names": "metrics",
        "metric_points": "metric",
        "sessions": "sessions",
        "session": "session",
        "stats": "stats",
        "sql": "sql",
        "flush": "flush",
    }
    assert questions == set(routed) | _OF_THE_PYTHON_API
    assert set(routed.values()) == {route.name for route in ROUTES}


def test_the_documentation_names_every_route_and_parameter() -> None:
    """docs/api.md has a section for each route and a row for each of its parameters."""
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    sections = dict(
        zip(
            *[iter(re.split(r"^## `((?:GET|POST) [^`]+)`.*$", text, flags=re.MULTILINE)[1:])] * 2, strict=True
        )
    )
    assert set(sections) == {f"{route.method} {PREFIX}{route.path}" for route in ROUTES}
    for route in ROUTES:
        section = sections[f"{route.method} {PREFIX}{route.path}"]
        for parameter in (*route.parameters, *route.body):
            assert f"`{parameter.name}`" in section
        for member in route.returns:
            assert f"`{member}`" in section
