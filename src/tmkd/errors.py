"""Failures that a user sees in a line or two, and the parts of their messages; a full disk; a missing extra."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class TmkdError(Exception):
    """Failure whose cause is outside the program; the message names it and a remedy (exit code 1)."""

    exit_code = 1


class UsageError(TmkdError):
    """Command or recipe that cannot be meant as it is (exit code 2)."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Hint for an unknown word: the closest known one, else the list of all known ones."""
    names = list(dict.fromkeys(map(str, known)))
    close = difflib.get_close_matches(word, names, 1)
    return f"did you mean '{close[0]}'?" if close else f"there is {', '.join(names) or 'none'}"


def first_line(error: BaseException) -> str:
    """First line of an exception's message; its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def disk_is_full(error: OSError) -> bool:
    """True when a disk, a quota or a limit on files is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)


# Module that the base install lacks → the package's extra that brings it.
EXTRA_OF = {
    **dict.fromkeys(("torch", "transformers", "accelerate", "huggingface_hub", "jinja2", "matplotlib"), "train"),
    **dict.fromkeys(("tantivy", "py3langid", "datasketch", "trafilatura", "fastwarc", "webencodings"), "collect"),
    "onnx": "export",
    **dict.fromkeys(("onnxruntime", "lmdb", "fastapi", "uvicorn", "uvloop", "httptools", "prometheus_client"), "serve"),
    "obstore": "objects",
    "redis": "redis",
    "datasets": "hub",
    "ray": "ray",
    "tensorboard": "tensorboard",
}


def install_hint(module: str) -> str:
    """Command that installs the extra with a module."""
    return f"pip install 'tmkd[{EXTRA_OF[module]}]'"


@contextmanager
def optional_import(subject: str, module: str) -> Iterator[None]:
    """Imports of an extra's module, in a `with` block; `subject` begins the message: "plots need".

    Raises: TmkdError with the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        raise TmkdError(f"{subject} {module}: {install_hint(module)}") from error
