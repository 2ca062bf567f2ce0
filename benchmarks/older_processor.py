"""A bundle's scores on an emulated processor without VNNI, beside the native ones (Linux, qemu-user).

    python benchmarks/older_processor.py --bundle runs/webqa/bundle --file test.parquet [--cpu Haswell --cpu Nehalem]

Each graph scores a few real pairs natively and under `qemu-x86_64 -cpu NAME`; the differences are printed. Haswell has
AVX2, Nehalem SSE4.2, neither has VNNI. `Ranker` takes fp32 on such processors; the int8 rows show the loss it avoids.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from tmkd.bundle import Ranker
from tmkd.bundle.format import GRAPHS, read_bundle
from tmkd.data.labels import LabelSet
from tmkd.data.sources import read_source
from tmkd.metrics.agreement import kendall_tau
from tmkd.recipe.parts import SourceSpec

EMULATOR = "qemu-x86_64"  # apt-get install qemu-user


def main() -> None:
    """Read the options and compare. With --inside, score the pairs on stdin and print the probabilities (emulated)."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--bundle", type=Path, required=True)
    options.add_argument("--file", type=Path)
    options.add_argument("--pairs", type=int, default=48)
    options.add_argument("--cpu", action="append")
    options.add_argument("--inside", choices=tuple(GRAPHS), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.inside:  # onnxruntime on both sides, since the kernel needs AVX-512
        pairs = [tuple(pair) for pair in json.load(sys.stdin)]
        print(json.dumps(Ranker(given.bundle, given.inside, 1, "onnxruntime").predict_proba(pairs).tolist()))
        return
    if shutil.which(EMULATOR) is None or given.file is None:
        options.error(f"needs --file, and {EMULATOR} on the path (package qemu-user)")
    table = read_source(SourceSpec(file=given.file.name), given.file.parent, LabelSet("test", ("no", "yes"), "yes"))
    some = table.slice(0, given.pairs)
    pairs = list(zip(some["question"].to_pylist(), some["passage"].to_pylist(), strict=True))
    for precision in read_bundle(given.bundle).precisions:
        here = Ranker(given.bundle, precision, 1, "onnxruntime").predict_proba(pairs)[:, -1]
        for cpu in given.cpu or ["Haswell", "Nehalem"]:
            there = emulated(given.bundle, precision, cpu, pairs)[:, -1]
            difference = np.abs(here - there)
            print(
                f"{precision} on {cpu}: |Δ probability| at most {difference.max():.1e}, mean {difference.mean():.1e}, "
                f"Kendall's τ {kendall_tau(here, there):.4f} over {len(pairs)} pairs"
            )


def emulated(bundle: Path, precision: str, cpu: str, pairs: list[tuple[str, str]]) -> np.ndarray:
    """Probabilities computed on an emulated processor, (pairs, classes)."""
    inside = [EMULATOR, "-cpu", cpu, sys.executable, __file__, "--bundle", str(bundle), "--inside", precision]
    done = subprocess.run(inside, input=json.dumps(pairs), capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout))


if __name__ == "__main__":
    main()
