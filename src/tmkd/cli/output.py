"""Terminals, pipes and arguments whose encoding is not UTF-8."""

from __future__ import annotations

import io
import json
import os
import re
import sys

from tmkd.errors import UsageError

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def replace_what_cannot_be_written() -> None:
    """Let stdout and stderr write a replacement for a character that their encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json(text: str) -> None:
    """Print JSON on stdout, with escapes where its encoding is not UTF-8: programs need every character."""
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8" or _SURROGATE.search(text):
        text = _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    print(text.rstrip("\n"))


def argument(name: str, text: str) -> str:
    """Read an argument as UTF-8 where the system's encoding could not. Raises: UsageError when it is no UTF-8."""
    if not _SURROGATE.search(text):
        return text
    try:
        return os.fsencode(text).decode()
    except ValueError:
        raise UsageError(f"{name} is not UTF-8") from None
