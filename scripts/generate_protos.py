"""Regenerate proto_gen/ from proto_gen/columns.proto; ``--check`` only says whether it is up to date.

Needs grpcio-tools (the extra ``dev``). The generated code must not be newer than the oldest protobuf that
the project supports, so the generator's version is pinned in config/constraints.txt.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "proto_gen"
GENERATED = ("columns_pb2.py", "columns_pb2.pyi")


def generate(folder: Path) -> None:
    """Write the generated modules into ``folder``."""
    include = Path(grpc_tools.__file__).parent / "_proto"
    code = protoc.main(
        [
            "protoc",
            f"-I{FOLDER}",
            f"-I{include}",
            f"--python_out={folder}",
            f"--pyi_out={folder}",
            str(FOLDER / "columns.proto"),
        ]
    )
    if code != 0:
        raise SystemExit(code)


def main() -> int:
    """Generate into place, or compare with what is there."""
    with tempfile.TemporaryDirectory() as name:
        generate(Path(name))
        fresh = {file: (Path(name) / file).read_text() for file in GENERATED}
    stale = [f for f, text in fresh.items() if not (FOLDER / f).exists() or (FOLDER / f).read_text() != text]
    if "--check" in sys.argv[1:]:
        for file in stale:
            print(f"proto_gen/{file} is not what columns.proto gives; run scripts/generate_protos.py")
        return 1 if stale else 0
    for file, text in fresh.items():
        (FOLDER / file).write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
