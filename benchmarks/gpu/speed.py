"""Speed on a CUDA device: scoring beside CrossEncoder.predict, training beside a bare PyTorch loop.

    python -m benchmarks.gpu.speed --out results

Weights, ids and texts are made up. Each figure is printed when it is there, and kept in speed.json. `--tiny` runs all
of it on a CPU within seconds, to see that it works. sentence-transformers comes with `pip install '.[bench]'`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.gpu import made_up
from benchmarks.gpu.bare import bare_loop
from benchmarks.gpu.made_up import REAL, TINY, Sizes
from torch import Tensor, nn
from transformers import __version__ as transformers_version

from tmkd.data.labels import LabelSet
from tmkd.data.tokens import TokenIds
from tmkd.machine import machine_line
from tmkd.network import Student, StudentConfig, scoring
from tmkd.network.headers import Header
from tmkd.network.scoring import batched_logits, bf16_copy, network_logits
from tmkd.recipe.fit import FitSpec
from tmkd.teachers.network import TeacherNetwork, forward, load
from tmkd.train.batches import Examples
from tmkd.train.hardware import Hardware
from tmkd.train.loop import fit
from tmkd.train.trainer import HeaderLogits, Training

LABELS = LabelSet("made-up", ("no", "yes"), "yes")
IDS = 64
BUDGETS = (65_536, 131_072)
COMPARED = 2048  # pairs whose logits in bf16 are compared with those in float32


@dataclass
class Figures:
    """Figures of a run, written to speed.json after each."""

    out: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(
        self, what: str, pairs_per_second: float, flops_per_pair: float = 0.0, beside: float | None = None
    ) -> float:
        """Keep and print one figure; `beside` is the pairs/s that it is compared with."""
        row: dict[str, Any] = {"what": what, "pairs_per_second": pairs_per_second}
        line = f"{what:58} {pairs_per_second:12,.0f} pairs/s"
        if flops_per_pair and "matmul_flops" in self.facts:
            row["share_of_matmul"] = pairs_per_second * flops_per_pair / self.facts["matmul_flops"]
            line += f"  {row['share_of_matmul']:6.1%} of the chip"
        if beside is not None:
            row["ratio"] = pairs_per_second / beside
            line += f"  {row['ratio']:5.2f} ×"
        self.rows.append(row)
        print(line, flush=True)
        self.write()
        return pairs_per_second

    def write(self) -> None:
        """Write speed.json."""
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "speed.json").write_text(json.dumps({**self.facts, "rows": self.rows}, indent=1))


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--tiny", action="store_true", help="tiny sizes on the CPU")
    options.add_argument("--compile", action="store_true", help="measure torch.compile too, which takes a minute")
    given = options.parse_args()
    sizes, hardware = (TINY, Hardware("cpu", "fp32")) if given.tiny else (REAL, Hardware("cuda", "bf16"))
    figures = Figures(given.out)
    figures.facts = {
        "device": machine_line() if given.tiny else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "transformers": transformers_version,
        "python": sys.version.partition(" ")[0],
        "precision": hardware.precision,
        "sizes": asdict(sizes),
    }
    print(*(f"{name} {value}" for name, value in figures.facts.items()), sep=", ", flush=True)
    parts: list[Callable[[Sizes, Hardware, Figures], None]] = [
        matmul, scoring_of_texts, training, scoring_of_ids, differences
    ]  # fmt: skip
    if given.compile:
        parts += [compiled_training, compiled_scoring]
    for part in parts:
        begun = time.perf_counter()
        try:
            part(sizes, hardware, figures)
        except Exception as error:  # the other figures are worth having
            if given.tiny:
                raise
            figures.facts[f"failed: {part.__name__}"] = repr(error)
            traceback.print_exc()
        print(f"  {part.__name__}: {time.perf_counter() - begun:.1f} s", flush=True)
        figures.write()


def matmul(sizes: Sizes, hardware: Hardware, figures: Figures) -> None:
    """Rate of a square product in the run's number format, FLOP/s: what shares of the chip refer to."""
    kind = torch.bfloat16 if hardware.precision == "bf16" else torch.float32
    side = sizes.matmul
    one, other = (torch.randn(side, side, device=hardware.device, dtype=kind) for _ in range(2))
    for _ in range(3):
        one @ other
    seconds = min(_seconds(hardware, lambda: [one @ other for _ in range(10)]) for _ in range(3)) / 10
    figures.facts["matmul_flops"] = 2 * side**3 / seconds
    print(f"{side}³ product: {figures.facts['matmul_flops'] / 1e12:.1f} TFLOP/s", flush=True)


def training(sizes: Sizes, hardware: Hardware, figures: Figures) -> None:
    """Stage 1 and 2 of a student and a teacher's training, each beside a bare loop."""
    cases = [
        ("stage 1, 64 ids", 1.0, 1024, True),
        ("stage 1", 1.0, 1024, False),
        ("stage 1", 1.0, 32, False),
        ("stage 2", 0.9, 1024, False),
        ("stage 2", 0.9, 32, False),
        ("teacher", 0.0, 128, False),
    ]
    for name, alpha, batch, same in cases:
        examples, layers = _examples(sizes, alpha, batch, same), sizes.layers if alpha == 0 else sizes.kept_layers
        flops = 3 * _flops(sizes, layers, examples.tokens.lengths)
        bare = bare_loop(sizes, layers, examples, alpha, batch, hardware)
        figures.add(f"{name}, batch {batch}: bare loop", bare, flops)
        ours = our_loop(sizes, layers, examples, alpha, batch, hardware)
        figures.add(f"{name}, batch {batch}: ours", ours, flops, bare)


def scoring_of_ids(sizes: Sizes, hardware: Hardware, figures: Figures) -> None:
    """Logits of a teacher for token ids; also under autocast, with smaller batches, and with cuDNN's attention."""
    with _teacher(sizes, hardware) as (_, teacher):
        for name, tokens in (
            (f"{IDS} ids", made_up.same_lengths(sizes, sizes.scored, IDS, seed=1)),
            ("mixed lengths", made_up.mixed_lengths(sizes, sizes.scored, seed=1)),
        ):
            flops = _flops(sizes, sizes.layers, tokens.lengths)
            figures.add(f"scoring, {name}", _scored(teacher, tokens, hardware), flops)
            autocast = _scored(teacher, tokens, hardware, score=_autocast_logits)
            figures.add(f"scoring, {name}, autocast", autocast, flops)
            for budget in BUDGETS:
                with _budget(budget):
                    figures.add(f"scoring, {name}, {budget} ids a batch", _scored(teacher, tokens, hardware), flops)
        torch.backends.cuda.enable_cudnn_sdp(True)
        for time_of in ("first", "second"):
            figures.add(f"scoring, mixed lengths, cuDNN, {time_of} time", _scored(teacher, tokens, hardware), flops)
        torch.backends.cuda.enable_cudnn_sdp(False)


def differences(sizes: Sizes, hardware: Hardware, figures: Figures) -> None:
    """Largest difference of a teacher's logits in bf16 from those in float32, by either way of bf16."""
    tokens = made_up.mixed_lengths(sizes, min(COMPARED, sizes.scored), seed=2)
    with _teacher(sizes, hardware) as (_, teacher):
        exact = _autocast_logits(teacher.model, forward, tokens, 0, hardware.device, "fp32")
        ways = {
            "autocast": _autocast_logits(teacher.model, forward, tokens, 0, hardware.device, "bf16"),
            "weights in bf16": batched_logits(
                partial(forward, bf16_copy(teacher.model)), tokens, 0, hardware.device, "fp32"
            ),
        }
    for name, found in ways.items():
        apart = np.abs(found - exact)
        facts = {"largest": float(apart.max()), "mean": float(apart.mean()), "deviation of logits": float(exact.std())}
        figures.facts[f"difference, {name}"] = facts
        print(f"difference of logits, {name}:", *(f"{what} {value:.2g}" for what, value in facts.items()), flush=True)


def scoring_of_texts(sizes: Sizes, hardware: Hardware, figures: Figures) -> None:
    """Logits of a teacher for texts, as `tmkd score` has them, beside CrossEncoder.predict."""
    questions, passages = made_up.texts(sizes, sizes.scored // 4, np.full(sizes.scored // 4, IDS), seed=1)
    with _teacher(sizes, hardware) as (folder, teacher):
        teacher.logits(questions[:100], passages[:100])
        ours = len(questions) / _seconds(hardware, lambda: teacher.logits(questions, passages))
        figures.add("scoring of texts", ours)
        from sentence_transformers import CrossEncoder

        some = list(zip(questions, passages, strict=True))[: sizes.predicted]
        torch.backends.cuda.enable_cudnn_sdp(True)  # as its users have it
        for kind, batch in ((torch.float32, 32), (torch.bfloat16, 32), (torch.bfloat16, 1024)):
            told = {"dtype": kind}
            peer = CrossEncoder(str(folder), device=hardware.device, max_length=made_up.LONGEST, model_kwargs=told)
            predict = partial(peer.predict, batch_size=batch, activation_fn=nn.Identity(), show_progress_bar=False)
            predict(some[:64])
            theirs = len(some) / _seconds(hardware, partial(predict, some))
            name = f"CrossEncoder.predict, {str(kind).removeprefix('torch.')}, batch {batch}"
            figures.add(name, theirs)
            figures.add(f"scoring of texts beside {name}", ours, beside=theirs)


def compiled_training(sizes: Sizes, hardware: Hardware, figures: Figures) -> None:
    """Stage 1 through torch.compile, with one shape of batches and with many."""
    compiled: Any = torch.compile(_header_logits)
    for name, same in (("stage 1, 64 ids", True), ("stage 1", False)):
        examples = _examples(sizes, 1.0, 1024, same)
        flops = 3 * _flops(sizes, sizes.kept_layers, examples.tokens.lengths)
        ours = our_loop(sizes, sizes.kept_layers, examples, 1.0, 1024, hardware, compiled)
        figures.add(f"{name}, batch 1024: ours, compiled", ours, flops)


def compiled_scoring(sizes: Sizes, hardware: Hardware, figures: Figures) -> None:
    """Logits of a teacher for token ids of one length through torch.compile."""
    tokens = made_up.same_lengths(sizes, sizes.scored, IDS, seed=1)
    flops = _flops(sizes, sizes.layers, tokens.lengths)
    with _teacher(sizes, hardware) as (_, teacher):
        compiled: Any = torch.compile(forward, dynamic=False)
        figures.add("scoring, 64 ids, compiled", _scored(teacher, tokens, hardware, compiled), flops)


def our_loop(
    sizes: Sizes,
    layers: int,
    examples: Examples,
    alpha: float,
    batch: int,
    hardware: Hardware,
    header_logits: HeaderLogits | None = None,
) -> float:
    """Train a student with `fit`; returns pairs/s after a tenth of the steps."""
    config = {
        "model_type": "bert",
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(sizes.width // 32, 1),
        "intermediate_size": 4 * sizes.width,
    }
    headers = (alpha < 1) + (0 if examples.soft is None else examples.soft.shape[1])
    named = [Header(f"made-up/{number}", None) for number in range(headers)]

    torch.manual_seed(1)
    student = Student(StudentConfig.of(config, "pooler", LABELS, named, made_up.LONGEST))
    settings = FitSpec(batch=batch, epochs=1, dropout=0.0, checkpoint_steps=10**9)
    clock = Clock(header_logits or _header_logits, len(examples) // batch // 10 * batch, hardware)
    with tempfile.TemporaryDirectory() as work:
        fit(
            student,
            clock.forward,
            examples,
            Training(settings, alpha, 1, hardware),
            work=Path(work),
            dev=None,
            title="  fit",
        )
    return clock.pairs_per_second()


class Clock:
    """Forward pass of a student that notes the time at which `first` pairs were trained on."""

    def __init__(self, header_logits: HeaderLogits, first: int, hardware: Hardware) -> None:
        self._header_logits, self._first, self._hardware = header_logits, first, hardware
        self._pairs, self._before, self._begun = 0, 0, 0.0

    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Header logits, as `fit` asks for them."""
        if self._begun == 0.0 and self._pairs >= self._first:
            self._begun, self._before = _now(self._hardware), self._pairs
        self._pairs += len(batch["input_ids"])
        return self._header_logits(model, batch)

    def pairs_per_second(self) -> float:
        """Pairs/s from then until now."""
        return (self._pairs - self._before) / (_now(self._hardware) - self._begun)


def _header_logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    logits: Tensor = model(**batch).header_logits
    return logits


def _examples(sizes: Sizes, alpha: float, batch: int, same: bool) -> Examples:
    pairs = (sizes.steps if batch > 200 else sizes.small_steps) * batch
    make = partial(made_up.same_lengths, ids=IDS) if same else made_up.mixed_lengths
    examples = made_up.examples(make(sizes, pairs, seed=1), seed=1)
    return examples if alpha > 0 else Examples(examples.tokens, examples.labels, examples.pad_id)


@contextmanager
def _teacher(sizes: Sizes, hardware: Hardware) -> Iterator[tuple[Path, TeacherNetwork]]:
    classes = {"no": "LABEL_0", "yes": "LABEL_1"}
    with tempfile.TemporaryDirectory() as place:
        folder = made_up.write_teacher(sizes, Path(place))
        yield folder, load(folder, LABELS, classes, made_up.LONGEST, hardware, "made-up")


@contextmanager
def _budget(ids: int) -> Iterator[None]:
    """Set the token ids of each batch that is scored, for a while."""
    module: Any = scoring
    own = module.scoring_budget
    module.scoring_budget = lambda device, on_cpu: ids
    try:
        yield
    finally:
        module.scoring_budget = own


def _scored(
    teacher: TeacherNetwork,
    tokens: TokenIds,
    hardware: Hardware,
    network: Callable[..., Tensor] = forward,
    score: Callable[..., np.ndarray] = network_logits,
) -> float:
    """Pairs/s of a teacher over token ids, after a warm-up."""

    def run(some: TokenIds) -> np.ndarray:
        return score(teacher.model, network, some, 0, hardware.device, hardware.precision)

    run(tokens.take(np.arange(len(tokens.lengths) // 8)))
    return len(tokens.lengths) / _seconds(hardware, lambda: run(tokens))


def _autocast_logits(
    model: nn.Module, network: Callable[..., Tensor], tokens: TokenIds, pad_id: int, device: str, precision: str
) -> np.ndarray:
    return batched_logits(lambda inputs: network(model, inputs), tokens, pad_id, device, precision)


def _flops(sizes: Sizes, layers: int, lengths: np.ndarray) -> float:
    """Floating-point operations of a forward pass over a pair of these lengths, in the mean: products alone."""
    ids = lengths.astype(np.float64)
    return float((layers * (24 * sizes.width**2 * ids + 4 * sizes.width * ids**2)).mean())


def _now(hardware: Hardware) -> float:
    """Wall clock after the device has done what it was given."""
    if hardware.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _seconds(hardware: Hardware, work: Callable[[], object]) -> float:
    begun = _now(hardware)
    work()
    return _now(hardware) - begun


if __name__ == "__main__":
    main()
