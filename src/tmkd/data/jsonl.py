"""JSONL: lines → JSON objects, streamed; a faulty line gives its error in place of an object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from tmkd.data.messages import short

JsonObject = dict[str, Any]


class LineError(Exception):
    """Fault of a line; the message lacks file and row. `kind` is short for it."""

    def __init__(self, message: str, kind: Literal["not utf-8", "bad json", "no object"]) -> None:
        super().__init__(message)
        self.kind = kind


def json_objects(lines: Iterable[bytes | str]) -> Iterator[JsonObject | LineError]:
    """Parse each line, UTF-8 without byte-order mark; a blank line is faulty too, so leave those out."""
    for line in lines:
        try:
            value = json.loads(line if isinstance(line, str) else line.decode())
        except UnicodeDecodeError as error:
            yield LineError(f"not valid JSON ({short(str(error), 100)})", "not utf-8")
        except (ValueError, RecursionError) as error:
            yield LineError(f"not valid JSON ({short(str(error), 100)})", "bad json")
        else:
            yield value if isinstance(value, dict) else LineError("not a JSON object", "no object")
