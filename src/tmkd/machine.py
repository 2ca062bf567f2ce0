"""The machine: cores this process may use, the processor's instruction sets, and a line that describes both."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
SHARE = "TMKD_CORES"  # in the environment: most cores that a process may use, where several share the machine
_THREADS = "OMP_NUM_THREADS"
CUDA_DEVICES = "CUDA_VISIBLE_DEVICES"


def cores() -> int:
    """Number of cores this process may use, at least 1: its share, its affinity, and a container's processor time."""
    share = os.environ.get(SHARE, "")
    available = _available_cores()
    return min(available, max(1, int(share))) if share.isdecimal() else available


def share_of_cores(parts: int) -> int:
    """Cores that each of some parts of the work on this machine has, at least 1: the one place that divides them."""
    return max(1, cores() // parts)


def environment_of(cores_each: int) -> dict[str, str]:
    """Environment of a process that has so many cores: it has no more threads, nor more than are allowed here."""
    given = os.environ.get(_THREADS, "")
    threads = min(cores_each, int(given)) if given.isdecimal() and int(given) else cores_each
    return {SHARE: str(cores_each), _THREADS: str(threads)}


@contextmanager
def having(cores_each: int) -> Iterator[None]:
    """Processes begun within have so many cores each."""
    before = {name: os.environ.get(name) for name in (SHARE, _THREADS)}
    os.environ.update(environment_of(cores_each))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _available_cores() -> int:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cgroup_limit(CGROUPS, OWN_CGROUP)
    # A container with the time of 1.5 cores keeps two threads busy most of the time.
    return affinity if limit is None else max(1, min(affinity, math.ceil(limit)))


def cgroup_limit(cgroups: Path, own: Path) -> float | None:
    """Cores' worth of processor time that control groups allow; None without a limit.

    `cgroups` is where they are mounted, `own` the file that names this process's group. The tightest limit of the group
    and the groups around it counts: `cpu.max` (version 2), or `cpu.cfs_quota_us` with its period (version 1).
    """
    group = next((path for path in (line.split(":", 2) for line in _lines(own)) if path[0] == "0"), ["0", "", "/"])[2]
    folder = cgroups / group.lstrip("/")
    limits = []
    for place in (folder, *folder.parents):
        limits.append(_share(" ".join(_lines(place / "cpu.max"))))
        if place == cgroups:
            break
    quota, period = ("".join(_lines(cgroups / "cpu" / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    limits.append(_share(f"{quota} {period}"))
    return min((limit for limit in limits if limit is not None), default=None)


def _share(quota_and_period: str) -> float | None:
    """Cores from `QUOTA PERIOD` in microseconds; None where the quota is `max`, negative or missing."""
    words = quota_and_period.split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def processor_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Instruction sets of the first processor, as Linux lists them (`flags`, on Arm `Features`); elsewhere empty."""
    for line in _lines(cpuinfo):
        name, colon, words = line.partition(":")
        if colon and name.strip() in ("flags", "Features"):
            return frozenset(words.split())
    return frozenset()


def threads() -> int:
    """Threads of a computation: torch's if it is loaded, else one per core. Does not import torch."""
    torch = sys.modules.get("torch")
    return cores() if torch is None else int(torch.get_num_threads())


def cuda_devices() -> list[str]:
    """CUDA devices that this process sees, as CUDA_VISIBLE_DEVICES names them. Does not import torch."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    named = [name for name in os.environ.get(CUDA_DEVICES, "").split(",") if name]
    count = int(torch.cuda.device_count())
    return named[:count] if named else [str(number) for number in range(count)]


def machine_line() -> str:
    """Description of the machine in a line: processor model and cores; if torch is loaded, its threads and GPU."""
    parts = [_processor(), f"{cores()} cores"]
    torch = sys.modules.get("torch")
    if torch is not None:
        parts += [f"{torch.get_num_threads()} threads", f"torch {torch.__version__}"]
        if torch.cuda.is_available():
            parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def _processor() -> str:
    models = [line.partition(":")[2].strip() for line in _lines(CPUINFO) if line.startswith("model name")]
    return (models[0] if models else "") or platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    """Lines of a file of the system; empty where there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
