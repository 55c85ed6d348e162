"""``serve --take-over`` as processes: who may take over, from whom, and what is true afterwards.

What it costs clients is shown by ``tests/faults/restart_take_over.py``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.spool.sqlite_spool import SqliteSpool
from tests.support.command_line import clean_environment, otlp_receiver
from tests.support.exporting_client import request_of
from tests.support.receiver_process import ReceiverProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shares ports like this")
_PROTOBUF = "application/x-protobuf"


def test_it_takes_over_all_there_is_and_excludes_others_again(tmp_path: Path) -> None:
    """The old one ends with 0; a retry is still a retry, all is stored once, and nobody else gets the ports.

    Where no receiver runs, one starts as usual.
    """
    body = request_of("traces", 0, 10)
    with ReceiverProcess(tmp_path / "data", take_over=True) as first:
        assert first.send("/v1/traces", body, _PROTOBUF).status == 200
        with ReceiverProcess(tmp_path / "data", take_over=True, same_ports_as=first) as second:
            ended = first.ended()
            assert (ended.exit_code, "handed over; " in ended.output) == (0, True)
            assert second.send("/v1/traces", body, _PROTOBUF).status == 200
            second.flush()
            assert second.sql("SELECT count(*) FROM spans") == [[10]]
            for address in (second.grpc, second.http, second.query):
                with socket.socket() as other:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    with pytest.raises(OSError, match="in use"):
                        other.bind(("127.0.0.1", int(address.rpartition(":")[2])))


def test_only_one_takes_over_at_a_time_and_the_old_one_works_on(tmp_path: Path) -> None:
    """While one waits for a receiver that does not answer, another is told so; the old one loses nothing by it."""
    data = tmp_path / "data"
    with ReceiverProcess(data) as old:
        os.kill(old.pid, signal.SIGSTOP)
        command = [sys.executable, "-m", "receiver", *_take_over(old)]
        with subprocess.Popen(command, cwd=tmp_path, env=clean_environment()) as taking:
            while not _is_locked(data / "take-over.lock"):
                assert taking.poll() is None
            assert "another process is taking over data already" in _refused(old)
            taking.kill()
        os.kill(old.pid, signal.SIGCONT)
        os.kill(old.pid, signal.SIGUSR2)  # as the one would have done that is gone
        assert old.send("/v1/traces", request_of("traces", 0, 10), _PROTOBUF).status == 200
        old.flush()
        assert old.sql("SELECT count(*) FROM spans") == [[10]]
        assert "asked to hand over, and no process is there to take over" in old.log
        with ReceiverProcess(data, take_over=True, same_ports_as=old) as new:
            assert old.ended().exit_code == 0
            assert new.sql("SELECT count(*) FROM spans") == [[10]]


def test_a_program_that_does_not_know_the_signals_gets_none(tmp_path: Path) -> None:
    """They would end it: who holds the spool in another program is named and left alone."""
    spool = SqliteSpool(tmp_path / "data" / "spool.db")
    try:
        with ReceiverProcess(tmp_path / "elsewhere") as receiver:
            said = _refused(receiver)
    finally:
        spool.close()
    assert f"the receiver on data (pid {os.getpid()}) cannot be taken over from" in said


def _take_over(receiver: ReceiverProcess) -> list[str]:
    return [
        "serve", "--take-over", "--data-dir", "data", "--grpc-endpoint", receiver.grpc, "--http-endpoint",
        receiver.http, "--query-endpoint", receiver.query,
    ]  # fmt: skip


def _refused(receiver: ReceiverProcess) -> str:
    """Return what a receiver says that may not take over on the ports of this one."""
    ended = otlp_receiver(*_take_over(receiver), folder=receiver.data_dir.parent)
    assert ended.returncode == 3, ended.stderr
    return ended.stderr


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError) as error:
        return isinstance(error, BlockingIOError)
    return False
