"""Process of a command: its file names, how its threads wait, how it keeps memory, when it ends or is replaced."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

from tmkd import ranks

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_AGED = 150.0  # seconds after which a fresh process is faster by more than its start takes
_DONE = "TMKD_STEPS_DONE"  # how many steps the processes before this one have made

_UTF8 = ["-X", "utf8"]

_born = time.monotonic()


def read_names_as_utf8() -> None:
    """Replace a process whose file names have another encoding by one with UTF-8, as recipes have.

    Else a name such as é.tsv in a recipe could not be opened, and a page's name in a folder would be another one. What
    is printed keeps its encoding. A program that only calls `tmkd` stays as it is.
    """
    other = sys.getfilesystemencoding().lower() not in ("utf-8", "utf8")
    if other and os.name == "posix" and _is_command() and sys.orig_argv[1:3] != _UTF8:
        environment = {"PYTHONIOENCODING": sys.stdout.encoding, **os.environ}
        os.execve(sys.executable, [sys.executable, *_UTF8, *sys.orig_argv[1:]], environment)


def tune_process() -> None:
    """Set the fastest thread waiting and malloc settings for a CPU, where the environment does not set them.

    Figures in docs/log.md. Elsewhere than with GNU OpenMP and glibc nothing changes.
    """
    # GNU OpenMP's threads wait busily by default, which beside any other work costs a run most of its speed; going to
    # sleep at once costs a quarter of it on an idle machine. A short wait is near the best of both.
    os.environ.setdefault("OMP_WAIT_POLICY", "ACTIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    # glibc is to keep what torch frees instead of handing it back and faulting it in again at every step.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, size in ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, (1 << 31) - 1), (_M_TOP_PAD, 1 << 26)):
            mallopt(option, size)


def end_with(parent: int) -> None:
    """End this process with the one that began it, also when that one was killed and could not say so."""
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def restart_if_old(steps: int) -> None:
    """Replace an aged process in which torch has worked by a fresh one with the same command; `steps` it has made.

    glibc looks for a free block of memory among all that were ever freed in other sizes, so that after an hour of
    batches of ever new shapes scoring had a quarter of its first speed. Between two steps nothing but this is lost. A
    program that only calls `tmkd` stays as it is, and so does one of torchrun's processes, which the others know.
    """
    aged = "torch" in sys.modules and time.monotonic() - _born > _AGED and not ranks.launched()
    if aged and sys.platform == "linux" and _is_command():
        sys.stdout.flush()
        sys.stderr.flush()
        environment = {**os.environ, _DONE: str(steps + earlier_steps())}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _is_command() -> bool:
    """True when this process is the command `tmkd`, and not another program that calls it."""
    main = sys.modules["__main__"]
    module = getattr(main.__spec__, "name", "")
    return module == "tmkd.__main__" or Path(getattr(main, "__file__", None) or "").name == "tmkd"


def earlier_steps() -> int:
    """Number of steps that this command made in processes before this one."""
    return int(os.environ.get(_DONE, "0"))
