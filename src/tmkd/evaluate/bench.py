"""`tmkd bench`: pairs/s and latency of a bundle beside other bundles, students and sequence classifiers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from tmkd.bundle.format import (
    BUNDLE,
    GRAPHS,
    INT8_ENGINES,
    ONNXRUNTIME,
    Engine,
    Precision,
    Width,
    read_bundle,
    read_file,
)
from tmkd.bundle.kernel import kernel_fault
from tmkd.bundle.ranker import Ranker
from tmkd.data.text import TOKENIZER, PairTokenizer
from tmkd.errors import TmkdError, UsageError, first_line
from tmkd.evaluate.speed import wall_time
from tmkd.machine import cores

WARM_UP = 3  # calls not counted
LONGEST = 512  # token ids of a pair for a model that is no bundle; BERT's number of positions
QUESTION = 6  # words of a synthetic question, the mean of the paper's Table 3

Texts = tuple[list[str], list[str]]
Call = Callable[[Sequence[str], Sequence[str]], object]


@dataclass(frozen=True, slots=True)
class Contender:
    """A model to time: `prepare` sets its threads and returns the call that scores (questions, passages).

    `width` is that of a bundle's int8 engine.
    """

    name: str
    precision: str
    engine: str
    width: int | None
    prepare: Callable[[int], Call]


@dataclass(frozen=True, slots=True)
class BenchPoint:
    """One measurement: `calls` calls, each with `batch` pairs of `length` token ids, tokenising included.

    pairs/s is over all calls; p50, p95 and p99 are milliseconds per call; `spread` is the interquartile range of the
    calls' durations over their median.
    """

    name: str
    precision: str
    engine: str
    width: int | None
    batch: int
    length: int
    threads: int
    calls: int
    pairs_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    spread: float


def contenders(bundle: Path, against: Sequence[Path]) -> list[Contender]:
    """The bundle in each of its precisions on each engine, then the others: bundles, students, sequence classifiers.

    Raises: TmkdError when a folder holds none of these.
    """
    found = []
    for folder in (bundle, *against):
        if folder == bundle or (folder / BUNDLE).is_file():
            for precision in reversed(read_bundle(folder).precisions):
                for engine, width in _engines(folder, precision):
                    prepare = _of_bundle(folder, precision, engine, width)
                    found.append(Contender(folder.name, precision, engine, width, prepare))
        else:
            found.append(Contender(folder.name, "fp32", "torch", None, _of_network(folder)))
    return found


def _engines(folder: Path, precision: Precision) -> Sequence[tuple[Engine, Width | None]]:
    """All engines that can compute a bundle's graph on this processor, not only the default of `Ranker`."""
    if precision == "fp32":
        return [("onnxruntime", None)]
    return INT8_ENGINES if kernel_fault(read_file(folder, GRAPHS[precision])) is None else [ONNXRUNTIME]


def _of_bundle(folder: Path, precision: Precision, engine: Engine, width: Width | None) -> Callable[[int], Call]:
    def prepare(threads: int) -> Call:
        ranker = Ranker(folder, precision, threads, engine, width)
        return lambda questions, passages: ranker.predict_proba(list(zip(questions, passages, strict=True)))

    return prepare


def _of_network(folder: Path) -> Callable[[int], Call]:
    def prepare(threads: int) -> Call:
        import torch
        from transformers import AutoConfig

        from tmkd.evaluate.scorers import from_student_folder
        from tmkd.network import StudentConfig
        from tmkd.teachers.network import in_own_order, open_model
        from tmkd.train.hardware import Hardware

        torch.set_num_threads(threads)
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except (OSError, ValueError) as error:
            raise TmkdError(f"{folder}: neither a bundle nor a model: {first_line(error)}") from None
        if isinstance(config, StudentConfig):
            return from_student_folder(folder.name, folder, Hardware("cpu", "fp32")).logits
        return in_own_order(folder, open_model(folder, folder.name), LONGEST).logits

    return prepare


def synthetic_pairs(tokenizer: Tokenizer, pair_tokenizer: PairTokenizer, length: int, count: int, seed: int) -> Texts:
    """Synthetic texts: `count` pairs of random whole words with `length` token ids, or as many as the model reads."""
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha() and word.isascii() and word.islower())
    kept = [words[at] for at in np.random.default_rng(seed).permutation(len(words))[:2000]] or ["a"]
    kept = [word for word in kept if len(tokenizer.encode(word, add_special_tokens=False).ids) == 1] or kept[:1]
    rng = np.random.default_rng([seed, length])
    specials = int(pair_tokenizer.encode([""], [""]).lengths[0])
    question_words = max(min(QUESTION, length - specials - 1), 1)
    passage_words = max(length - specials - question_words, 1)

    def text(words: int) -> str:
        return " ".join(kept[at] for at in rng.integers(len(kept), size=words))

    return [text(question_words) for _ in range(count)], [text(passage_words) for _ in range(count)]


def measure(call: Call, texts: Texts, batch: int, calls: int, seconds: float) -> np.ndarray:
    """Durations (s) of `calls` calls on successive batches after a warm-up; fewer calls once `seconds` are over."""
    questions, passages = texts

    def one(number: int) -> float:
        at = [(number * batch + place) % len(questions) for place in range(batch)]
        return wall_time(partial(call, [questions[place] for place in at], [passages[place] for place in at]))

    for number in range(WARM_UP):
        one(number)
    durations: list[float] = []
    until = time.perf_counter() + seconds
    while len(durations) < calls and (not durations or time.perf_counter() < until):
        durations.append(one(len(durations)))
    return np.array(durations)


def bench(
    bundle: Path,
    against: Sequence[Path],
    batches: Sequence[int],
    lengths: Sequence[int],
    threads: Sequence[int],
    calls: int,
    seconds: float,
) -> Iterator[BenchPoint]:
    """Measure every contender at every batch size × length × number of threads; no `threads` means all cores.

    Raises: UsageError on a number below 1; TmkdError when a folder cannot be opened.
    """
    if min((*batches, *lengths, *threads, calls), default=1) < 1 or seconds <= 0:
        raise UsageError("batches, lengths, threads, calls and seconds must be above 0")
    rivals = contenders(bundle, against)
    settings = read_bundle(bundle).text
    tokenizer = Tokenizer.from_buffer(read_file(bundle, TOKENIZER))
    pair_tokenizer = PairTokenizer(tokenizer, settings)
    for used in threads or (cores(),):
        ready = [(rival, rival.prepare(used)) for rival in rivals]
        for length in lengths:
            for batch in batches:
                texts = synthetic_pairs(tokenizer, pair_tokenizer, length, max(batch, 64), seed=1)
                real = int(pair_tokenizer.encode(texts[0][:1], texts[1][:1]).lengths[0])
                for rival, call in ready:
                    times = measure(call, texts, batch, calls, seconds)
                    p25, p50, p75, p95, p99 = np.percentile(times, (25, 50, 75, 95, 99))
                    yield BenchPoint(
                        rival.name, rival.precision, rival.engine, rival.width, batch, real, used, len(times),
                        batch * len(times) / times.sum(), 1e3 * p50, 1e3 * p95, 1e3 * p99, (p75 - p25) / p50,
                    )  # fmt: skip
