"""The doctor's look at the machine: ports, disk, permissions, model, clock, open files."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from receiver.app.findings import Finding, ok, problem, warning
from receiver.config import EmbedConfig, Settings
from receiver.decode.routes import is_compiled
from receiver.embed.model import resolve_model
from receiver.embed.pool import EmbedderPool
from receiver.errors import EmbeddingUnavailableError
from receiver.transport.endpoint import parse_endpoint

_CONNECT_S = 0.5
_LITTLE_BYTES = 256 << 20
_LITTLE_SHARE = 0.05
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PRIVATE = ("spool.db*", "telemetry.duckdb*", "vectors.usearch", "tokens", "redaction.key")
_OTHER_FILES = 512
_QUERY_CONNECTIONS = 256
_FIRST_YEAR_S = 1_735_689_600  # 2025
_AHEAD_S = 60.0


def ports(settings: Settings) -> Iterator[Finding]:
    """Yield whether each endpoint is free; a connection is tried, nothing is bound."""
    for key in ("grpc_endpoint", "http_endpoint", "query_endpoint"):
        text: str = getattr(settings.listen, key)
        if not text:
            continue
        endpoint = parse_endpoint(text).from_here
        try:
            with socket.create_connection((endpoint.host, endpoint.port), _CONNECT_S):
                yield problem(
                    "ports", f"{text}: another program listens there", f"stop it, or change listen.{key}"
                )
        except ConnectionRefusedError:
            yield ok("ports", f"{text} is free")
        except socket.gaierror as error:
            yield problem("ports", f"{text}: {error.strerror}", f"change listen.{key}")
        except OSError as error:
            yield ok("ports", f"{text}: nothing listens there ({error.strerror or error})")


def disk(settings: Settings) -> Iterator[Finding]:
    """Yield how much room there is for what may still come."""
    folders = {_nearest(settings.data_path), _nearest(settings.store_path.parent)}
    devices = {folder.stat().st_dev: folder for folder in sorted(folders)}
    for folder in devices.values():
        usage = shutil.disk_usage(folder)
        text = f"{usage.free / 2**30:,.1f} GiB free of {usage.total / 2**30:,.1f} at {folder}"
        spool = settings.spool_path
        more = settings.spool.max_bytes - (spool.stat().st_size if spool.is_file() else 0)
        if usage.free < _LITTLE_BYTES:
            yield problem("disk", text, "make room: without it nothing can be accepted")
        elif usage.free < usage.total * _LITTLE_SHARE:
            yield warning("disk", text, "make room, or set retention")
        elif folder == _nearest(settings.data_path) and usage.free < more:
            yield warning(
                "disk", f"{text}; the spool may take {more / 2**30:,.1f} GiB more", "lower spool.max_bytes"
            )
        else:
            yield ok("disk", text)


def permissions(settings: Settings) -> Iterator[Finding]:
    """Yield who may read the files, and whether this user may write them."""
    folder = settings.data_path
    if not folder.is_dir():
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield problem("permissions", f"{folder} cannot be written by this user", "run as the receiver's user")
    files = {each for pattern in _PRIVATE for each in folder.glob(pattern) if each.is_file()}
    files |= {each for each in (settings.store_path, settings.tokens_path) if each.is_file()}
    wrong = False
    for file in sorted(files):
        about = file.stat()
        mode = stat.S_IMODE(about.st_mode)
        if mode & _OTHERS:
            wrong = True
            yield warning(
                "permissions", f"{file} has mode {mode:04o}: others may use it", f"chmod 600 {file}"
            )
        if not os.access(file, os.R_OK | os.W_OK):
            wrong = True
            yield problem(
                "permissions", f"{file} belongs to uid {about.st_uid}", "chown it to the receiver's user"
            )
    if not wrong:
        yield ok("permissions", "the files are this user's alone")


def model(config: EmbedConfig, *, deep: bool) -> Iterator[Finding]:
    """Yield whether the model is there and what runs it; it is loaded for a deep look only, nothing is downloaded."""
    if not config.enabled:
        yield ok("model", "embed.enabled is false: search matches words")
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        source = resolve_model(config)
    except EmbeddingUnavailableError as error:
        yield warning("model", f"{error.message}; search matches words", error.hint)
        return
    if deep:
        yield asyncio.run(_tried(config))
        return
    yield ok("model", f"{source.identity} in {source.path}, run by {source.runtime}")


async def _tried(config: EmbedConfig) -> Finding:
    pool = EmbedderPool(config)
    try:
        await pool.start()
        started = time.perf_counter()
        (vectors,) = await pool.embed(["a payment failed"])
    except EmbeddingUnavailableError as error:
        return problem("model", error.message, error.hint)
    else:
        seconds = time.perf_counter() - started
        return ok("model", f"{pool.model} made a vector of {vectors.shape[1]} numbers in {seconds:.1f} s")
    finally:
        await pool.close()


def decoder(settings: Settings) -> Iterator[Finding]:
    """Yield which decoder requests go through."""
    if not settings.intake.compiled:
        yield ok("decoder", "Python, as intake.compiled is false")
    elif is_compiled():
        yield ok("decoder", "compiled")
    else:
        yield ok("decoder", "Python; installed again where cargo is, requests take a third of the time")


def open_files(settings: Settings, pid: int | None) -> Iterator[Finding]:
    """Yield whether the limit of open files is enough for the connections that are allowed."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if pid is not None and (found := _limit_of(pid)) is not None:
        limit = found
    wanted = settings.limits.http_connections + _QUERY_CONNECTIONS + _OTHER_FILES
    if limit != resource.RLIM_INFINITY and limit < wanted:
        yield warning(
            "open files",
            f"at most {limit:,}; limits.http_connections alone may need {wanted:,}",
            "ulimit -n, or LimitNOFILE= of its service",
        )
    else:
        yield ok("open files", "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit:,}")


def clock(settings: Settings) -> Iterator[Finding]:
    """Yield whether this machine's time can be right."""
    now = time.time()
    newest = max(
        (f.stat().st_mtime for f in (settings.spool_path, settings.store_path) if f.is_file()), default=now
    )
    if now < _FIRST_YEAR_S:
        yield problem("clock", f"it says {time.strftime('%Y-%m-%d', time.gmtime(now))}", "set the clock")
    elif newest > now + _AHEAD_S:
        yield warning(
            "clock",
            f"it is {newest - now:,.0f} s behind the last write of the data directory",
            "set the clock: retries and retention go by it",
        )
    else:
        yield ok("clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def _nearest(path: Path) -> Path:
    """Return the folder, or the nearest one above that exists."""
    whole = path.absolute()
    return next(each for each in (whole, *whole.parents) if each.exists())


def _limit_of(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/limits").read_text("ascii").splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if line.startswith("Max open files")), [])
    return int(words[3]) if len(words) > 3 and words[3].isdigit() else None
