"""A settings file on the disk is changed in one step, once, and never against its owner's will."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from receiver.setup import claude
from receiver.setup.errors import NotMergeableError, SetupError
from receiver.setup.options import Options
from receiver.setup.settings_file import text_of, write

_OPTIONS = Options()
_OTHER = Options(grpc_url="http://far:4317")


def put(path: Path, options: Options = _OPTIONS) -> None:
    """Write Claude Code's configuration; it must change the file."""
    assert write(path, claude.TELEMETRY, options).changes


def test_a_missing_file_is_made_with_its_folder(tmp_path: Path) -> None:
    """There is nothing to back up."""
    path = tmp_path / "new" / "folder" / "settings.json"
    written = write(path, claude.TELEMETRY, _OPTIONS)
    assert path.read_text() == claude.TELEMETRY.rendered(_OPTIONS)
    assert written.backup is None
    assert [each.name for each in path.parent.iterdir()] == ["settings.json"]


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    """The second time the file is not touched."""
    path = tmp_path / "settings.json"
    put(path)
    before = path.stat()
    assert write(path, claude.TELEMETRY, _OPTIONS).changes == ()
    assert path.stat() == before


def test_the_first_copy_is_kept(tmp_path: Path) -> None:
    """A later change does not overwrite the file as its owner had it."""
    path = tmp_path / "settings.json"
    path.write_text('{"mine": 1}')
    path.chmod(0o640)
    first = write(path, claude.TELEMETRY, _OPTIONS)
    assert first.backup == tmp_path / "settings.json.bak"
    assert write(path, claude.TELEMETRY, _OTHER).backup is None
    assert first.backup.read_text() == '{"mine": 1}'
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path, first.backup)} == {0o640}


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    """Dotfiles are often links; what they point to is changed, also where it does not exist yet."""
    real, link = tmp_path / "dotfiles" / "settings.json", tmp_path / "settings.json"
    link.symlink_to(real)
    put(link)
    put(link, _OTHER)
    assert link.is_symlink()
    assert "http://far:4317" in real.read_text()
    assert (real.parent / "settings.json.bak").exists()


def test_line_ends_are_kept(tmp_path: Path) -> None:
    """A file with CR LF has no other line end afterwards."""
    path = tmp_path / "settings.json"
    path.write_bytes(b'{\r\n  "a": 1\r\n}\r\n')
    put(path)
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n") > 3


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"a": }', "line 1, column 7"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"a": 1, // c\n}', "comments"),
        (b"\x7fELF\x00", "not JSON"),
    ],
)
def test_a_file_that_is_refused_is_not_touched(tmp_path: Path, content: bytes, why: str) -> None:
    """The message names the file; no copy and nothing half-written is left."""
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(SetupError, match=why) as refused:
        write(path, claude.TELEMETRY, _OPTIONS)
    assert str(path) in refused.value.message
    assert isinstance(refused.value, NotMergeableError) == (why == "comments")
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    """It is said, not raised."""
    with pytest.raises(SetupError, match="is not a file"):
        text_of(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """The message has the system's reason."""
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="Not a directory"):
        write(tmp_path / "file" / "settings.json", claude.TELEMETRY, _OPTIONS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    """The message has the system's reason, and nothing is left behind."""
    tmp_path.chmod(0o500)
    with pytest.raises(SetupError, match="Permission denied"):
        write(tmp_path / "settings.json", claude.TELEMETRY, _OPTIONS)
    tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []
