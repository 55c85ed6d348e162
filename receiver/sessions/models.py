"""Names of models: many spellings of one, as vendors, clouds and routers write them."""

from __future__ import annotations

import re
from functools import lru_cache

_CLOUD = re.compile(r"^(?:[a-z][a-z-]*\.)+(?=[a-z])")
"""``us.anthropic.claude-…``: a region and a vendor; a version has a digit before its point and is kept."""
_CONTEXT = re.compile(r"\[[^\]]*\]$")
"""``[1m]``: the window that Claude Code asked for."""
_REVISION = re.compile(r"-v\d+(?::\d+)?$|:\d+$")
"""``-v1:0`` of Amazon Bedrock."""
_DATE = re.compile(r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d|\d\d-20\d\d)$")
_ALIAS = re.compile(r"-latest$|:(?:free|thinking|beta|nitro|online)$")
_POINT = re.compile(r"(?<=\d)\.(?=\d)")


@lru_cache(maxsize=4096)
def canonical(model: str) -> str:
    """Return the name without vendor, region, date, revision and size of the window, in lower case.

    ``us.anthropic.claude-opus-4-5-20251101-v1:0``, ``anthropic/claude-opus-4.5`` and ``claude-opus-4-5[1m]`` are one.
    """
    name = model.strip().lower().rpartition("/")[2]
    name = _CLOUD.sub("", name)
    for _ in range(4):  # one may stand behind another
        shorter = name
        for pattern in (_CONTEXT, _REVISION, _DATE, _ALIAS):
            shorter = pattern.sub("", shorter)
        if shorter == name or not shorter:
            break
        name = shorter
    return _POINT.sub("-", name) if name.startswith("claude") else name
