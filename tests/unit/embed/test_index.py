"""Rules of the vector index."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.embed import index as index_module
from receiver.embed.index import VectorIndex
from receiver.embed.vector_sets import GraphSet

_MODEL = "test@0:32:normalized"
_DIMENSION = 32


def _clustered(count: int, dimension: int = _DIMENSION, *, seed: int = 1) -> NDArray[np.float32]:
    """Unit vectors in clusters, as texts about the same things are."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(2, count // 50), dimension))
    vectors = centres[random.integers(0, len(centres), count)] + 0.6 * random.normal(size=(count, dimension))
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _ids(count: int, start: int = 0) -> list[UUID]:
    return [UUID(int=start + n + 1) for n in range(count)]


def _index(path: Path | None = None, *, count: int = 0) -> VectorIndex:
    index = VectorIndex(path, _DIMENSION, _MODEL)
    index.add(_ids(count), list(_clustered(count)) if count else [])
    return index


@pytest.fixture(params=["exact", "graph"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the test run with 300 vectors in either kind of set."""
    monkeypatch.setattr(index_module, "EXACT_VECTORS", 100 if request.param == "graph" else 1000)
    return str(request.param)


def test_a_vector_finds_itself_first(kind: str) -> None:
    """The nearest text to a text's own vector is that text, with a cosine of 1."""
    vectors = _clustered(300)
    index = _index(count=300)
    assert isinstance(index._set, GraphSet) == (kind == "graph")
    for number in (0, 123, 299):
        (found, cosine), *_ = index.search(vectors[number], 5)
        assert found == _ids(300)[number]
        assert cosine == pytest.approx(1.0, abs=2e-3)


def test_results_are_sorted_and_no_more_than_asked_for(kind: str) -> None:
    """Nearest first; a limit above the number of texts gives all of them; a limit of 0 none."""
    index = _index(count=300)
    vector = _clustered(1, seed=2)[0]
    cosines = [cosine for _, cosine in index.search(vector, 20)]
    assert len(cosines) == 20
    assert cosines == sorted(cosines, reverse=True)
    assert len(index.search(vector, 1000)) == 300
    assert index.search(vector, 0) == []


def test_the_best_chunk_of_a_text_counts_and_the_text_stands_once(kind: str) -> None:
    """A long text with many near chunks takes one place, with its nearest chunk's cosine."""
    index = _index(count=300)
    vector = _clustered(1, seed=3)[0]
    near = np.stack([vector + np.float32(0.05 * n) * _clustered(1, seed=4)[0] for n in range(8)])
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    index.add([UUID(int=9000)], [near])
    found = index.search(vector, 3)
    assert found[0][0] == UUID(int=9000)
    assert found[0][1] == pytest.approx(1.0, abs=2e-3)
    assert len({text_id for text_id, _ in found}) == 3


def test_a_removed_text_is_not_found_again(kind: str) -> None:
    """Retention takes texts out; the others stay, and an unknown one is passed over."""
    index = _index(count=300)
    vectors = _clustered(300)
    index.remove([*_ids(10), UUID(int=77777)])
    assert len(index) == 290
    assert UUID(int=1) not in index
    assert _ids(1)[0] not in [text_id for text_id, _ in index.search(vectors[0], 290)]
    assert index.search(vectors[200], 1)[0][0] == _ids(300)[200]


def test_a_removed_text_may_come_back(kind: str) -> None:
    """The same text can be seen again after retention."""
    index = _index(count=300)
    vectors = _clustered(300)
    index.remove(_ids(300)[5:6])
    index.add(_ids(300)[5:6], [vectors[5]])
    assert index.search(vectors[5], 1)[0][0] == _ids(300)[5]


def test_a_text_keeps_its_first_vectors(kind: str) -> None:
    """Adding what is there, or the same twice in one call, changes nothing: rebuilding may overlap."""
    index = _index(count=300)
    vectors = _clustered(300)
    new = _clustered(1, seed=9)[0]
    index.add([*_ids(300), UUID(int=9000), UUID(int=9000)], [*vectors, new, vectors[0]])
    assert len(index) == 301
    assert index.text_ids() == {*_ids(300), UUID(int=9000)}


def test_wrong_shapes_are_refused_and_nothing_is_added() -> None:
    """A vector of another model never gets in."""
    index = _index(count=3)
    with pytest.raises(ValueError, match="32 numbers"):
        index.add(_ids(2, start=10), [np.zeros(32, np.float32), np.zeros(31, np.float32)])
    with pytest.raises(ValueError, match="wanted 1 arrays"):
        index.add(_ids(1, start=10), [])
    assert len(index) == 3


def test_an_empty_index_finds_nothing() -> None:
    """A search before the first text is an answer, not an error."""
    assert _index().search(_clustered(1)[0], 10) == []


def test_texts_that_are_named_are_compared_as_a_search_compares_them(kind: str, tmp_path: Path) -> None:
    """Of each named text the cosine that a search gives, of others none, after a change and from the file as well."""
    index = _index(tmp_path / "vectors.usearch", count=300)
    vector = _clustered(1, seed=5)[0]
    index.add([UUID(int=5 << 64 | 9000)], [_clustered(4, seed=6)])
    index.remove(_ids(300)[:3])
    index.save()
    for _ in range(2):
        found = index.search(vector, 298)
        lows = np.array([text_id.int % 2**64 for text_id, _ in found], dtype=np.uint64)
        assert len(lows) == 298
        assert index.similarities(vector, lows) == pytest.approx([cosine for _, cosine in found], abs=1e-6)
        unknown = np.array([1, 12345, 4], dtype=np.uint64)  # the first was removed, the second never there
        assert np.isfinite(index.similarities(vector, unknown)).tolist() == [False, False, True]
        assert index.similarities(vector, unknown[:0]).tolist() == []
        assert index.load()


def test_the_graph_finds_what_exact_search_finds() -> None:
    """Recall@10 is at least 0.97 where texts stand in dense groups and questions far from all of them."""
    random = np.random.default_rng(1)
    groups = random.normal(size=(30, 384)) / 384**0.5
    texts = np.repeat(groups, 200, axis=0) + 0.35 * random.normal(size=(6_000, 384)) / 384**0.5
    questions = 0.5 * groups[random.integers(0, 30, 100)] + 0.87 * random.normal(size=(100, 384)) / 384**0.5
    vectors = (texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32)
    questions = (questions / np.linalg.norm(questions, axis=1, keepdims=True)).astype(np.float32)
    index = VectorIndex(None, 384, _MODEL)
    ids = _ids(6_000)
    for at in range(0, 6_000, 1_000):
        index.add(ids[at : at + 1_000], list(vectors[at : at + 1_000]))
    assert isinstance(index._set, GraphSet)
    nearest = np.argsort(-(questions @ vectors.T), axis=1)[:, :10]
    hits = sum(
        len({ids[n] for n in exact} & {text_id for text_id, _ in index.search(question, 10)})
        for question, exact in zip(questions, nearest.tolist(), strict=True)
    )
    assert hits / 1000 >= 0.97


def test_without_usearch_any_number_is_searched_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is an extra: the index works without it."""
    monkeypatch.setattr(index_module, "EXACT_VECTORS", 100)
    monkeypatch.setattr(index_module, "GRAPH_INSTALLED", False)
    index = _index(count=300)
    assert not isinstance(index._set, GraphSet)
    assert index.search(_clustered(300)[7], 1)[0][0] == _ids(300)[7]


def test_a_saved_index_comes_back_the_same(kind: str, tmp_path: Path) -> None:
    """After save and load a search gives the same, chunks belong to their texts, and adding goes on."""
    path = tmp_path / "vectors.usearch"
    index = _index(path, count=300)
    index.add([UUID(int=9000)], [_clustered(4, seed=6)])
    index.remove(_ids(5))
    index.save()
    again = VectorIndex(path, _DIMENSION, _MODEL)
    assert again.load()
    question = _clustered(1, seed=8)[0]
    assert again.search(question, 10) == index.search(question, 10)
    assert again.text_ids() == index.text_ids()
    again.remove([UUID(int=9000)])
    assert len(again) == 295
    again.add(_ids(5), list(_clustered(300)[:5]))
    assert again.search(_clustered(300)[3], 1)[0][0] == _ids(5)[3]


def test_a_discarded_file_is_gone_and_the_index_is_not(tmp_path: Path) -> None:
    """Before vectors change the file goes: an end without saving must not bring the old ones back."""
    path = tmp_path / "vectors.usearch"
    index = _index(path, count=3)
    index.discard_file()
    index.save()
    index.discard_file()
    assert not path.exists()
    assert len(index) == 3
    _index(None).discard_file()


def test_an_empty_index_can_be_saved(tmp_path: Path) -> None:
    """A stop before the first text is no error, neither then nor at the next start."""
    index = _index(tmp_path / "v")
    index.save()
    assert index.load()
    assert len(index) == 0


def test_without_a_file_there_is_nothing_to_load(tmp_path: Path) -> None:
    """A first start, or a deleted cache, is rebuilt from the store."""
    assert not _index(tmp_path / "missing").load()
    assert not _index(None).load()


@pytest.mark.parametrize(
    "damage",
    ["garbage", "empty", "cut", "flipped", "other model", "other dimension", "no header", "other count"],
)
def test_a_file_that_does_not_fit_is_refused(
    kind: str, damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is only a cache: anything wrong with it leaves an empty index, a reason in the log, and False."""
    path = tmp_path / "vectors.usearch"
    _index(path, count=300).save()
    whole = path.read_bytes()
    line, body = whole.split(b"\n", 1)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    header = json.loads(line)
    damaged = {
        "garbage": b"\x00\xff" * 1000,
        "empty": b"",
        "cut": whole[: len(whole) // 3],
        "flipped": bytes(flipped),
        "other model": json.dumps(header | {"model": "other"}).encode() + b"\n" + body,
        "other dimension": json.dumps(header | {"dimension": 16}).encode() + b"\n" + body,
        "no header": b"[]\n" + body,
        "other count": json.dumps(header | {"vectors": 299}).encode() + b"\n" + body,
    }
    path.write_bytes(damaged[damage])
    index = _index(path, count=3)
    assert not index.load()
    assert len(index) == 0
    assert index.text_ids() == set()
    assert "is not used" in caplog.text


def test_a_graph_file_without_usearch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file from an installation with the extra does not stop one without."""
    monkeypatch.setattr(index_module, "EXACT_VECTORS", 100)
    path = tmp_path / "vectors.usearch"
    _index(path, count=300).save()
    monkeypatch.setattr(index_module, "GRAPH_INSTALLED", False)
    assert not VectorIndex(path, _DIMENSION, _MODEL).load()


def test_a_file_of_other_parameters_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A graph with fewer links, of another release, would find less than is promised: it is built anew."""
    path = tmp_path / "vectors.usearch"
    index = _index(path, count=300)
    monkeypatch.setattr(type(index._set), "layout", f"{kind} of other parameters")
    index.save()
    assert not VectorIndex(path, _DIMENSION, _MODEL).load()
    assert f"'{kind} of other parameters'" in caplog.text


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    """The file is replaced as a whole: what cannot be written does not harm what is there."""
    path = tmp_path / "vectors.usearch"
    index = _index(path, count=10)
    index.save()
    before = path.read_bytes()
    (tmp_path / "vectors.usearch.new").mkdir()
    index.add([UUID(int=9000)], [_clustered(1)[0]])
    with pytest.raises(IsADirectoryError):
        index.save()
    assert path.read_bytes() == before
