"""Speed of answering questions offline, beside the bundle's own pairs/s on the same pairs.

    python benchmarks/precompute.py runs/demo --corpus web --questions 1000 10000

The run folder has a bundle and the corpus's index; questions are words drawn from its passages.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from statistics import median

import pyarrow as pa

from tmkd.bundle import Ranker
from tmkd.engines.local import LocalEngine
from tmkd.machine import machine_line
from tmkd.search.candidates import candidates
from tmkd.search.index import STOP_WORDS, TantivyIndex
from tmkd.serve.precompute import Answering, precompute

SHARE = 0.9  # of the bundle's own pairs/s, that a precomputation reaches at least
WORDS = 4  # of a question


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path, help="folder of a finished run, such as runs/demo")
    options.add_argument("--corpus", default="web")
    options.add_argument("--questions", type=int, nargs="+", default=[256])
    options.add_argument("--top", type=int, default=10)
    options.add_argument("--repeats", type=int, default=3)
    given = options.parse_args()
    answering = Answering(given.run / "bundle", given.run / "index" / given.corpus, given.top, keep=5)
    index, ranker = TantivyIndex(answering.index), Ranker(answering.bundle)
    asked = questions(index, max(given.questions))
    print(f"{machine_line()}; {ranker.engine_words}; {len(index):,} passages")
    for number in given.questions:
        some = asked[:number]
        pairs = [(one, hit.passage) for one in some[:512] for hit in candidates(index, one, given.top)]
        own, offline, each = [], [], []
        for _ in range(given.repeats):  # in turns, so that other load slows both alike
            start = time.perf_counter()
            ranker.predict_proba(pairs)
            own.append(len(pairs) / (time.perf_counter() - start))
            scored, seconds = _precomputed(answering, some)
            offline.append(scored / seconds)
            each.append(1000 * seconds / number)
        share = median(offline) / median(own)
        print(
            f"  {number:>7,} questions: {median(offline):,.0f} pairs/s, {median(each):.2f} ms a question; the bundle "
            f"alone {median(own):,.0f} pairs/s, so {share:.2f} × ({'reached' if share >= SHARE else 'MISSED'}, at "
            f"least {SHARE:g} ×)"
        )


def questions(index: TantivyIndex, number: int) -> list[str]:
    """Distinct questions of a few words of one passage each."""
    draw = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < number:
        words = index.texts.passage(draw.randrange(len(index))).lower().split()
        kept = [word for word in words if word.isalpha() and word not in STOP_WORDS]
        if len(kept) >= WORDS:
            found[f"what about {' '.join(draw.sample(kept, WORDS))}"] = None
    return list(found)


def _precomputed(answering: Answering, asked: list[str]) -> tuple[int, float]:
    """Pairs scored and seconds of one precomputation, from opening the bundle to the TREC run."""
    table = pa.table({"group": asked, "question": asked})
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        facts = precompute(answering, table, Path(folder), lambda done, total: None, LocalEngine())
        seconds = time.perf_counter() - start
    pairs = facts["scored_pairs"]
    assert isinstance(pairs, int)
    return pairs, seconds


if __name__ == "__main__":
    main()
