"""Every fault, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.fault import Fault

FAULTS: Sequence[Fault] = ()
