"""Speed and memory of the look-up store: external sort, load in key order, look-ups in process.

    python benchmarks/lookup.py --entries 10000000

Each entry is a question with five answers. A look-up derives the key from the question's text, reads the entry in a
held transaction, checks its digest and decodes the answers; the second figure leaves the key out.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tmkd.machine import machine_line
from tmkd.serve.answer_value import Answer, decode, encode, most_bytes
from tmkd.serve.lookup import LmdbAnswers
from tmkd.serve.lookup_writer import write_version
from tmkd.serve.question_key import question_key
from tmkd.serve.sorted_entries import EntrySorter
from tmkd.serve.store_origin import ScoredBy, StoreOrigin
from tmkd.serve.store_version import DATA, OpenVersion, read_pointer

ANSWERS = 5
LOOKED_UP = 200_000  # questions that are looked up, drawn at random
RATE, LOAD_SECONDS, LOADED, MEMORY = 300_000, 30, 10_000_000, 1 << 30
ORIGIN = StoreOrigin(ScoredBy("0" * 64, "int8", "kernel", 2, "0" * 64, 10, ANSWERS), 0.5)
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def question(number: int) -> str:
    """A question of its own for each number, of letters alone."""
    words = []
    for _ in range(4):
        number, place = divmod(number, len(SYLLABLES))
        words.append(SYLLABLES[place])
    return f"how long does the {''.join(words[:2])} of a {''.join(words[2:])} last?"


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--entries", type=int, default=200_000)
    options.add_argument("--seconds", type=float, default=2.0, help="time of each of five runs of look-ups")
    options.add_argument("--folder", type=Path, help="folder on the disk to measure; the system's for temporary files")
    given = options.parse_args()
    print(f"{machine_line()}; {given.entries:,} entries of {ANSWERS} answers")
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        with watched("external sort, keys and values included"):
            sorter = _sorter(folder, given.entries)
        with watched("load of the sorted entries") as load:
            write_version(folder, ORIGIN, sorter.entries())
        size = (folder / read_pointer(folder) / DATA).stat().st_size
        print(f"  {size / given.entries:.0f} bytes an entry")
        seconds = load["seconds"] * LOADED / given.entries
        print(
            f"  {LOADED:,} entries at this rate: {seconds:.0f} s ({_kept(seconds <= LOAD_SECONDS)}, at most "
            f"{LOAD_SECONDS} s); RssAnon below {MEMORY >> 20:,} MiB: {_kept(load['bytes'] < MEMORY)}"
        )
        _look_up(folder, given.entries, given.seconds)


def _sorter(folder: Path, entries: int) -> EntrySorter:
    work = folder / "sort"
    work.mkdir()
    sorter = EntrySorter(work, entries, most_bytes(ANSWERS))
    for number in range(entries):
        key = question_key(question(number))
        sorter.add(
            key, encode(key, [Answer((number + place) % 1_000_000, 0.9 - place / 8) for place in range(ANSWERS)])
        )
    sorter.flush()
    return sorter


def _look_up(folder: Path, entries: int, seconds: float) -> None:
    """Print look-ups per second by question and by key, the median of five runs."""
    draw = random.Random(1)
    questions = [question(draw.randrange(entries)) for _ in range(min(entries, LOOKED_UP))]
    store = LmdbAnswers(folder)
    shared = OpenVersion.acquire(folder / read_pointer(folder))
    keys = [question_key(one) for one in questions]
    with shared.environment.begin() as transaction:

        def by_question() -> int:
            return sum(len(store.get(one) or ()) for one in questions)

        def by_key() -> int:
            return sum(len(decode(key, transaction.get(key) or b"")) for key in keys)

        for title, call in (("by question", by_question), ("by key", by_key)):
            call()
            rates = sorted(_rate(call, len(questions), seconds) for _ in range(5))
            print(f"  look-ups {title}: {rates[2]:,.0f}/s ({_kept(rates[2] >= RATE)}, at least {RATE:,}/s)")
    shared.release()
    store.close()


def _rate(call: object, questions: int, seconds: float) -> float:
    assert callable(call)
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        assert call() == ANSWERS * questions
        calls += 1
    return calls * questions / (time.perf_counter() - start)


def _kept(reached: bool) -> str:
    return "reached" if reached else "MISSED"


@contextmanager
def watched(title: str) -> Iterator[dict[str, float]]:
    """Print seconds of a block and the highest RssAnon meanwhile; give both after it."""
    told: dict[str, float] = {"bytes": 0}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            told["bytes"] = max(told["bytes"], anonymous_bytes())

    watcher = threading.Thread(target=watch)
    start = time.perf_counter()
    watcher.start()
    yield told
    told["seconds"] = time.perf_counter() - start
    ended.set()
    watcher.join()
    print(f"  {title}: {told['seconds']:.1f} s, RssAnon at most {told['bytes'] / 2**20:,.0f} MiB")


def anonymous_bytes() -> int:
    """Resident memory of this process that no file backs, as Linux counts it (RssAnon)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
