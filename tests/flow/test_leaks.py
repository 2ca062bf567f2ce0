"""The leakage guard end to end: a leak of every dev and test set is planted in every place it can come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import tiny
from tiny import Call
from tmkd.data.pairs import Corpus

# Held-out set → its question and passage, and the same with other words around: nearly them, but not by letters.
HELD = {
    "dev": ("How tall is the old lighthouse near Bergen?", "Forty workers built its tower of red granite in a winter."),
    "test": ("Why did the volcano on Java erupt twice?", "Hot gas had pushed against the cooling plug for six months."),
    "more": ("Who first steered a submarine below Arctic ice?", "Wilkins led the crew under polar floes with an echo."),
}
QUESTIONS = {name: (question.upper(), f"{question} really") for name, (question, _) in HELD.items()}
PASSAGES = {name: (passage.lower(), f"They wrote this: {passage} So it was.") for name, (_, passage) in HELD.items()}
EXACT, NEAR = 0, 1
# Of an NLI task whole pairs are held out.
ENTAILED = {
    "nli-dev": ("A woman tunes her cello before the concert.", "She prepares a cello for playing."),
    "nli-test": ("Two boys mend a kite on the beach.", "Children repair a kite."),
}
CLEAN = (
    "where do tourists find a trusted guide",
    "A trusted guide shows tourists the lighthouse, the volcano, the submarine.",
)
TOPICS = {"dev": "granite tower", "test": "cooling plug", "more": "polar floes"}


def ask(name: str) -> str:
    """A clean question that finds the held-out passages."""
    return f"what {TOPICS[name]} do tourists find"


def write(folder: Path, name: str, rows: Sequence[tuple[str, ...]], header: tuple[str, ...]) -> str:
    tiny.write_tsv(folder / f"{name}.tsv", header, rows)
    return f"{name}.tsv"


def plant(folder: Path, guard: str) -> Path:
    """Files in which every leak stands in every place, beside what is clean; returns the recipe."""
    labelled, pair = ("question", "passage", "label"), ("question", "passage")
    sets = {name: [(*texts, "yes"), (texts[0], f"No word of {name}.", "no")] for name, texts in HELD.items()}
    sets |= {name: [(*texts, "yes"), (texts[0], f"No word of {name}.", "no")] for name, texts in ENTAILED.items()}
    leaks = [(text, f"A fresh text {name}.", "yes") for name in HELD for text in QUESTIONS[name]]
    leaks += [(f"a fresh question {name}", text, "yes") for name in HELD for text in PASSAGES[name]]
    sets["train"] = [(*CLEAN, "yes"), (CLEAN[0], "No guide.", "no"), *leaks]
    sets["nli-train"] = [("A dog runs.", "It moves.", "yes"), ("A dog runs.", "It sleeps.", "no")]
    files = {name: write(folder, name, rows, labelled) for name, rows in sets.items()}
    asked = [CLEAN[0], *map(ask, HELD), *(text for both in QUESTIONS.values() for text in both)]
    asked += [premise for premise, _ in ENTAILED.values()]
    passages = [CLEAN[1], *(text for both in PASSAGES.values() for text in both)]
    passages += [hypothesis for _, hypothesis in ENTAILED.values()]
    given = [CLEAN, *ENTAILED.values()]
    given += [(text, f"A fresh text {place} {name}.") for name in HELD for place, text in enumerate(QUESTIONS[name])]
    given += [(f"a fresh question {place} {name}", text) for name in HELD for place, text in enumerate(PASSAGES[name])]
    questions = write(folder, "questions", [(text,) for text in asked], ("question",))
    found: dict[str, Any] = {"task": "toy", "questions": questions, "guard": guard, "near": False, "top": 30}
    addressed = [(f"https://tiny.example/{place}", text) for place, text in enumerate(passages)]
    values = {
        "name": "leaks",
        "tasks": {
            "toy": {
                "train": files["train"],
                "dev": files["dev"],
                "tests": {"test": files["test"], "more": files["more"]},
            },
            "nli": {
                "train": files["nli-train"],
                "dev": files["nli-dev"],
                "tests": {"official": files["nli-test"]},
                "kind": "nli",
            },
        },
        "collect": {
            "documents": {**found, "documents": write(folder, "documents", addressed, ("url", "text"))},
            "passages": {**found, "passages": write(folder, "passages", [(text,) for text in passages], ("passage",))},
            "given": {"task": "toy", "pairs": write(folder, "given", given, pair), "guard": guard},
        },
        "student": {"base": "bert"},
    }
    return tiny.write_recipe(folder / "leaks.yaml", values)


def letters(text: str) -> str:
    return "".join(one for one in text.lower() if one.isalnum())


@pytest.mark.parametrize(("guard", "left"), [("off", {EXACT, NEAR}), ("exact", {NEAR}), ("near", set())])
def test_each_setting_of_the_guard_holds_in_every_place(tmkd: Call, tmp_path: Path, guard: str, left: set[int]) -> None:
    recipe = plant(tmp_path, guard)
    said = tmkd("collect", recipe, "--runs", tmp_path / "runs")
    assert said.code == 0, said.err
    folder = tmp_path / "runs" / "leaks" / "pairs"
    for corpus in ("documents", "passages", "given"):
        pairs = [(pair.question, pair.passage) for pair in Corpus.open(folder / corpus).pairs()]
        questions, passages = ({letters(pair[place]) for pair in pairs} for place in (0, 1))
        assert CLEAN in pairs
        for name in HELD:
            for kind in (EXACT, NEAR):
                assert (letters(QUESTIONS[name][kind]) in questions) == (kind in left), (corpus, name, kind)
                assert (letters(PASSAGES[name][kind]) in passages) == (kind in left), (corpus, name, kind)
        for pair in ENTAILED.values():
            assert (pair in pairs) == (guard == "off"), corpus


def test_train_rows_that_touch_dev_or_any_test_are_left_out(tmkd: Call, tmp_path: Path) -> None:
    recipe = plant(tmp_path, "near")
    said = tmkd("collect", recipe, "--runs", tmp_path / "runs")
    assert said.code == 0
    counted = "guard questions 3, guard passages 3, guard near questions 3, guard near passages 3, guard removed 12"
    assert counted in said.err
    train = Corpus.open(tmp_path / "runs" / "leaks" / "pairs" / "toy" / "train")
    assert [(pair.question, pair.passage) for pair in train.pairs()] == [CLEAN, (CLEAN[0], "No guide.")]
