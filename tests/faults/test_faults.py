"""Every fault, a few times: nothing acknowledged is lost, nothing is stored twice. ``make faults`` does more."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault, FaultNotPossibleError


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_costs_nothing_acknowledged(tmp_path: Path, fault: Fault) -> None:
    """What was acknowledged is stored exactly once after each round."""
    try:
        report = fault.run(fault.short_rounds, tmp_path, random.Random(fault.name))
    except FaultNotPossibleError as error:
        pytest.skip(str(error))
    assert report.tried == fault.short_rounds
    assert report.acknowledged > 0
    assert (report.lost, report.duplicated) == (0, 0)
