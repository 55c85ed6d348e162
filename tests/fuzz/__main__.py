"""Damaged input for as long as asked: ``python -m tests.fuzz --inputs 1000000``.

Every batch depends on the seed and its number alone: a finding is printed with the command that repeats it.
``nice`` is good company: ``nice -n 19 python -m tests.fuzz``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import faulthandler
import sys
import time
import traceback
from collections.abc import Callable
from typing import Protocol

from tests.fuzz.decoders import DecoderFuzz
from tests.fuzz.sockets import GrpcFuzz, HttpFuzz


class Fuzz(Protocol):
    """**Protocol:** one thing that gets damaged input."""

    def run(self, number: int) -> int:
        """Do batch ``number`` and return the number of inputs; raise for a finding."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


KINDS: dict[str, Callable[[int], Fuzz]] = {"decoders": DecoderFuzz, "http": HttpFuzz, "grpc": GrpcFuzz}


def main() -> int:
    """Run what was asked for; return 1 if anything was found."""
    options = _options()
    faulthandler.enable()
    chosen = [options.only] if options.only else list(KINDS)
    return max(_run(kind, options, len(chosen)) for kind in chosen)


def _run(kind: str, options: argparse.Namespace, kinds: int) -> int:
    fuzz = KINDS[kind](options.seed)
    began = time.monotonic()
    inputs = number = found = 0
    number = options.first
    most_s = options.seconds / kinds if options.seconds else float("inf")
    most = options.inputs / kinds if options.inputs else float("inf")
    try:
        while inputs < most and time.monotonic() - began < most_s and found < options.findings:
            if number % 500 == 0:
                print(f"{kind}: batch {number}, {inputs:,} inputs", file=sys.stderr, flush=True)
            try:
                inputs += fuzz.run(number)
            except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
                found += 1
                traceback.print_exc()
                again = (
                    f"python -m tests.fuzz --only {kind} --seed {options.seed} --first {number} --inputs 1"
                )
                print(f"FOUND in batch {number}; again: {again}", flush=True)
            number += 1
    finally:
        fuzz.close()
    today = dt.datetime.now(dt.UTC).date()
    took = time.monotonic() - began
    print(
        f"{today} {kind}: {inputs:,} inputs in {took:.0f} s with seed {options.seed}: {found} findings",
        flush=True,
    )
    return int(found > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, help="how many, of all kinds together")
    parser.add_argument("--seconds", type=float, help="how long, for all kinds together")
    parser.add_argument("--seed", type=int, default=1, help="another seed: other inputs (default 1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first batch")
    parser.add_argument("--only", choices=list(KINDS), help="one kind instead of all")
    parser.add_argument("--findings", type=int, default=10, help="stop after so many (default 10)")
    options = parser.parse_args()
    if not (options.inputs or options.seconds):
        options.seconds = 60.0
    return options


if __name__ == "__main__":
    sys.exit(main())
