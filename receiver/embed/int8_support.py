"""Whether products of 8-bit integers are exact and fast on this machine's processor."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

_EXACT = {"avx512_vnni", "avx_vnni", "asimddp"}


@functools.cache
def int8_is_exact() -> bool:
    """Return True where the processor has instructions for products of 8-bit integers.

    x86 without them adds pairs of products in 16 bits, which overflow: wrong vectors, without an error
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). ARM without them is exact and slow.
    """
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return not _EXACT.isdisjoint(words)
