"""The OpenAPI description, made from the table of routes: it cannot say anything else than what is served."""

from __future__ import annotations

from typing import Any

from receiver.api.parameters import Parameter
from receiver.api.routes import PREFIX, ROUTES, Route

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"message": {"type": "string"}, "hint": {"type": ["string", "null"]}},
            "required": ["message", "hint"],
        }
    },
    "required": ["error"],
}
_ERRORS = {
    "400": "A parameter or the SQL is wrong, or ran into a limit; the hint says what to do.",
    "403": "The Host or Origin is not this receiver's own.",
    "503": "It cannot be answered now; ask again.",
}


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of every route.

    Source: https://spec.openapis.org/oas/v3.1.1.html
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "otlp-receiver",
            "version": version,
            "description": "Questions about traces, logs and metrics that the receiver has stored.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


def _operation(route: Route) -> dict[str, Any]:
    failures = dict(_ERRORS)
    if route.in_path is not None:
        failures["404"] = "Nothing of this name or id is stored."
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [
            *([_parameter(route.in_path, "path")] if route.in_path else []),
            *(_parameter(each, "query") for each in route.parameters),
        ],
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                name: {"description": text} for name, text in route.returns.items()
                            },
                        }
                    }
                },
            },
            **{
                status: {
                    "description": text,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for status, text in sorted(failures.items())
            },
        },
    }
    if route.method == "POST":
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {
                each.name: {**each.schema, "description": each.description} for each in route.body
            },
            "required": [each.name for each in route.body if each.required],
        }
        operation["requestBody"] = {
            "required": bool(schema["required"]),
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": place,
        "required": parameter.required or place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
        **({"style": "form", "explode": True} if parameter.repeated else {}),
    }
