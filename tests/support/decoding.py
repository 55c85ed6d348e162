"""A decoder and a flattener with their usual settings, and what a test asks of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from receiver.config import LimitsConfig
from receiver.decode.attribute_lists import FlattenConnection
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
from receiver.errors import PermanentError
from receiver.ports import DecodedGroup, Encoding, ExportRequest, Verdict
from receiver.signals import Signal
from tests.support.table_parts import rows_of


class Decoding:
    """Decodes requests and flattens what was accepted."""

    def __init__(self, **limits: Any) -> None:
        """Use the default limits but for those given."""
        self._nested = NestedValues()
        self.decoder = ColumnDecoder(LimitsConfig(**limits), self._nested)
        self._flattener = ColumnFlattener(self._nested, FlattenConnection())

    def group(
        self, signal: Signal, *bodies: bytes, encoding: Encoding = Encoding.PROTOBUF
    ) -> tuple[DecodedGroup, dict[str, list[dict[str, Any]]]]:
        """Return what came of one group and its rows by table."""
        decoded = self.decoder.decode([ExportRequest(signal, body, encoding) for body in bodies])
        tables: dict[str, pa.Table] = rows_of(self._flattener.parts(list(decoded.columns)))
        return decoded, {name: table.to_pylist() for name, table in tables.items()}

    def accepted(self, signal: Signal, body: bytes) -> tuple[Verdict, dict[str, list[dict[str, Any]]]]:
        """Return the verdict on one acceptable request and its rows.

        The payload of the verdict must say exactly the same: that is what a replay from the spool decodes.
        """
        decoded, rows = self.group(signal, body)
        verdict = decoded.verdicts[0]
        assert isinstance(verdict, Verdict), verdict
        again, replayed = self.group(signal, verdict.payload)
        second = again.verdicts[0]
        assert isinstance(second, Verdict)
        assert (second.records, second.outcome.rejected) == (verdict.records, 0)
        assert second.payload == verdict.payload
        assert replayed == rows
        return verdict, rows

    def refused(self, signal: Signal, body: bytes) -> PermanentError:
        """Return the error for a request that is refused as a whole."""
        verdict = self.decoder.decode([ExportRequest(signal, body)]).verdicts[0]
        assert isinstance(verdict, PermanentError), verdict
        return verdict

    def close(self) -> None:
        """Free the flattener's connection."""
        self._flattener.close()
