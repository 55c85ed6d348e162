"""Resources and scopes: few, repeated in every request; rows of their own, keyed by a hash of their content."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from receiver.decode.attributes_json import ResourceContent, ScopeContent
from receiver.decode.identifiers import content_hash, uuids, uuids_of
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import Index, RecordColumns

_RESOURCE_SCHEMA = pa.schema(
    [
        ("resource_id", pa.uuid()),
        ("service_name", pa.string()),
        ("service_namespace", pa.string()),
        ("service_instance_id", pa.string()),
        ("attributes", pa.string()),
        ("dropped_attributes_count", pa.uint32()),
        ("entity_refs", pa.string()),
        ("schema_url", pa.string()),
    ]
)
_SCOPE_SCHEMA = pa.schema(
    [
        ("scope_id", pa.uuid()),
        ("name", pa.string()),
        ("version", pa.string()),
        ("attributes", pa.string()),
        ("dropped_attributes_count", pa.uint32()),
        ("schema_url", pa.string()),
    ]
)


@dataclass
class Dimensions:
    """The distinct resources and scopes of one flattened batch."""

    resources: dict[bytes, tuple[object, ...]] = field(default_factory=dict)
    scopes: dict[bytes, tuple[object, ...]] = field(default_factory=dict)

    def add_resource(self, content: ResourceContent, schema_url: str) -> bytes:
        """Note a resource; return its id."""
        identity = content_hash(
            content.attributes, str(content.dropped_attributes_count), content.entity_refs or "", schema_url
        )
        self.resources.setdefault(
            identity,
            (
                content.service_name,
                content.service_namespace,
                content.service_instance_id,
                content.attributes,
                content.dropped_attributes_count,
                content.entity_refs,
                schema_url,
            ),
        )
        return identity

    def add_scope(self, content: ScopeContent, schema_url: str) -> bytes:
        """Note a scope; return its id."""
        identity = content_hash(
            content.name,
            content.version,
            content.attributes,
            str(content.dropped_attributes_count),
            schema_url,
        )
        self.scopes.setdefault(
            identity,
            (content.name, content.version, content.attributes, content.dropped_attributes_count, schema_url),
        )
        return identity

    def tables(self) -> dict[str, pa.Table]:
        """Return the rows of both tables; none that is empty."""
        result = {}
        if self.resources:
            result["resources"] = _table(self.resources, _RESOURCE_SCHEMA)
        if self.scopes:
            result["scopes"] = _table(self.scopes, _SCOPE_SCHEMA)
        return result


def _table(rows: dict[bytes, tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows.values(), strict=True))
    arrays = [uuids(b"".join(rows), len(rows))]
    arrays += [pa.array(c, f.type) for c, f in zip(columns, list(schema)[1:], strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


@dataclass(frozen=True)
class Placement:
    """Which resource and scope each row stands in."""

    resource_ids: pa.Array
    """UUID per row."""
    scope_ids: pa.Array
    service_names: pa.StringArray
    """The resource's service.name per row; null where it has none."""


def place(columns: RecordColumns, nested: NestedValues, dimensions: Dimensions) -> Placement:
    """Add the columns' resources and scopes to ``dimensions`` and return where each row stands."""
    resource_ids, names = [], []
    for data, url in zip(
        columns.resources.to_pylist(), columns.resource_schema_urls.to_pylist(), strict=True
    ):
        content = nested.resource(data)
        resource_ids.append(dimensions.add_resource(content, url))
        names.append(content.service_name)
    scope_ids = [
        dimensions.add_scope(nested.scope(data), url)
        for data, url in zip(columns.scopes.to_pylist(), columns.scope_schema_urls.to_pylist(), strict=True)
    ]
    resource_of_rows: Index = (
        columns.resource_of[columns.scope_of] if len(columns.scope_of) else np.zeros(0, dtype=np.int32)
    )
    return Placement(
        resource_ids=uuids_of(resource_ids, resource_of_rows),
        scope_ids=uuids_of(scope_ids, columns.scope_of),
        service_names=pa.array(names, pa.string()).take(pa.array(resource_of_rows)),
    )
