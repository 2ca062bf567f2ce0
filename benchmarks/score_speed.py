"""Speed of scoring with a teacher: `tmkd score`'s network beside sentence-transformers' CrossEncoder.predict.

    python benchmarks/score_speed.py --teacher runs/webqa/teachers/webqa/t1 --file test.parquet

The teacher is a folder with any sequence classifier, the file holds pairs; both programs use the same weights, threads
and maximum length. With `--bundle runs/webqa/bundle` both graphs of a student's bundle are timed in the same turns.
sentence-transformers comes with `pip install '.[bench]'`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import CrossEncoder
from torch import nn

from tmkd.bundle import Ranker
from tmkd.data.labels import LabelSet
from tmkd.data.sources import read_source
from tmkd.evaluate.speed import in_turns
from tmkd.machine import machine_line
from tmkd.metrics.agreement import kendall_tau
from tmkd.recipe.parts import SourceSpec
from tmkd.teachers.network import TeacherNetwork, in_own_order, open_model
from tmkd.train.hardware import Hardware

BATCH = 32  # CrossEncoder's own default
LONGEST = 128
TARGETS = {"fp32": 1.2, "bf16": 2.0}


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--teacher", type=Path, required=True)
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--bundle", type=Path)
    options.add_argument("--pairs", type=int, default=960)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    table = read_source(SourceSpec(file=given.file.name), given.file.parent, LabelSet("test", ("no", "yes"), "yes"))
    questions, passages = (table[name].to_pylist()[: given.pairs] for name in ("question", "passage"))
    pairs = list(zip(questions, passages, strict=True))
    peer = CrossEncoder(str(given.teacher), device=given.device, max_length=LONGEST)
    # By default it applies a sigmoid to a single output; raw logits are compared here.
    scorers: dict[str, Callable[[], npt.ArrayLike]] = {
        "CrossEncoder": lambda: peer.predict(pairs, batch_size=BATCH, activation_fn=nn.Identity())
    }
    for precision in TARGETS:
        network = own(given.teacher, given.device, precision)
        scorers[precision] = partial(network.logits, questions, passages)
    graphs: dict[str, Ranker] = {}
    if given.bundle is not None:
        graphs = {f"bundle {kind}": Ranker(given.bundle, kind, given.threads) for kind in ("fp32", "int8")}
        scorers |= {name: partial(ranker.predict_proba, pairs) for name, ranker in graphs.items()}
    print(f"{machine_line()}; {len(pairs)} pairs, {given.threads} threads, {given.device}")
    logits = {name: np.asarray(score()).reshape(len(pairs), -1) for name, score in scorers.items()}  # the warm-up
    seconds = {name: median(times) for name, times in in_turns(scorers, given.repeats).items()}
    theirs = logits["CrossEncoder"]
    print(f"  CrossEncoder.predict  {len(pairs) / seconds['CrossEncoder']:7.1f} pairs/s")
    for precision, wanted in TARGETS.items():
        times = seconds["CrossEncoder"] / seconds[precision]
        ours = logits[precision][:, -theirs.shape[1] :]
        # The score of several outputs is the last one over the first; our network puts a 0 before a single output.
        tau = kendall_tau(theirs[:, -1] - theirs[:, 0] * (theirs.shape[1] > 1), ours[:, -1] - logits[precision][:, 0])
        print(
            f"  tmkd score {precision}       {len(pairs) / seconds[precision]:7.1f} pairs/s, {times:.2f} × "
            f"({'reached' if times >= wanted else 'MISSED'}, target {wanted:g}); |Δ logit| at most "
            f"{np.abs(theirs - ours).max():.1e}, mean {np.abs(theirs - ours).mean():.1e}, Kendall's τ {tau:.4f}"
        )
    for name, ranker in graphs.items():
        over = ", ".join(f"{times / seconds[name]:.1f} × {other}" for other, times in seconds.items() if other != name)
        print(f"  {name} ({ranker.engine})  {len(pairs) / seconds[name]:7.1f} pairs/s: {over}")


def own(folder: Path, device: str, precision: str) -> TeacherNetwork:
    """Open the folder as `tmkd score` does, with the outputs in the model's own order."""
    model = open_model(folder, folder.name)
    network = in_own_order(folder, model, LONGEST)
    model.to(device)
    order = network.order if model.config.num_labels > 1 else None
    return replace(network, order=order, hardware=Hardware(device, precision))


if __name__ == "__main__":
    main()
