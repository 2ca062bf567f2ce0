"""Whether a bundle says the same on a processor without exact products of bytes, emulated (Linux, qemu-user).

    python benchmarks/older_processor.py --bundle runs/webqa/bundle --file test.parquet [--cpu Haswell --cpu Nehalem]

Each graph scores a few real pairs natively and under `qemu-x86_64 -cpu NAME`; what differs is printed. Haswell has AVX2
and Nehalem SSE4.2; neither has VNNI. On such a processor `Ranker` takes fp32: the int8 rows show why, or why not.
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
    """Read the options and compare; with --inside, be the emulated side: pairs on stdin, probabilities on stdout."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--bundle", type=Path, required=True)
    options.add_argument("--file", type=Path)
    options.add_argument("--pairs", type=int, default=48)
    options.add_argument("--cpu", action="append")
    options.add_argument("--inside", choices=tuple(GRAPHS), help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.inside:  # the kernel needs AVX-512: onnxruntime on both sides
        pairs = [tuple(pair) for pair in json.load(sys.stdin)]
        print(json.dumps(Ranker(asked.bundle, asked.inside, 1, "onnxruntime").predict_proba(pairs).tolist()))
        return
    if shutil.which(EMULATOR) is None or asked.file is None:
        options.error(f"needs --file, and {EMULATOR} on the path (package qemu-user)")
    table = read_source(SourceSpec(file=asked.file.name), asked.file.parent, LabelSet("test", ("no", "yes"), "yes"))
    some = table.slice(0, asked.pairs)
    pairs = list(zip(some["question"].to_pylist(), some["passage"].to_pylist(), strict=True))
    for precision in read_bundle(asked.bundle).precisions:
        here = Ranker(asked.bundle, precision, 1, "onnxruntime").predict_proba(pairs)[:, -1]
        for cpu in asked.cpu or ["Haswell", "Nehalem"]:
            there = emulated(asked.bundle, precision, cpu, pairs)[:, -1]
            away = np.abs(here - there)
            print(
                f"{precision} on {cpu}: |Δ probability| at most {away.max():.1e}, mean {away.mean():.1e}, "
                f"Kendall's τ {kendall_tau(here, there):.4f} over {len(pairs)} pairs"
            )


def emulated(bundle: Path, precision: str, cpu: str, pairs: list[tuple[str, str]]) -> np.ndarray:
    """The probabilities that an emulated processor gives, (pairs, classes)."""
    inside = [EMULATOR, "-cpu", cpu, sys.executable, __file__, "--bundle", str(bundle), "--inside", precision]
    done = subprocess.run(inside, input=json.dumps(pairs), capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout))


if __name__ == "__main__":
    main()
