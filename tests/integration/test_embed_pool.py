"""The embedding pool with the real model, in real processes."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from receiver.config import EmbedConfig
from receiver.embed import model as model_module
from receiver.embed.int8_support import int8_is_exact
from receiver.embed.pool import EmbedderPool
from receiver.errors import EmbeddingFailedError, EmbeddingUnavailableError

pytestmark = pytest.mark.model


def _runs(pid: int) -> bool:
    """Return True if the process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _of_process(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pool() -> Iterator[EmbedderPool]:
    """Give a pool whose model is loaded: that takes seconds, so once for all."""
    shared = EmbedderPool(EmbedConfig(batch_texts=4))

    async def load() -> None:
        await shared.start()
        await shared.embed(["warm"])

    asyncio.run(load())
    yield shared
    asyncio.run(shared.close())


async def test_the_identity_names_model_digest_and_dimension(pool: EmbedderPool) -> None:
    """Vectors are marked with what they were made by."""
    precision = ":int8.1" if int8_is_exact() else ""
    assert pool.model == f"all-MiniLM-L6-v2@53aa51172d14:384:normalized{precision}"
    assert (pool.available, pool.unavailable_reason, pool.dimension) == (True, None, 384)


async def test_vectors_are_float32_of_unit_length_in_the_order_of_the_texts(pool: EmbedderPool) -> None:
    """More texts than one batch come back complete and in order."""
    texts = [
        f"request number {word} failed" for word in ("one", "two", "three", "four", "five", "six", "seven")
    ]
    vectors = await pool.embed(texts)
    assert [(v.shape, v.dtype) for v in vectors] == [((1, 384), np.dtype(np.float32))] * 7
    assert np.allclose(np.linalg.norm(np.concatenate(vectors), axis=1), 1.0, atol=1e-5)
    (third,) = await pool.embed([texts[2]])
    assert int(np.argmax(np.concatenate(vectors) @ third[0])) == 2
    assert await pool.embed([]) == []


async def test_the_same_text_has_the_same_vector(pool: EmbedderPool) -> None:
    """What a text is batched with does not change what it means."""
    (alone,) = await pool.embed(["payment was declined"])
    among, *_ = await pool.embed(["payment was declined", "a much longer text about something else " * 5])
    assert np.allclose(alone, among, atol=1e-5)


async def test_a_paraphrase_is_nearer_than_another_subject(pool: EmbedderPool) -> None:
    """It is the meaning that counts: no word of the question stands in the text it finds."""
    question, same, other = await pool.embed(
        ["buying something went wrong", "Place Order checkout failed", "garbage collection pause of the JVM"]
    )
    assert float(question[0] @ same[0]) > float(question[0] @ other[0]) + 0.1


async def test_a_long_text_is_found_by_any_of_its_chunks(pool: EmbedderPool) -> None:
    """What stands far beyond the 256 tokens that the model reads has a vector of its own."""
    filler = "the cache was refreshed and the configuration was read again without any change "
    needle = "the credit card was declined by the bank "
    (long,) = await pool.embed([filler * 50 + needle * 8 + filler * 5])
    (question,) = await pool.embed(["credit card declined"])
    (first,) = await pool.embed([filler * 12])
    assert 3 <= len(long) <= 8
    cosines = long @ question[0]
    assert int(np.argmax(cosines)) > 0
    assert float(cosines.max()) > float(first[0] @ question[0]) + 0.2


async def test_a_text_beyond_all_chunks_is_counted_as_cut(pool: EmbedderPool) -> None:
    """No more than eight vectors for a text, and the receiver knows that there was more."""
    before = pool.cut_texts
    (vectors,) = await pool.embed([" ".join(f"step {n} of the plan" for n in range(2000))])
    assert len(vectors) == 8
    assert pool.cut_texts == before + 1


async def test_a_text_that_the_model_cannot_read_fails_alone(pool: EmbedderPool) -> None:
    """An error of the model is told to the caller; the process lives and does the next batch."""
    pids = pool.worker_pids
    with pytest.raises(EmbeddingFailedError):
        await pool.embed(["\ud800" * 300])
    assert len(await pool.embed(["next"])) == 1
    assert pool.worker_pids == pids


async def test_an_urgent_text_goes_before_the_backlog(pool: EmbedderPool) -> None:
    """A question waits for the batch in hand, not for those behind it."""
    order: list[str] = []

    async def embed(name: str, texts: list[str], *, urgent: bool) -> None:
        await pool.embed(texts, urgent=urgent)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(embed(f"backlog {number}", ["a slow text " * 60] * 4, urgent=False))
        group.create_task(embed("question", ["what failed?"], urgent=True))
    assert order.index("question") <= 1


async def test_a_killed_worker_is_replaced(pool: EmbedderPool) -> None:
    """The batch after a SIGKILL is done by a fresh process; the caller notices nothing but the time."""
    (pid,) = pool.worker_pids
    os.kill(pid, signal.SIGKILL)
    (vectors,) = await pool.embed(["after the crash"])
    assert vectors.shape == (1, 384)
    assert pool.worker_pids != [pid]
    assert not _runs(pid)


async def test_the_worker_has_a_low_priority_and_is_small(pool: EmbedderPool) -> None:
    """A backlog never slows the ingest; torch is in neither process."""
    (pid,) = pool.worker_pids
    await pool.embed([f"a text of many tokens, number {number} " * 60 for number in range(8)])
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10
    assert "torch" not in sys.modules
    assert "/torch/" not in _of_process(pid, "maps")
    peak = re.search(r"VmHWM:\s+(\d+) kB", _of_process(pid, "status"))
    assert peak is not None
    assert int(peak[1]) < 400_000


async def test_onnxruntime_and_torch_give_the_same_vectors(pool: EmbedderPool) -> None:
    """In full precision to six digits; the usual precision is near enough to find the same texts."""
    texts = ["payment was declined", "Ünïcode 東京 \U0001f600 <b>", "", "retry " * 150]
    found = {}
    for runtime in ("onnx", "sentence-transformers"):
        other = EmbedderPool(EmbedConfig(runtime=runtime, precision="full"))
        await other.start()
        assert other.model == "all-MiniLM-L6-v2@53aa51172d14:384:normalized"
        found[runtime] = np.concatenate(await other.embed(texts))
        await other.close()
    assert np.allclose(found["onnx"], found["sentence-transformers"], atol=1e-5)
    usual = np.concatenate(await pool.embed(texts))
    assert np.all((usual * found["onnx"]).sum(axis=1) > 0.99)


async def test_close_leaves_no_process_and_what_waits_is_told() -> None:
    """A pool that is closed while its model is loading ends at once, worker and waiting batches alike."""
    pool = EmbedderPool(EmbedConfig())
    await pool.start()
    assert pool.worker_pids == []
    batches = [asyncio.create_task(pool.embed(["text"])) for _ in range(3)]
    while not pool.worker_pids:  # noqa: ASYNC110 - the thread that starts the process tells nobody
        await asyncio.sleep(0)
    (pid,) = pool.worker_pids
    await pool.close()
    assert not _runs(pid)
    assert pool.worker_pids == []
    outcomes = await asyncio.gather(*batches, return_exceptions=True)
    assert all(isinstance(outcome, EmbeddingUnavailableError) for outcome in outcomes)
    with pytest.raises(EmbeddingUnavailableError, match="stopping"):
        await pool.embed(["text"])
    await pool.close()


def test_a_worker_ends_when_the_receiver_is_killed() -> None:
    """Even kill -9 of the receiver leaves no worker behind, not even one that is loading its model."""
    program = (
        "import asyncio\n"
        "from receiver.config import EmbedConfig\n"
        "from receiver.embed.pool import EmbedderPool\n"
        "async def main():\n"
        "    pool = EmbedderPool(EmbedConfig())\n"
        "    await pool.start()\n"
        "    task = asyncio.create_task(pool.embed(['text']))\n"
        "    while not pool.worker_pids:\n"
        "        await asyncio.sleep(0)\n"
        "    print(pool.worker_pids[0], flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        try:
            watched = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # it was faster than we are
    try:
        assert select.select([watched], [], [], 60)[0], "the worker outlived the receiver by a minute"
    finally:
        os.close(watched)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (EmbedConfig(enabled=False), "switched off"),
        (EmbedConfig(model_path="no/such/folder"), "no model weights"),
    ],
)
async def test_without_a_model_the_reason_is_said(config: EmbedConfig, reason: str) -> None:
    """Search by meaning is off, a person is told why, and an embedding is refused with the same words."""
    pool = EmbedderPool(config)
    await pool.start()
    assert not pool.available
    assert reason in str(pool.unavailable_reason)
    with pytest.raises(EmbeddingUnavailableError, match=reason):
        await pool.embed(["text"])
    await pool.close()


async def test_without_the_extra_the_reason_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base installation has neither onnxruntime nor torch; that is no error, and the remedy is named."""
    monkeypatch.setattr(model_module, "GRAPH_MODULES", ("onnxruntime", "no_such_module"))
    monkeypatch.setattr(model_module, "TORCH_MODULES", ("torch", "no_such_module"))
    pool = EmbedderPool(EmbedConfig())
    await pool.start()
    assert str(pool.unavailable_reason) == "no_such_module not installed; pip install 'otlp-receiver[embed]'"


async def test_a_model_that_cannot_be_loaded_makes_the_pool_unavailable_for_a_while(tmp_path: Path) -> None:
    """The reason is the library's; the back-off keeps a broken model from being loaded again and again."""
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"not weights")
    (tmp_path / "config.json").write_text('{"hidden_size": 384, "model_type": "mpnet"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "modules.json").write_text(
        '[{"path": "", "type": "Transformer"}, {"path": "1", "type": "Pooling"}]'
    )
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    pool = EmbedderPool(EmbedConfig(model_path=str(tmp_path)))
    await pool.start()
    assert pool.available
    with pytest.raises(EmbeddingUnavailableError, match="could not be started"):
        await pool.embed(["text"])
    assert "could not be kept running" in str(pool.unavailable_reason)
    assert pool.worker_pids == []
    await pool.close()
