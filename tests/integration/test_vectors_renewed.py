"""A store whose texts have vectors of another precision of the model, as after an upgrade."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from receiver.app.embedded import EmbeddedReceiver
from receiver.config import Settings
from receiver.embed.int8_support import int8_is_exact
from receiver.ports import ExportRequest
from receiver.signals import Signal
from tests.support.otlp_requests import logs

pytestmark = pytest.mark.model
_TEXTS = ("the credit card was declined", "garbage collection took two seconds")


async def _opened(folder: Path, precision: str) -> EmbeddedReceiver:
    embed = {"enabled": True, "on_demand": True, "precision": precision}
    return await EmbeddedReceiver.open(Settings.model_validate({"data_dir": str(folder), "embed": embed}))


@pytest.mark.skipif(
    not int8_is_exact(), reason="this processor has no instructions for 8 bits: one precision only"
)
async def test_texts_are_found_by_meaning_before_they_have_their_new_vectors(tmp_path: Path) -> None:
    """Search goes on with the vectors that are there, says nothing is left out, and ends with the new ones only."""
    access = await _opened(tmp_path, "full")
    records = (
        LogRecord(time_unix_nano=1 + number, body=AnyValue(string_value=text))
        for number, text in enumerate(_TEXTS)
    )
    request = ExportRequest(Signal.LOGS, logs(*records))
    await access.receiver.intake.accept(request, wait_s=10)
    await access.flush(embeddings=True)
    await access.close()

    access = await _opened(tmp_path, "auto")
    service, vectors = access.receiver.answering.service, access.receiver.answering.vectors
    before = await service.search("payment refused by the bank", limit=1)
    assert (before.mode, before.pending, before.note) == ("meaning", 2, None)
    assert (len(vectors), vectors.stand_ins) == (2, 2)
    await access.flush(embeddings=True)
    after = await service.search("payment refused by the bank", limit=1)
    assert (after.mode, after.pending, len(vectors), vectors.stand_ins) == ("meaning", 0, 2, 0)
    assert [found["text"] for found in (*before.results, *after.results)] == [_TEXTS[0]] * 2
    await access.close()


async def test_an_index_that_was_made_from_the_store_is_kept(tmp_path: Path) -> None:
    """Its file was lost: the start that makes it anew saves it, so that the next one reads it."""
    access = await _opened(tmp_path, "auto")
    index = access.receiver.settings.index_path
    request = ExportRequest(
        Signal.LOGS, logs(LogRecord(time_unix_nano=1, body=AnyValue(string_value=_TEXTS[0])))
    )
    await access.receiver.intake.accept(request, wait_s=10)
    await access.flush(embeddings=True)
    await access.close()
    index.unlink()

    access = await _opened(tmp_path, "auto")
    await access.receiver.answering.vectors.wait_idle()
    await access.close()
    assert index.exists()
    made_at = index.stat().st_mtime_ns
    access = await _opened(tmp_path, "auto")
    await access.receiver.answering.vectors.wait_idle()
    assert len(access.receiver.answering.vectors) == 1
    await access.close()
    assert index.stat().st_mtime_ns == made_at
