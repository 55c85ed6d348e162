"""What a span or a log record says, as one line of text, and the distinct texts of a batch.

Order (GenAI conventions first, then the general ones; see docs/texts.md): name, service, status message,
operation and names, messages and contents, exceptions, event names, then other short attributes.
Raw lines are made distinct per batch before anything is done to them in Python, so that masking and hashing
cost by the vocabulary of a system and not by its traffic.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from receiver.decode.attribute_lists import AttributeLists
from receiver.decode.identifiers import uuids, uuids_of
from receiver.decode.record_columns import parents
from receiver.decode.text_attributes import CONTENT_KEYS, NAMING_KEYS, content_text, is_general
from receiver.decode.text_form import is_noise_value, model_text, text_digest

_CACHE_TEXTS = 50_000
_GENERAL_CHARACTERS = 80  # longer values of attributes that no convention names are not names of anything
# What is done to a text in Python holds the GIL, so no part of one may be long, whatever a client sends.
_NAME_CHARACTERS = 300
_CONTENT_CHARACTERS = 8_000  # what eight chunks of the model can hold, generously
_LINE_CHARACTERS = 16_000


@dataclass
class DistinctTexts:
    """The texts of one flattened batch by their id."""

    rows: dict[bytes, tuple[str, str]] = field(default_factory=dict)

    def table(self) -> pa.Table | None:
        """Return the rows of the table ``texts``; None if there are none."""
        if not self.rows:
            return None
        originals, forms = zip(*self.rows.values(), strict=True)
        return pa.table(
            {
                "text_id": uuids(b"".join(self.rows), len(self.rows)),
                "text": pa.array(originals, pa.string()),
                "model_text": pa.array(forms, pa.string()),
            }
        )


class TextBuilder:
    """Builds texts of columns; remembers what it made of recent raw lines. Threads: one call at a time."""

    def __init__(self) -> None:
        """Start with an empty memory."""
        self._known: OrderedDict[str, tuple[bytes, str]] = OrderedDict()
        self._noise: dict[str, bool] = {}
        self._distinct = DistinctTexts()

    def begin(self) -> DistinctTexts:
        """Start a batch: its distinct texts are collected in what is returned."""
        self._distinct = DistinctTexts()
        return self._distinct

    def spans(
        self,
        spans: pa.StructArray,
        attributes: AttributeLists,
        event_attributes: AttributeLists,
        services: pa.StringArray,
    ) -> pa.Array:
        """Return the text id of each span."""
        if not len(spans):
            return pa.nulls(0, pa.uuid())
        parts = [
            _cut(spans.field("name"), _NAME_CHARACTERS),
            _cut(services, _NAME_CHARACTERS),
            _cut(spans.field("status").field("message"), _CONTENT_CHARACTERS),
        ]
        parts += self._attribute_parts(attributes)
        events = spans.field("events")
        if len(event_attributes):
            parts += self._event_parts(events, event_attributes)
        parts.append(self._general(attributes))
        return self._ids(_joined(parts))

    def logs(
        self, logs: pa.StructArray, attributes: AttributeLists, body: pa.StringArray, services: pa.StringArray
    ) -> pa.Array:
        """Return the text id of each log record."""
        if not len(logs):
            return pa.nulls(0, pa.uuid())
        parts = [
            _cut(logs.field("event_name"), _NAME_CHARACTERS),
            _cut(body, _CONTENT_CHARACTERS),
            _cut(services, _NAME_CHARACTERS),
        ]
        parts += self._attribute_parts(attributes)
        parts.append(self._general(attributes))
        return self._ids(_joined(parts))

    def _attribute_parts(self, attributes: AttributeLists) -> list[pa.Array]:
        found: list[pa.Array] = []
        names = set(attributes.key_names) if len(attributes.row_of) else set()
        found += [self._without_noise(attributes.texts(key)) for key in NAMING_KEYS if key in names]
        for key in CONTENT_KEYS:
            if key in names:
                values = attributes.texts(key)
                if values is not None:
                    encoded = values.dictionary_encode()
                    texts = [content_text(t)[:_CONTENT_CHARACTERS] for t in encoded.dictionary.to_pylist()]
                    found.append(pa.array(texts, pa.string()).take(encoded.indices))
        return found

    def _event_parts(self, events: pa.ListArray, attributes: AttributeLists) -> list[pa.Array]:
        """Return exception types and messages, then event names, joined per span."""
        pieces = []
        for key in ("exception.type", "exception.message"):
            values = attributes.texts(key)
            if values is not None:
                pieces.append(_cut(values, _CONTENT_CHARACTERS))
        pieces.append(_cut(events.flatten().field("name"), _NAME_CHARACTERS))
        return [_joined_lists(events, piece) for piece in pieces]

    def _general(self, attributes: AttributeLists) -> pa.Array:
        """Return "key value" of the short string attributes that no convention names, joined per row."""
        if not len(attributes.row_of):
            return pa.nulls(len(attributes), pa.string())
        wanted = np.array([is_general(name) for name in attributes.key_names], dtype=np.bool_)
        strings = attributes.values.field("string_value")
        chosen = wanted[attributes.codes] & strings.is_valid().to_numpy(zero_copy_only=False)
        chosen[chosen] = pc.less_equal(
            pc.binary_length(strings.filter(pa.array(chosen))), _GENERAL_CHARACTERS
        ).to_numpy(zero_copy_only=False)
        places = np.flatnonzero(chosen)
        if not len(places):
            return pa.nulls(len(attributes), pa.string())
        values = self._without_noise(strings.take(pa.array(places)))
        keys = pa.array(attributes.key_names, pa.string()).take(pa.array(attributes.codes[places]))
        pairs = pc.binary_join_element_wise(keys, values, " ")
        kept = pairs.is_valid().to_numpy(zero_copy_only=False)
        rows = attributes.row_of[places[kept]]
        offsets = np.searchsorted(rows, np.arange(len(attributes) + 1)).astype(np.int32)
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), pairs.drop_null()), " ")

    def _without_noise(self, values: pa.Array | None) -> pa.Array:
        """Return the values, null where one is an id, a hash or redacted."""
        if values is None:
            return pa.nulls(0, pa.string())
        encoded = _cut(values, _NAME_CHARACTERS).dictionary_encode()
        kept = [None if self._is_noise(text) else text for text in encoded.dictionary.to_pylist()]
        return pa.array(kept, pa.string()).take(encoded.indices)

    def _is_noise(self, text: str) -> bool:
        known = self._noise.get(text)
        if known is None:
            known = is_noise_value(text)
            if len(self._noise) > _CACHE_TEXTS:
                self._noise.clear()
            self._noise[text] = known
        return known

    def _ids(self, lines: pa.StringArray) -> pa.Array:
        """Return the text id of each line, and keep what the batch's rows of ``texts`` are made of."""
        encoded = _cut(lines, _LINE_CHARACTERS).dictionary_encode()
        originals = encoded.dictionary.to_pylist()
        found = [self._known_text(raw) for raw in originals]
        for raw, (digest, form) in zip(originals, found, strict=True):
            self._distinct.rows.setdefault(digest, (raw, form))
        digests = [digest for digest, _ in found]
        return uuids_of(digests, encoded.indices.to_numpy(zero_copy_only=False))

    def _known_text(self, raw: str) -> tuple[bytes, str]:
        found = self._known.get(raw)
        if found is None:
            form = model_text(raw)
            found = (text_digest(form), form)
            if len(raw) < 2000:
                self._known[raw] = found
                if len(self._known) > _CACHE_TEXTS:
                    self._known.popitem(last=False)
        return found


def _cut(values: pa.StringArray, characters: int) -> pa.StringArray:
    """Return the values, the long ones cut; the usual array has none and is returned as it is."""
    longest = pc.max(pc.binary_length(values)).as_py()
    if longest is None or longest <= characters:
        return values
    return pc.utf8_slice_codeunits(values, 0, characters)


def _joined(parts: list[pa.Array]) -> pa.StringArray:
    """Return the parts of each row, one space between, without those that are null or empty."""
    present = [p for p in parts if p.null_count < len(p)]
    nullable = [pc.if_else(pc.equal(p, ""), pa.scalar(None, pa.string()), p) for p in present]
    if nullable[0].null_count:  # Arrow leaves out a row without any part instead of joining it to ""
        nothing = pc.is_null(pc.coalesce(*nullable))
        nullable[0] = pc.if_else(nothing, "", nullable[0])
    return pc.binary_join_element_wise(*nullable, " ", null_handling="skip")


def _joined_lists(lists: pa.ListArray, pieces: pa.StringArray) -> pa.StringArray:
    rows = parents(lists)[pieces.is_valid().to_numpy(zero_copy_only=False)]
    offsets = np.searchsorted(rows, np.arange(len(lists) + 1)).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), pieces.drop_null()), " ")
