"""The verb that hands a corpus and its scores over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny import Call, World


def test_a_run_hands_over_what_its_teachers_have_scored(finished_world: World, tmp_path: Path, tmkd: Call) -> None:
    recipe_and_corpus = ("handover", finished_world.recipe, "toy/train")
    said = tmkd(*recipe_and_corpus, tmp_path / "st", "--runs", finished_world.runs)
    assert (said.code, said.out) == (0, "")
    assert f"wrote {tmp_path / 'st'}, the mean of t1, t2: pairs 36" in said.err.replace("\n", "")
    words = ("--runs", finished_world.runs, "--layout", "flagembedding", "--teachers", "t1")
    said = tmkd(*recipe_and_corpus, tmp_path / "fe", *words)
    assert said.code == 0
    assert "the mean of t1: pairs 36, questions 18" in said.err.replace("\n", "")
    assert len((tmp_path / "fe" / "train.jsonl").read_text().splitlines()) == 18


@pytest.mark.parametrize(
    ("corpus", "more", "code", "said"),
    [
        ("wep", (), 2, "the recipe has no corpus 'wep' that teachers score; did you mean 'web'?"),
        ("toy/test", (), 2, "the recipe has no corpus 'toy/test' that teachers score"),
        ("toy/dev", ("--teachers", "t3"), 2, "no teacher 't3' scores toy/dev; there is t1, t2"),
        ("toy/dev", ("--teachers", "judge"), 2, "no teacher 'judge' scores toy/dev; there is t1, t2"),
        ("web", (), 1, "web is not scored by any teacher yet; run tmkd score first"),
        ("web", ("--teachers", "t2"), 1, "web is not scored by t2 yet; run tmkd score first"),
    ],
)
def test_a_corpus_that_cannot_be_handed_over_is_an_error(
    world: World, tmkd: Call, corpus: str, more: tuple[str, ...], code: int, said: str
) -> None:
    told = tmkd("handover", world.recipe, corpus, world.data / "out", *more, "--runs", world.runs)
    assert (told.code, told.out) == (code, "")
    assert said in told.err.replace("\n", "")
    assert not (world.data / "out").exists()
