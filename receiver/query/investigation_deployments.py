"""Deployments noticed: values of resource attributes that a service has in the window only."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from receiver.ports import Rows
from receiver.query.outline_spans import cut, moment
from receiver.questions import ResourceWindow

_FIRST = ("service.version", "deployment.environment.name", "container.image.tags", "vcs.ref.head.revision")
# What names one process, pod or machine changes with every restart and says nothing about what was deployed.
_INSTANCE = re.compile(
    r"(?:^|[._])(?:id|ids|uid|uuid|pid|ip|mac|address|args|command|command_line|path|start_time|creation\.time|owner)$"
    r"|^service\.instance\.|^process\.(?!runtime\.)|^host\.(?!image\.|arch$|type$)|^k8s\.(?:pod|node|replicaset|job)\."
    r"|^container\.name$|^device\.|^session\.|^user\."
)
_MOST_NEW = 3
_MOST_BEFORE = 10
"""A key with more values than these is a name of instances too."""
_SHOWN = 3


def deployments_of(resources: Sequence[ResourceWindow]) -> Rows:
    """Return new values, each with the ones before it; a service that is new altogether is one line."""
    by_service: dict[str, list[ResourceWindow]] = defaultdict(list)
    for resource in resources:
        by_service[resource.service].append(resource)
    any_before = any(resource.baseline_count for resource in resources)
    found: Rows = []
    for service, each in by_service.items():
        if not any(resource.count for resource in each):
            continue
        if any(resource.baseline_count for resource in each):
            found += _new_values(service, each)
        elif any_before:
            found.append(_line(service, "service.name", service, [], each))
    return sorted(found, key=lambda line: (_rank(line["attribute"]), line["service"], line["attribute"]))


def _new_values(service: str, resources: list[ResourceWindow]) -> Rows:
    now: dict[str, dict[str, list[ResourceWindow]]] = defaultdict(lambda: defaultdict(list))
    before: dict[str, set[str]] = defaultdict(set)
    for resource in resources:
        for key, value in resource.attributes.items():
            text = _text(value)
            if text is None or _INSTANCE.search(key) or key == "service.name":
                continue
            if resource.baseline_count:
                before[key].add(text)
            if resource.count:
                now[key][text].append(resource)
    found: Rows = []
    for key, values in now.items():
        new = [value for value in values if value not in before[key]]
        if len(new) <= _MOST_NEW and len(before[key]) <= _MOST_BEFORE:
            found += [
                _line(service, key, value, sorted(before[key])[:_SHOWN], values[value]) for value in new
            ]
    return found


def _line(
    service: str, key: str, value: str, before: list[str], resources: list[ResourceWindow]
) -> dict[str, Any]:
    first = min(resource.first_ns for resource in resources if resource.count)
    return {
        "service": service,
        "attribute": cut(key),
        "value": value,
        "before": before,
        **moment("first", first),
        "records": sum(resource.count for resource in resources),
    }


def _text(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return cut(", ".join(value), 200)
    return cut(value, 200) if isinstance(value, str | int | float | bool) else None


def _rank(key: str) -> int:
    return _FIRST.index(key) if key in _FIRST else len(_FIRST) + (not key.endswith("version"))
