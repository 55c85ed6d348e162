"""Every fault, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.backup import BackupAndRestore
from tests.faults.disk_errors import FailingDisk, FailingStore, UnopenedStore
from tests.faults.disk_full import FullDisk, FullStoreDisk
from tests.faults.disk_slow import BlockedStore, SlowSync
from tests.faults.fault import Fault
from tests.faults.kill_under_load import KillUnderLoad
from tests.faults.mixed_up_files import MixedUpFiles
from tests.faults.power_cut import PowerCut
from tests.faults.restart_plain import PlainRestart
from tests.faults.restart_take_over import TakeOver
from tests.faults.spool_damage import SpoolDamage
from tests.faults.spool_tail import SpoolTail
from tests.faults.store_log import StoreLog
from tests.faults.vector_file import VectorFile

FAULTS: Sequence[Fault] = (
    KillUnderLoad(),
    PowerCut(),
    SpoolTail(),
    StoreLog(),
    SpoolDamage(),
    MixedUpFiles(),
    VectorFile(),
    PlainRestart(),
    TakeOver(),
    BackupAndRestore(),
    FullDisk(),
    FullStoreDisk(),
    FailingDisk(),
    FailingStore(),
    UnopenedStore(),
    SlowSync(),
    BlockedStore(),
)
