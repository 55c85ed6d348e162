"""Rules of the frames between receiver and worker."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.embed.frames import Frame, encode_frame, read_frame


@given(st.lists(st.text(alphabet=st.characters())), st.binary())
def test_frames_come_out_as_they_went_in(texts: list[str], payload: bytes) -> None:
    """Any text, lone surrogates included, and any bytes survive, and frames do not run into each other."""
    frame = Frame({"texts": texts}, payload)
    stream = io.BytesIO(encode_frame(frame) + encode_frame(Frame({"next": 1})))
    assert read_frame(stream.read) == frame
    assert read_frame(stream.read) == Frame({"next": 1})


def test_frames_arrive_in_any_pieces() -> None:
    """A pipe gives as much as it has."""
    stream = io.BytesIO(encode_frame(Frame({"texts": ["a", "b"]}, b"\x00" * 100)))
    assert read_frame(lambda size: stream.read(min(size, 3))).payload == b"\x00" * 100


@pytest.mark.parametrize("length", [0, 3, 8, 12])
def test_a_cut_off_frame_is_the_end_of_the_other_side(length: int) -> None:
    """Half a frame is never taken for a whole one."""
    stream = io.BytesIO(encode_frame(Frame({"texts": ["a"]}, b"payload"))[:length])
    with pytest.raises(EOFError):
        read_frame(stream.read)
