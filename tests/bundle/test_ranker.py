"""A bundle at work: the student's own answers, whatever is asked and however it is batched."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny
from tmkd.bundle import Ranker
from tmkd.bundle.format import Precision
from tmkd.errors import TmkdError
from tmkd.network import Student

PAIRS = [(question, passage) for question, passage, _ in tiny.pairs(range(12))]
BOTH: tuple[Precision, ...] = ("fp32", "int8")
ODD = ["", " ", "🌙 moon", "القمر", "\ud800", "moon " * 20_000, "\0", "a\u0301"]


@pytest.fixture(scope="module", params=BOTH)
def ranker(request: pytest.FixtureRequest, made: tuple[Path, Path]) -> Ranker:
    return Ranker(made[1], request.param, threads=2)


def test_fp32_gives_the_students_probabilities(made: tuple[Path, Path]) -> None:
    student = Student.from_pretrained(made[0])
    np.testing.assert_allclose(Ranker(made[1], "fp32").predict_proba(PAIRS), student.predict_proba(PAIRS), atol=1e-5)


def test_int8_is_near_them(made: tuple[Path, Path]) -> None:
    student = Student.from_pretrained(made[0])
    assert np.abs(Ranker(made[1], "int8").predict(PAIRS) - student.predict(PAIRS)).max() < 0.05


def test_three_classes_give_the_likeliest_one(made_of_three: tuple[Path, Path]) -> None:
    student, ranker = Student.from_pretrained(made_of_three[0]), Ranker(made_of_three[1], "fp32")
    np.testing.assert_allclose(ranker.predict_proba(PAIRS), student.predict_proba(PAIRS), atol=1e-5)
    assert ranker.predict(PAIRS).tolist() == student.predict(PAIRS).tolist()


def test_ranking_is_the_students(made: tuple[Path, Path]) -> None:
    question, passages = PAIRS[0][0], [passage for _, passage in PAIRS]
    ours = Ranker(made[1], "fp32").rank(question, passages, top_k=5, return_documents=True)
    theirs = Student.from_pretrained(made[0]).rank(question, passages, top_k=5, return_documents=True)
    assert [one["corpus_id"] for one in ours] == [one["corpus_id"] for one in theirs]
    assert [one["text"] for one in ours] == [one["text"] for one in theirs]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([*PAIRS, *((PAIRS[0][0], odd) for odd in ODD)]), min_size=1, max_size=40))
def test_a_pair_alone_scores_as_in_any_batch(ranker: Ranker, batch: list[tuple[str, str]]) -> None:
    together = ranker.predict(batch)
    alone = np.concatenate([ranker.predict([pair]) for pair in batch])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_equal_passages_keep_their_order(ranker: Ranker) -> None:
    ranked = ranker.rank("what is the moon", ["the moon"] * 5)
    assert [one["corpus_id"] for one in ranked] == [0, 1, 2, 3, 4]


def test_no_passage_gives_an_empty_list(ranker: Ranker) -> None:
    assert ranker.rank("what is the moon", []) == []
    assert ranker.predict([]).shape == (0,)


def test_odd_texts_get_a_probability(ranker: Ranker) -> None:
    scores = ranker.predict([(odd, other) for odd in ODD for other in ODD])
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_ten_thousand_passages_are_ranked(ranker: Ranker) -> None:
    passages = [passage for _, passage in PAIRS]
    many = [passages[place % len(passages)] for place in range(10_000)]
    ranked = ranker.rank("what is the moon", many)
    assert len(ranked) == 10_000
    assert [one["score"] for one in ranked] == sorted((one["score"] for one in ranked), reverse=True)


def test_threads_may_ask_at_once(ranker: Ranker) -> None:
    expected = ranker.predict(PAIRS)
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda _: ranker.predict(PAIRS), range(8)):
            np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_a_precision_the_bundle_lacks_is_an_error(made: tuple[Path, Path]) -> None:
    with pytest.raises(TmkdError, match="has no fp16 graph; it has fp32, int8"):
        Ranker(made[1], "fp16")  # type: ignore[arg-type]


def test_a_bundle_is_opened_without_the_packages_of_training(made: tuple[Path, Path]) -> None:
    code = (
        f"import sys; from tmkd.bundle import Ranker; Ranker({str(made[1])!r}).rank('what is the moon', ['rock'])\n"
        "print(sorted({'torch', 'transformers', 'onnx', 'pyarrow', 'pydantic', 'rich'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
