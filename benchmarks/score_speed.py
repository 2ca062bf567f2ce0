"""How fast a teacher scores pairs: `tmkd score`'s own network beside sentence-transformers' CrossEncoder.predict.

    python benchmarks/score_speed.py --teacher runs/webqa/teachers/webqa/t1 --file test.parquet

The teacher is any folder of a sequence classifier, the file one of pairs; both programs use the same weights, threads
and maximum length. sentence-transformers comes with `pip install '.[bench]'`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from torch import nn

from tmkd.data.labels import LabelSet
from tmkd.data.sources import read_source
from tmkd.data.text import PairTokenizer
from tmkd.machine import machine_line
from tmkd.metrics.agreement import kendall_tau
from tmkd.recipe.parts import SourceSpec
from tmkd.teachers.network import TeacherNetwork, longest, open_model
from tmkd.train.hardware import Hardware

BATCH = 32  # CrossEncoder's own default
LONGEST = 128
TARGETS = {"fp32": 1.2, "bf16": 2.0}


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--teacher", type=Path, required=True)
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--pairs", type=int, default=960)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu")
    asked = options.parse_args()
    torch.set_num_threads(asked.threads)
    table = read_source(SourceSpec(file=asked.file.name), asked.file.parent, LabelSet("test", ("no", "yes"), "yes"))
    questions, passages = (table[name].to_pylist()[: asked.pairs] for name in ("question", "passage"))
    pairs = list(zip(questions, passages, strict=True))
    peer = CrossEncoder(str(asked.teacher), device=asked.device, max_length=LONGEST)
    # Its default of a classifier with one output is a sigmoid; raw logits are what is to be compared.
    scorers: dict[str, Callable[[], Any]] = {
        "CrossEncoder": lambda: peer.predict(pairs, batch_size=BATCH, activation_fn=nn.Identity())
    }
    for precision in TARGETS:
        network = own(asked.teacher, asked.device, precision)
        scorers[precision] = partial(network.logits, questions, passages)
    print(f"{machine_line()}; {len(pairs)} pairs, {asked.threads} threads, {asked.device}")
    seconds, said = in_turns(scorers, asked.repeats)
    theirs = np.asarray(said["CrossEncoder"]).reshape(len(pairs), -1)
    print(f"  CrossEncoder.predict  {len(pairs) / seconds['CrossEncoder']:7.1f} pairs/s")
    for precision, wanted in TARGETS.items():
        times = seconds["CrossEncoder"] / seconds[precision]
        ours = said[precision][:, -theirs.shape[1] :]
        tau = kendall_tau(theirs[:, -1] - theirs[:, 0] * (theirs.shape[1] > 1), ours[:, -1] - said[precision][:, 0])
        print(
            f"  tmkd score {precision}       {len(pairs) / seconds[precision]:7.1f} pairs/s, {times:.2f} × "
            f"({'reached' if times >= wanted else 'MISSED'}, target {wanted:g}); |Δ logit| at most "
            f"{np.abs(theirs - ours).max():.1e}, mean {np.abs(theirs - ours).mean():.1e}, Kendall's τ {tau:.4f}"
        )


def own(folder: Path, device: str, precision: str) -> TeacherNetwork:
    """The folder as `tmkd score` opens it, its outputs in their own order."""
    model = open_model(folder, folder.name).to(device)
    model.train(False)
    tokenizer = PairTokenizer.load(folder, longest(model.config, LONGEST))
    outputs = int(model.config.num_labels)
    return TeacherNetwork(model, tokenizer, tuple(range(outputs)) if outputs > 1 else None, Hardware(device, precision))


def in_turns(scorers: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds of each after a warm-up, in turns; and what each said."""
    said = {name: score() for name, score in scorers.items()}
    taken: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(repeats):
        for name, score in scorers.items():
            begun = time.perf_counter()
            score()
            taken[name].append(time.perf_counter() - begun)
    return {name: median(all_) for name, all_ in taken.items()}, said


if __name__ == "__main__":
    main()
