"""Speed of BERT's shapes with random weights (Table 2), as a benchmark leaves it in a JSON file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from tmkd.errors import TmkdError
from tmkd.store import json_bytes

_MOST_BYTES = 1 << 20
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class ShapeSpeed:
    """Model of a shape: its parameters, pairs/s in batches, and the median milliseconds of one pair alone."""

    name: str
    parameters: _Count
    pairs_per_second: _Positive
    alone_ms: _Positive


@dataclass(frozen=True, slots=True)
class Shapes:
    """Speeds of all shapes, measured in turns, and the conditions: token ids a pair, pairs a batch, number format."""

    machine: str
    device: str
    precision: str
    date: str
    commit: str
    length: _Count
    batch: _Count
    repeats: _Count
    shapes: tuple[ShapeSpeed, ...]


_FILE = TypeAdapter(Shapes)


def shapes_json(shapes: Shapes) -> bytes:
    """JSON file of the speeds."""
    return json_bytes(asdict(shapes))


def read_shapes(path: Path) -> Shapes:
    """Read such a file. Raises: TmkdError when it is missing or has other content."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
        return _FILE.validate_json(content)
    except OSError as error:
        raise TmkdError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first: Any = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise TmkdError(f"{path}: not a file of benchmarks/shapes.py: {place}: {first['msg']}") from None
