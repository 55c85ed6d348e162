"""Decoding with the usual settings, and what a test asks of it; where it was built, the compiled route must agree."""

from __future__ import annotations

from typing import Any

from receiver.config import LimitsConfig
from receiver.errors import PermanentError
from receiver.ports import DecodedGroup, Encoding, ExportRequest, Verdict
from receiver.signals import Signal
from tests.support.decode_routes import DecodeRoutes


class Decoding:
    """Decodes requests and flattens what was accepted, on both routes."""

    def __init__(self, **limits: Any) -> None:
        """Use the default limits but for those given."""
        self._routes = DecodeRoutes(LimitsConfig(**limits))

    def group(
        self, signal: Signal, *bodies: bytes, encoding: Encoding = Encoding.PROTOBUF
    ) -> tuple[DecodedGroup, dict[str, list[dict[str, Any]]]]:
        """Return what came of one group and its rows by table."""
        decoded, tables, _ = self._routes.decode([ExportRequest(signal, body, encoding) for body in bodies])
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
        verdict = self.group(signal, body)[0].verdicts[0]
        assert isinstance(verdict, PermanentError), verdict
        return verdict

    def close(self) -> None:
        """Free the flatteners' connections."""
        self._routes.close()
