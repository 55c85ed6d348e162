"""With the library, without it, and with one of another version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import receiver
from receiver.config import LimitsConfig
from receiver.decode.compiled.decoder import ScanningDecoder
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import is_compiled, open_decoder
from tests.support.decode_routes import NOT_BUILT

_PACKAGE = Path(receiver.__file__).parent
_DECODES = """
import logging, pathlib, sys
logging.basicConfig(format="%(levelname)s %(message)s")
import receiver
assert pathlib.Path(receiver.__file__).parent == pathlib.Path(sys.argv[1]) / "receiver"
from receiver.config import LimitsConfig
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import is_compiled, open_decoder, open_flattener
from receiver.ports import ExportRequest
from receiver.signals import Signal
nested = NestedValues()
decoder, flattener = open_decoder(LimitsConfig(), nested), open_flattener(nested)
decoded = decoder.decode([ExportRequest(Signal.LOGS, bytes.fromhex(sys.argv[2]))])
(tables,) = flattener.parts(decoded.columns)
flattener.close()
open_decoder(LimitsConfig(), nested)
print(is_compiled(), type(decoder).__name__, tables["logs"].num_rows)
"""
_TWO_LOGS = "0a06120412001200"  # one resource, one scope, two empty log records


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed here")
def test_where_cargo_is_installed_the_library_was_built() -> None:
    """Else every other test of it would be skipped and nobody would notice."""
    assert is_compiled()


@NOT_BUILT
def test_the_library_is_used_unless_the_settings_say_no() -> None:
    """``intake.compiled`` decides."""
    assert isinstance(open_decoder(LimitsConfig(), NestedValues()), ScanningDecoder)
    assert isinstance(open_decoder(LimitsConfig(), NestedValues(), compiled=False), ColumnDecoder)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of the package, without the library."""
    copy = tmp_path / "receiver"
    shutil.copytree(_PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__", "target"))
    return copy


def decoded_by(package: Path) -> tuple[str, list[str]]:
    """Return what a new process says that decodes with this package, and its warnings."""
    done = subprocess.run(
        [sys.executable, "-c", _DECODES, str(package.parent), _TWO_LOGS],
        env={**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=package.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), [line for line in done.stderr.splitlines() if line.startswith("WARNING")]


def test_without_the_library_python_decodes(package: Path) -> None:
    """An installation without cargo lacks nothing but speed, and says nothing about it."""
    assert decoded_by(package) == ("False ColumnDecoder 2", [])


@NOT_BUILT
def test_a_library_of_another_version_is_refused_with_one_warning(package: Path) -> None:
    """Its functions may mean something else; the Python route takes over."""
    for library in (_PACKAGE / "decode/compiled").glob("*.so"):
        shutil.copy(library, package / "decode/compiled")
    module = package / "decode/compiled/library.py"
    source = module.read_text(encoding="utf-8")
    assert source.count("\n_INTERFACE = ") == 1
    module.write_text(source.replace("\n_INTERFACE = ", "\n_INTERFACE = 1000 + "), encoding="utf-8")
    said, warnings = decoded_by(package)
    assert said == "False ColumnDecoder 2"
    assert len(warnings) == 1
    assert "is of another version" in warnings[0]


@NOT_BUILT
def test_a_file_that_is_no_library_is_refused_with_one_warning(package: Path) -> None:
    """A copy that was cut off must not end the start."""
    (package / "decode/compiled/_otlp_columns.so").write_bytes(b"\x7fELF")
    said, warnings = decoded_by(package)
    assert said == "False ColumnDecoder 2"
    assert len(warnings) == 1
    assert "cannot be used" in warnings[0]
