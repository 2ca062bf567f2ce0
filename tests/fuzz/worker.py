"""Worker of the fuzzer: reads one input after the other, named by lines of JSON, and answers each with a line.

A line is [kind, path]; the answer is "read", "refused: …", or "fault: …" with a traceback.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tmkd.bundle import Ranker
from tmkd.cli import app
from tmkd.collect.documents import records, to_document
from tmkd.data.labels import LabelSet
from tmkd.data.sources import read_source
from tmkd.data.word_vectors import read_vectors
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.reader import read_recipe
from tmkd.search.trec_run import read_run

LABELS = LabelSet("toy", ("no", "yes"), "yes")
PAIRS = [("what is the moon", "the moon is rock"), ("", "moon " * 100)]


def _bundle(path: Path) -> None:
    scores = Ranker(path).predict(PAIRS)
    assert ((scores >= 0) & (scores <= 1)).all(), "a score is no probability"


def _documents(path: Path) -> None:
    for record in records(SourceSpec(file=path.name), path.parent, Counter()):
        to_document(record, None)


def _run_folder(path: Path) -> None:
    for verb in ("show", "check"):
        sys.argv = ["tmkd", verb, str(path / "tiny.yaml"), "--runs", str(path / "runs")]
        with contextlib.suppress(SystemExit):  # a refusal was printed in a line
            app.main()


READERS: dict[str, Callable[[Path], object]] = {
    "bundle": _bundle,
    "documents": _documents,
    "pairs": lambda path: read_source(SourceSpec(file=path.name), path.parent, LABELS),
    "recipe": read_recipe,
    "run": lambda path: read_run(SourceSpec(file=path.name), path.parent, 10),
    "run folder": _run_folder,
    "vectors": lambda path: list(read_vectors(path)),
}


def main() -> None:
    """Read every input."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # what the command line prints is no answer
    for line in sys.stdin:
        kind, path = json.loads(line)
        try:
            READERS[kind](Path(path))
            answer = "read"
        except TmkdError as refusal:
            answer = f"refused: {refusal}"
        except BaseException:  # whatever it is, an exit included, is a fault that the test fails on
            answer = f"fault: {traceback.format_exc()}"
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
