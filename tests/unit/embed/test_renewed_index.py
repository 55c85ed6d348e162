"""Rules of an index whose texts keep an older vector until they have a new one."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np

from receiver.embed.index import VectorIndex
from receiver.embed.renewed_index import RenewedIndex

_EAST, _NORTH, _WEST = (np.array(each, dtype=np.float32) for each in ([1, 0], [0, 1], [-1, 0]))
_ONE, _TWO, _THREE = UUID(int=1), UUID(int=2), UUID(int=3)


def test_a_text_is_found_by_its_older_vector_until_it_has_a_new_one() -> None:
    """Both kinds are in one ranking, and no text is in it twice."""
    index = RenewedIndex(None, 2, "new")
    index.add([_ONE], [_NORTH])
    index.stand_in([_ONE, _TWO], [_EAST, _EAST])
    assert [text for text, _ in index.search(_EAST, 5)] == [_TWO, _ONE]
    assert (len(index), index.stand_ins, index.text_ids()) == (2, 1, {_ONE})
    index.add([_TWO], [_WEST])
    assert [text for text, _ in index.search(_EAST, 5)] == [_ONE, _TWO]
    assert (len(index), index.stand_ins) == (2, 0)


def test_a_named_text_is_compared_by_the_vector_that_it_is_found_by() -> None:
    """The older one, until there is a new one."""
    index = RenewedIndex(None, 2, "new")
    index.add([_ONE], [_NORTH])
    index.stand_in([_TWO], [_EAST])
    texts = np.array([1, 2, 3], dtype=np.uint64)
    assert index.similarities(_EAST, texts).tolist() == [0.0, 1.0, -np.inf]
    index.add([_TWO], [_WEST])
    assert index.similarities(_EAST, texts).tolist() == [0.0, -1.0, -np.inf]


def test_a_text_that_is_gone_is_found_by_no_vector() -> None:
    """Retention takes the stand-ins along."""
    index = RenewedIndex(None, 2, "new")
    index.add([_ONE], [_NORTH])
    index.stand_in([_TWO, _THREE], [_EAST, _EAST])
    index.remove([_ONE, _TWO])
    assert index.search(_EAST, 5) == [(_THREE, 1.0)]


def test_the_file_has_no_stand_ins(tmp_path: Path) -> None:
    """A file of the present model never holds a vector of another one."""
    index = RenewedIndex(tmp_path / "index", 2, "new")
    index.add([_ONE], [_NORTH])
    index.stand_in([_TWO], [_EAST])
    index.save()
    read = VectorIndex(tmp_path / "index", 2, "new")
    assert read.load()
    assert read.text_ids() == {_ONE}
