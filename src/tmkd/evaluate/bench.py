"""`tmkd bench`: pairs/s and latency of a bundle, and of whatever it is to be compared with, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from tmkd.bundle.format import BUNDLE, GRAPHS, Engine, Precision, check_file, read_bundle, tokenizer_file
from tmkd.bundle.kernel import kernel_fault
from tmkd.bundle.ranker import Ranker
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError, UsageError
from tmkd.machine import cores

WARM_UP = 3  # calls not counted
LONGEST = 512  # token ids of a pair that a rival reads; BERT has no more positions
QUESTION = 6  # words of a made-up question, the mean of the paper's Table 3

Texts = tuple[list[str], list[str]]
Call = Callable[[Sequence[str], Sequence[str]], object]


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to time: `prepare` sets its threads and returns the call that scores (questions, passages)."""

    name: str
    precision: str
    engine: str
    prepare: Callable[[int], Call]


@dataclass(frozen=True, slots=True)
class BenchPoint:
    """One measured cell: `calls` of `batch` pairs of `length` token ids each, tokenising included.

    pairs/s is over all calls; p50, p95 and p99 are milliseconds a call; `spread` is the middle half of the calls'
    durations over their median.
    """

    name: str
    precision: str
    engine: str
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

    Raises: TmkdError for a folder that is none of these.
    """
    found = []
    for folder in (bundle, *against):
        if folder == bundle or (folder / BUNDLE).is_file():
            for precision in reversed(read_bundle(folder).precisions):
                for engine in _engines(folder, precision):
                    found.append(Contender(folder.name, precision, engine, _of_bundle(folder, precision, engine)))
        else:
            found.append(Contender(folder.name, "fp32", "torch", _of_network(folder)))
    return found


def _engines(folder: Path, precision: Precision) -> list[Engine]:
    """What can compute a bundle's graph here, whether `Ranker` would take it unasked or not."""
    graph = check_file(folder, GRAPHS[precision]).read_bytes()
    return ["kernel", "onnxruntime"] if kernel_fault(graph) is None else ["onnxruntime"]


def _of_bundle(folder: Path, precision: Precision, engine: Engine) -> Callable[[int], Call]:
    def prepare(threads: int) -> Call:
        ranker = Ranker(folder, precision, threads, engine)
        return lambda questions, passages: ranker.predict_proba(list(zip(questions, passages, strict=True)))

    return prepare


def _of_network(folder: Path) -> Callable[[int], Call]:
    def prepare(threads: int) -> Call:
        import torch
        from transformers import AutoConfig

        from tmkd.evaluate.scorers import from_student_folder
        from tmkd.network import StudentConfig
        from tmkd.teachers.network import TeacherNetwork, longest, open_model
        from tmkd.train.hardware import Hardware

        torch.set_num_threads(threads)
        hardware = Hardware("cpu", "fp32")
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except (OSError, ValueError) as error:
            raise TmkdError(f"{folder}: neither a bundle nor a model: {str(error).splitlines()[0]}") from None
        if isinstance(config, StudentConfig):
            return from_student_folder(folder.name, folder, hardware).logits
        model = open_model(folder, folder.name)
        model.train(False)
        tokenizer = PairTokenizer.load(folder, longest(model.config, LONGEST))
        return TeacherNetwork(model, tokenizer, tuple(range(model.config.num_labels)), hardware).logits

    return prepare


def made_up(tokenizer: Tokenizer, pair_tokenizer: PairTokenizer, length: int, count: int, seed: int) -> Texts:
    """Questions and passages of random whole words, `count` pairs of `length` token ids (or of the most that fit)."""
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha() and word.isascii() and word.islower())
    kept = [words[at] for at in np.random.default_rng(seed).permutation(len(words))[:2000]] or ["a"]
    kept = [word for word in kept if len(tokenizer.encode(word, add_special_tokens=False).ids) == 1] or kept[:1]
    rng = np.random.default_rng([seed, length])
    specials = int(pair_tokenizer.encode([""], [""]).lengths[0])
    asked = max(min(QUESTION, length - specials - 1), 1)
    told = max(length - specials - asked, 1)

    def text(count: int) -> str:
        return " ".join(kept[at] for at in rng.integers(len(kept), size=count))

    return [text(asked) for _ in range(count)], [text(told) for _ in range(count)]


def measure(call: Call, texts: Texts, batch: int, calls: int, seconds: float) -> np.ndarray:
    """Seconds of each of `calls` calls (fewer when `seconds` are over) on successive batches, after a warm-up."""
    questions, passages = texts

    def one(number: int) -> float:
        at = [(number * batch + place) % len(questions) for place in range(batch)]
        some = [questions[place] for place in at], [passages[place] for place in at]
        begun = time.perf_counter()
        call(*some)
        return time.perf_counter() - begun

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
    """Measure every contender in every cell of batch × length × threads; threads None … all cores.

    Raises: UsageError for a number below 1; TmkdError for a folder that cannot be opened.
    """
    if min((*batches, *lengths, *threads, calls), default=1) < 1 or seconds <= 0:
        raise UsageError("batches, lengths, threads, calls and seconds are numbers above 0")
    rivals = contenders(bundle, against)
    settings = read_bundle(bundle).text
    tokenizer = Tokenizer.from_buffer(tokenizer_file(bundle).read_bytes())
    pair_tokenizer = PairTokenizer(tokenizer, settings)
    for used in threads or (cores(),):
        ready = [(rival, rival.prepare(used)) for rival in rivals]
        for length in lengths:
            for batch in batches:
                texts = made_up(tokenizer, pair_tokenizer, length, max(batch, 64), seed=1)
                real = int(pair_tokenizer.encode(texts[0][:1], texts[1][:1]).lengths[0])
                for rival, call in ready:
                    took = measure(call, texts, batch, calls, seconds)
                    low, half, high, rare, rarest = np.percentile(took, (25, 50, 75, 95, 99))
                    yield BenchPoint(
                        rival.name, rival.precision, rival.engine, batch, real, used, len(took),
                        batch * len(took) / took.sum(), 1e3 * half, 1e3 * rare, 1e3 * rarest, (high - low) / half,
                    )  # fmt: skip
