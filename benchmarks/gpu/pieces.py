"""A trained student as pieces of at most 15 MiB with digests, and the way back.

    python -m benchmarks.gpu.pieces results --out student

joins the pieces in `results` to the student's folder, in float32 again. They hold its weights in float16.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import tarfile
import tempfile
from pathlib import Path

import torch
from torch import nn

from tmkd.errors import TmkdError
from tmkd.network import Student
from tmkd.store import digest_bytes, json_bytes, write_atomic

LIST = "student.json"
_MOST = 15 * 2**20  # bytes of a piece


def write_pieces(student: Student, start: Path, out: Path) -> None:
    """Write a student in float16, with the tokenizer of the folder it started from, as student.000, student.001, …"""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, tarfile.open(fileobj=packed, mode="w") as archive:
        halved = copy.deepcopy(student)
        nn.Module.to(halved, "cpu", torch.float16)
        halved.save(Path(place), start)
        for path in sorted(Path(place).iterdir()):
            archive.add(path, arcname=path.name)
    data = packed.getvalue()
    pieces = {f"student.{place // _MOST:03}": data[place : place + _MOST] for place in range(0, len(data), _MOST)}
    for name, piece in pieces.items():
        write_atomic(out / name, piece)
    digests = {name: digest_bytes(piece) for name, piece in pieces.items()}
    write_atomic(out / LIST, json_bytes({"sha256": digest_bytes(data), "pieces": digests}))


def join(results: Path, folder: Path) -> None:
    """Join the pieces to a student's folder.  Raises: TmkdError when one is missing or has other bytes."""
    told = json.loads((results / LIST).read_bytes())
    parts = []
    for name, digest in sorted(told["pieces"].items()):
        path = results / Path(name).name
        data = path.read_bytes() if path.is_file() else b""
        if digest_bytes(data) != digest:
            raise TmkdError(f"{path}: missing, or not the bytes that were written")
        parts.append(data)
    if digest_bytes(b"".join(parts)) != told["sha256"]:
        raise TmkdError(f"{results}: the pieces do not make the student that was written")
    with tempfile.TemporaryDirectory() as place, tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        archive.extractall(place, filter="data")
        Student.from_pretrained(Path(place), dtype=torch.float32).save(folder, Path(place))


def main() -> None:
    """Read the options and join."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("results", type=Path)
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    join(given.results, given.out)


if __name__ == "__main__":
    main()
