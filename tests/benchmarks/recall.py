"""What the graph of vectors finds of what an exact search finds, over links and candidates.

    python -m tests.benchmarks.recall [FOLDER] [--graph 16,128 --graph 32,256] [--search 96 --search 512] [--texts N]

FOLDER is a data directory that tests.benchmarks.store_filler has filled and nobody has open; without it the real model
embeds N docstrings of Python's library and sentences of docs/. Three kinds of questions: short ones of a user, docstrings of a
library that is not among the texts, and texts themselves, slightly moved. Times are CPU time of one thread.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import re
import sysconfig
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from receiver.config import EmbedConfig
from receiver.embed import vector_sets
from receiver.embed.pool import EmbedderPool
from receiver.embed.vector_sets import GraphSet
from tests.benchmarks.embedding import sentences
from tests.benchmarks.queries import QUESTIONS

_Vectors = NDArray[np.float32]
_NEAREST = 10
_OTHERS = 180
_STRANGE = ("pydantic", "starlette", "networkx", "click")


def docstrings(folder: Path) -> Iterator[str]:
    """Yield the sentences of a package's docstrings."""
    for file in sorted(folder.rglob("*.py")):
        if {"test", "tests", "site-packages"} & set(file.relative_to(folder).parts):
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for piece in re.split(r"(?<=[.:;!?])\s+|\n\n", ast.get_docstring(node) or ""):
                    if len(piece) > 20 and re.search(r"[a-z]{3} [a-zA-Z]{2}", piece):
                        yield " ".join(piece.split())[:300]


def _shuffled(texts: Iterator[str], count: int, without: set[str]) -> list[str]:
    distinct = [each for each in dict.fromkeys(texts) if each not in without]
    return [distinct[place] for place in np.random.default_rng(7).permutation(len(distinct))[:count]]


async def _embedded(texts: list[str]) -> _Vectors:
    pool = EmbedderPool(EmbedConfig())
    await pool.start()
    try:
        found = [
            chunks[0] for at in range(0, len(texts), 500) for chunks in await pool.embed(texts[at : at + 500])
        ]
    finally:
        await pool.close()
    return np.stack(found)


def _stored(folder: Path) -> _Vectors:
    with duckdb.connect(str(folder / "telemetry.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT vector FROM embeddings ORDER BY rowid").fetchnumpy()
    return np.array(rows["vector"].tolist(), dtype=np.float32)


def moved(vectors: _Vectors) -> _Vectors:
    """Return some of them with a little noise, of unit length."""
    chance = np.random.default_rng(4)
    near = vectors[chance.integers(0, len(vectors), _OTHERS)]
    near = near + chance.standard_normal(near.shape, dtype=np.float32) * np.float32(0.02)
    unit: _Vectors = near / np.linalg.norm(near, axis=1, keepdims=True)
    return unit


def measure(
    vectors: _Vectors, asked: dict[str, _Vectors], graph: tuple[int, int], searches: list[int]
) -> None:
    """Build one graph and print a row for each number of candidates."""
    vector_sets.GRAPH_CONNECTIVITY, vector_sets.GRAPH_EXPANSION_ADD = graph
    exact = {kind: np.argpartition(-(each @ vectors.T), _NEAREST, axis=1) for kind, each in asked.items()}
    built = GraphSet(vectors.shape[1])
    begun = time.thread_time()
    built.add(np.arange(len(vectors), dtype=np.uint64), vectors)
    took = time.thread_time() - begun
    size = f"{len(built.to_bytes()) / 1e6:.0f}"
    for candidates in searches:
        built._graph.expansion_search = candidates
        cells, times = [], []
        for kind, questions in asked.items():
            hits = 0
            for question, order in zip(questions, exact[kind], strict=True):
                begun = time.thread_time()
                keys, _ = built.search(question, 2 * _NEAREST)
                times.append(time.thread_time() - begun)
                hits += len(set(keys[:_NEAREST].tolist()) & set(order[:_NEAREST].tolist()))
            cells.append(f"{hits / (_NEAREST * len(questions)):.3f}")
        p50, p99 = np.percentile(times, (50, 99)) * 1e3
        row = (*graph, candidates, *cells, f"{p50:.2f}, {p99:.2f}", f"{took:.0f}", size)
        print("|", " | ".join(map(str, row)), "|", flush=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="filled data directory")
    parser.add_argument("--graph", action="append", help="links and candidates of building, with a comma")
    parser.add_argument("--search", action="append", type=int, help="candidates of a search")
    parser.add_argument("--texts", type=int, default=20_000, help="texts to embed where there is no folder")
    options = parser.parse_args()
    library = Path(sysconfig.get_paths()["stdlib"])
    texts: list[str] = []
    if options.folder is None:
        texts = _shuffled(
            (each for part in (sentences(), docstrings(library)) for each in part), options.texts, set()
        )
    places = [Path(spec.origin).parent for spec in map(find_spec, _STRANGE) if spec and spec.origin]
    strange = _shuffled((each for place in places for each in docstrings(place)), _OTHERS, set(texts))
    embedded = asyncio.run(_embedded([*QUESTIONS, *strange, *texts]))
    vectors = _stored(options.folder) if options.folder else embedded[len(QUESTIONS) + len(strange) :]
    asked = {
        "questions": embedded[: len(QUESTIONS)],
        "strange": embedded[len(QUESTIONS) : len(QUESTIONS) + len(strange)],
        "texts, moved": moved(vectors),
    }
    present = f"{vector_sets.GRAPH_CONNECTIVITY},{vector_sets.GRAPH_EXPANSION_ADD}"
    print(f"{len(vectors):,} vectors; recall@{_NEAREST}\n")
    print(
        f"| links | candidates, building | searching | {' | '.join(asked)} | p50, p99, ms | build, CPU s | MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for graph in options.graph or [present]:
        links, candidates = map(int, graph.split(","))
        measure(vectors, asked, (links, candidates), options.search or [vector_sets.GRAPH_EXPANSION_SEARCH])


if __name__ == "__main__":
    main()
